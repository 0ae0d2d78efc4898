"""Searches are compared with controls on equal terms: the same tasks and evaluations, and scores that mean the same."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from statistics import fmean
from types import ModuleType
from typing import Any

import pytest
from scipy import stats

from optsearch.runs.commands.search import load_named
from optsearch.search.scoring.fitness import FurtherTask

study: ModuleType = import_module("discovery_study")

TASKS = (FurtherTask(task="lm", scale=0.2), FurtherTask(task="teach", scale=0.1))


def outcome(lm: float | None, teach: float | None) -> dict[str, Any]:
    return {"fresh": {"lm": lm, "teach": teach}, "evaluations": 10, "steps": 100, "best": "program"}


@pytest.mark.parametrize("kind", study.KINDS)
def test_kinds_differ_in_what_may_change_alone(kind: str) -> None:
    plain, _ = load_named(study.CAMPAIGN, ["controls=[]", "seed=3"])
    config, _ = load_named(study.CAMPAIGN, [*study.KINDS[kind], "controls=[]", "seed=3"])
    changed = {name for name, value in config.model_dump().items() if value != plain.model_dump()[name]}
    assert changed <= {"algorithm", "warm_start", "warm_start_references"}
    assert config.budget == plain.budget
    assert all(task.scale is not None and task.if_below is None for task in config.fitness_tasks)


def test_scores_are_relative_to_the_reference_and_limited() -> None:
    outcomes = {("adamw", 0): outcome(2.1, 0.4), ("adamw", 1): outcome(1.9, 0.6), ("random", 0): outcome(None, 0.45)}
    found = study.report(outcomes | {("evolution", 0): outcome(1.9, 0.55)}, TASKS)
    assert found["reference"] == pytest.approx({"lm": 2.0, "teach": 0.5})
    means = {kind: row["score"]["mean"] for kind, row in found["kinds"].items()}
    assert means == pytest.approx({"adamw": 0.0, "random": (2.0 - 0.5) / 2, "evolution": (-0.5 + 0.5) / 2})
    assert found["kinds"]["random"]["losses"] == {"lm": None, "teach": 0.45}
    with pytest.raises(SystemExit, match="fails on a fresh seed"):
        study.report({("adamw", 0): outcome(None, 0.5)}, TASKS)


def test_the_lead_is_welchs_over_searches() -> None:
    outcomes = {("adamw", seed): outcome(2.0 + 0.01 * seed, 0.5) for seed in range(3)}
    outcomes |= {("evolution", seed): outcome(1.9 - 0.02 * seed, 0.48) for seed in range(5)}
    found = study.report(outcomes, TASKS)
    theirs, ours = ([((lm - 2.01) / 0.2 + (teach - 0.5) / 0.1) / 2 for lm, teach in kind] for kind in (
        [(2.0, 0.5), (2.01, 0.5), (2.02, 0.5)], [(1.9 - 0.02 * seed, 0.48) for seed in range(5)]
    ))  # fmt: skip
    expected = stats.ttest_ind(ours, theirs, equal_var=False)
    lead = found["kinds"]["adamw"]["evolution"]
    assert lead["p"] == pytest.approx(expected.pvalue)
    bounds = expected.confidence_interval()
    assert (lead["low"], lead["high"]) == pytest.approx((bounds.low, bounds.high))
    assert lead["mean"] == pytest.approx(fmean(ours))
    table = study.lines(found)
    assert [row.count("|") for row in table] == [8] * 4
    assert table[2].startswith("| evolution | 5 | ")


def test_programs_are_written_for_evolution_alone(tmp_path: Path) -> None:
    study.write_programs(tmp_path, {("evolution", 4): outcome(2.0, 0.5), ("random", 0): outcome(2.0, 0.5)})
    assert [path.name for path in tmp_path.iterdir()] == ["mixture-seed4.txt"]


@pytest.mark.slow
def test_a_search_is_run_and_not_repeated(tmp_path: Path) -> None:
    settings = ["budget.evaluations=6", "first_stage.budget.evaluations=3", "population={size: 5, tournament: 2}"]
    settings += ["look_ahead=4", "finalists={count: 1, seeds: 1}", "fresh_seeds=2", "archive={}"]
    first = study.run_search(tmp_path / "one", settings)
    assert study.run_search(tmp_path / "one", settings) == first
    assert first.evaluations == 6
    assert list(first.fresh) == ["lm", "teach", "ae-x10", "lmmlp"]
    assert first.front[0].fitness == min(one.fitness for one in first.front)
    json.dumps(study.asdict(first))
