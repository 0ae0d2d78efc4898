"""Known optimizers have the behaviour by which searches for them are counted, others have not; rates have intervals."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from scipy.stats import beta

from optsearch.dsl.library import LIBRARY
from optsearch.runs.commands.search import load_named

study: ModuleType = import_module("rediscovery_study")
rediscovery: ModuleType = import_module("rediscovery")

HAVE = {
    "sign": {"lion", "signum"},
    "orthogonal": {"muon", "orthogonal-adamw"},
    "momentum": {"momentum", "nesterov", "adam", "adamw", "lion", "signum", "muon", "orthogonal-adamw"},
    "normalised": {"rmsprop", "adagrad", "adam", "adamw", "adafactor", "orthogonal-adamw"},
}
PROBED = sorted({"sgd", "normalized-sgd", *set.union(*HAVE.values())})


@pytest.mark.parametrize("kind", HAVE)
def test_known_optimizers_are_told_apart(kind: str) -> None:
    found = {name for name in PROBED if rediscovery.look(name, 0.0, LIBRARY[name], kind).found}
    assert found == HAVE[kind]


@pytest.mark.parametrize("target", study.TARGETS)
def test_campaigns_are_valid_and_do_not_start_at_their_aim(target: str) -> None:
    aim = study.TARGETS[target]
    more = ["archive={}", "adaptation={}", "refinement={}", "parsimony={}", "mutation.cross=1"]
    config, _ = load_named(aim.campaign, [*aim.settings, "controls=[]", *more, "seed=3"])
    assert not rediscovery.look("0", 0.0, config.warm_start_program, aim.kind).found


@pytest.mark.parametrize(("arrived", "of"), [(0, 20), (1, 5), (10, 20), (20, 20)])
def test_intervals_are_those_of_clopper_and_pearson(arrived: int, of: int) -> None:
    row = study.rate(arrived, of)
    low = 0.0 if arrived == 0 else beta.ppf(0.025, arrived, of - arrived + 1)
    high = 1.0 if arrived == of else beta.ppf(0.975, arrived + 1, of - arrived)
    assert (row["low"], row["high"]) == (pytest.approx(low), pytest.approx(high))


def test_a_search_is_run_examined_and_not_repeated(tmp_path: Path) -> None:
    settings = ["budget.evaluations=12", "first_stage=null", "population={size: 10, tournament: 2}", "look_ahead=8"]
    settings += ["finalists={count: 1, seeds: 1}", "fresh_seeds=2"]
    folder = study.folder_of(tmp_path, "momentum", settings)
    assert folder != study.folder_of(tmp_path, "momentum", [])
    first = study.run_search(folder / "seed0", "momentum", settings, 0)
    assert study.run_search(folder / "seed0", "momentum", settings, 0) == first
    assert first.evaluations == 12
    assert 0 <= first.front <= first.size
    found = study.report([first, first])
    assert found["best"]["arrived"] == 2 * first.best
