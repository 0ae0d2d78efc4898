"""Seed ranges are disjoint, and settings accept only seeds of their own range."""

from __future__ import annotations

from itertools import combinations

import pytest

from optsearch.proxy_tasks.seeds import FINALISTS, FRESH, RANGES, SEARCH, SELECTION, TUNING
from optsearch.search.config import load_campaign
from optsearch.search.settings.config_errors import ConfigError
from optsearch.selection.tuning.tuner import TuningBudget, fresh_seeds

CAMPAIGN = (
    "{name: x, task: ae, budget: {programs: 9}, training_seeds: [%d], meta_validation: {task: X_ae, seeds: [%d]}}"
)


@pytest.mark.parametrize(("one", "other"), list(combinations(RANGES, 2)))
def test_ranges_are_apart(one: str, other: str) -> None:
    first, second = sorted((RANGES[one], RANGES[other]), key=lambda found: found.start)
    assert first.start < first.stop <= second.start < second.stop < 2**32


@pytest.mark.parametrize("purpose", list(RANGES))
def test_settings_name_seeds_of_searches_alone(purpose: str) -> None:
    for seed in (RANGES[purpose].start, RANGES[purpose].stop - 1):
        for seeds in ((seed, 0), (0, seed)):
            if purpose == "fitness and meta-validation":
                assert load_campaign(CAMPAIGN % seeds, "x.yaml").training_seeds == [seeds[0]]
            else:
                with pytest.raises(ConfigError, match="seeds"):
                    load_campaign(CAMPAIGN % seeds, "x.yaml")


def test_purposes_draw_from_their_ranges() -> None:
    config = load_campaign(CAMPAIGN % (SEARCH.stop - 1, 0), "x.yaml")
    assert all(seed in FRESH for seed in config.fresh_seed_values)
    assert all(seed in TUNING for seed in TuningBudget().seeds_of(49))
    assert all(seed in SELECTION for seed in fresh_seeds(100, 9_999))
    assert len(FINALISTS) >= 4096
