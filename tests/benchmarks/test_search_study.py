"""The design of the search study is balanced, and its effects are those of the factors."""

from __future__ import annotations

import argparse
import json
from importlib import import_module
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from optsearch.runs.commands.search import load_named

study: ModuleType = import_module("search_study")
Outcomes: Any = import_module("outcomes").Outcomes

ROOT = Path(__file__).parents[2]


def test_each_factor_is_on_in_half_of_the_arms_and_independent_of_each_other_one() -> None:
    arms = study.design()
    assert len(set(arms)) == 8
    for factor in study.FACTORS:
        assert sum(factor in arm for arm in arms) == 4
    for one, other in combinations(study.FACTORS, 2):
        assert sum(one in arm and other in arm for arm in arms) == 2


@pytest.mark.parametrize(
    "factors", [("archive", "refinement"), ("rotate", "refinement", "parsimony", "cross", "archive")]
)
def test_studies_of_other_factors_are_balanced_too(factors: tuple[str, ...]) -> None:
    arms = study.design(factors)
    assert len(set(arms)) == 2 ** (len(factors) - 1)
    for factor in factors:
        assert sum(factor in arm for arm in arms) == len(arms) / 2
    for arm in arms:
        settings = [study.CANDIDATES[factor] for factor in arm]
        config, _ = load_named("study", ["training_seeds=[0, 1]", *settings])
        assert config.methods.refinement is None or "refinement" in arm


def test_effects_are_recovered_beside_effects_of_seeds() -> None:
    rng = np.random.default_rng(0)
    true = dict(zip(study.FACTORS, (-0.02, 0.0, 0.01, 0.005), strict=True))
    of_seed = rng.normal(0.0, 1.0, 10)
    values = {
        (arm, seed): of_seed[seed] + sum(true[name] for name in arm) + rng.normal(0.0, 1e-4)
        for arm in study.design()
        for seed in range(10)
    }
    for factor, effect in true.items():
        found = study.effect(values, study.main_effects(study.FACTORS)[factor])
        assert found["effect"] == pytest.approx(effect, abs=3e-4)
        assert found["low"] < found["effect"] < found["high"]


def test_arms_are_compared_with_the_published_search_by_seed() -> None:
    arm = study.arm_of("rotate+hurdle")
    values = {(study.PUBLISHED, seed): float(seed**2) for seed in range(6)}
    values |= {(arm, seed): values[study.PUBLISHED, seed] - 0.5 - 0.01 * (seed % 2) for seed in range(6)}
    (contrast,) = study.against_published([arm]).values()
    found = study.effect(values, contrast)
    assert found["effect"] == pytest.approx(-0.505)
    assert found["high"] < -0.49
    with pytest.raises(argparse.ArgumentTypeError, match="unknown factor 'speed'"):
        study.arm_of("hurdle+speed")
    with pytest.raises(argparse.ArgumentTypeError, match="several factors set race"):
        study.arm_of("race+rotate")


def test_a_level_that_is_never_reached_costs_the_budget() -> None:
    outcome = study.Outcome(0.5, 900, "", ((100, 0.8), (400, 0.6)))
    assert [study.reached(outcome, level, 1000) for level in (0.9, 0.7, 0.6, 0.5)] == [100, 400, 400, 1000]


@pytest.mark.parametrize(
    ("factors", "seeds"),
    [
        (("archive", "adaptation", "cross", "race", "refinement"), 5),
        (("hurdle", "elite", "rotate", "parsimony"), 10),
    ],
)
def test_the_documentation_has_the_effects_of_the_kept_outcomes(factors: tuple[str, ...], seeds: int) -> None:
    path = ROOT / "benchmarks" / "measured" / "search_study-ae.jsonl"
    kept = Outcomes.open(path, {"task": "ae", "steps": 600_000, "population": 100, "tournament": 10, "tuning": 1500})
    found = {
        (arm, seed): study.Outcome.read(kept.found[f"{study.label(arm)}-seed{seed}"])
        for arm in study.design(factors)
        for seed in range(seeds)
    }
    rows = study.effect_rows(study.report(found, 600_000, study.main_effects(factors)))
    page = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    assert len(rows) == 2 + len(factors)
    assert [row for row in rows if row not in page] == []


@pytest.mark.parametrize(
    ("task", "names"),
    [
        ("ae", ["rotate+hurdle", "median+hurdle", "rotate+small+hurdle", "rotate+greedy+hurdle"]),
        ("lmmlp", ["median+hurdle"]),
        ("lm", ["median+hurdle"]),
    ],
)
def test_the_documentation_has_the_arms_of_the_kept_outcomes(task: str, names: list[str]) -> None:
    path = ROOT / "benchmarks" / "measured" / f"search_study-{task}.jsonl"
    settings = json.loads(path.read_text(encoding="utf-8").partition("\n")[0])["settings"]
    kept = Outcomes.open(path, settings)
    assert settings["task"] == task
    arms = [study.PUBLISHED, *map(study.arm_of, names)]
    found = {
        (arm, seed): study.Outcome.read(kept.found[f"{study.label(arm)}-seed{seed}"])
        for arm in arms
        for seed in range(10)
    }
    report = study.report(found, settings["steps"], study.against_published(arms[1:]))
    page = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    assert [row for row in study.effect_rows(report) + study.arm_rows(report) if row not in page] == []
