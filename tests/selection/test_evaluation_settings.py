"""Settings of an evaluation: their recorded form, and the identity of the use of fresh seeds."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from optsearch.proxy_tasks.registry import TASKS
from optsearch.selection.comparison.settings import EvaluationSettings

SETTINGS = EvaluationSettings(tasks=("DIGITS",), seeds=4, baselines=("AdamW", "lion"), skipped=2)

RECORDED = {
    "tasks": {"digits": TASKS["digits"].version},
    "seeds": 4,
    "skipped_seeds": 2,
    "baselines": ["adamw", "lion"],
    "trials": 24,
    "replicates": 5,
    "constants": True,
    "spaces": [],
}


def test_the_recorded_form_names_only_what_was_asked_for() -> None:
    assert SETTINGS.recorded() == RECORDED
    every = replace(SETTINGS, shared=True, sensitivity=True, timed=True, spaces=("beta=0:0.99",))
    assert every.recorded() == RECORDED | {
        "spaces": ["beta=0:0.99"], "shared": True, "sensitivity": True, "timed": True
    }  # fmt: skip
    assert replace(SETTINGS, trials=0).recorded()["replicates"] == 1
    assert set(replace(SETTINGS, batches=(16, 64)).recorded()["tasks"]) == {"digits@16", "digits@64"}


def test_measurements_without_fresh_seeds_use_none_of_them() -> None:
    expected = hashlib.sha256(json.dumps(RECORDED, sort_keys=True).encode()).hexdigest()[:16]
    assert SETTINGS.digest == expected
    assert replace(SETTINGS, sensitivity=True, timed=True).digest == expected
    assert replace(SETTINGS, shared=True).digest != expected
    assert SETTINGS.seed_places == range(2, 6)
    assert [seeds[0] for seeds in SETTINGS.fresh_seeds] == [1_000_000_002 + 2_000 * number for number in range(5)]
