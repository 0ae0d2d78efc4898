"""Tuning: budgets, spaces, and the search for the best point."""

from __future__ import annotations

import math

import pytest
from invented import Invented

from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.syntax import parse
from optsearch.proxy_tasks.run import Trained
from optsearch.proxy_tasks.task import TaskError
from optsearch.selection.baselines import ALWAYS, BASELINES
from optsearch.selection.contender import Contender, baseline
from optsearch.selection.problem import Problem, problems
from optsearch.selection.space import Dimension, decay_constant, program_space, with_values
from optsearch.selection.tuning import BLOCK, SeedError, Tuned, TuningBudget, fresh_seeds, tune, tuning_seeds

AE = Problem("ae")


def tuned(contender: Contender, pool: Invented, budget: TuningBudget) -> Tuned:
    tuning, answers = tune(contender, AE, budget), None
    try:
        while True:
            jobs = next(tuning) if answers is None else tuning.send(answers)
            answers = list[Trained](map(pool, jobs))
    except StopIteration as end:
        return end.value


@pytest.mark.parametrize("best", [1e-9, 1e-5, 0.03, 1.0, 40.0, 3e4])
def test_the_space_has_no_end(best: float) -> None:
    contender = Contender("found", LIBRARY["lion"])
    found = tuned(contender, Invented({"found": best}, noise=0.0), TuningBudget(trials=120))
    assert abs(math.log10(dict(found.values)["rate"] / best)) < 0.15
    few = tuned(contender, Invented({"found": best}, noise=0.0), TuningBudget(trials=8))
    assert few.at_edge == (abs(math.log10(best)) > 1.0)


@pytest.mark.parametrize("trials", [1, 2, 3, 4, 7, 24, 25, 100])
def test_the_budget_is_kept(trials: int) -> None:
    pool, budget = Invented({"adamw": 1e-3}), TuningBudget(trials=trials)
    found = tuned(baseline("adamw"), pool, budget)
    assert len(found.trials) == sum(budget.rounds) == trials
    assert len(pool.jobs) == budget.runs
    assert found.trials[0].values == (("rate", 1e-3), ("weight_decay", 0.01)), "the reference is among the trials"
    assert found.loss == min(trial.mean for trial in found.trials if len(trial.losses) == 3)


def test_no_trials_keep_the_reference() -> None:
    found = tuned(baseline("adam"), Invented({}), TuningBudget(trials=0))
    assert (found.values, found.loss, found.trials) == ((("rate", 1e-3),), None, ())


def test_when_all_fail_the_reference_is_kept() -> None:
    found = tuned(baseline("adam"), Invented({"adam": 1e-30}), TuningBudget())
    assert found.values == (("rate", 1e-3),)
    assert found.loss == math.inf


def test_weights_of_averages_come_down_to_zero() -> None:
    beta = Dimension("b1", 0.9, is_beta=True)
    assert beta.at(0.0) == 0.9
    assert beta.at(1.0) == pytest.approx(0.0)
    assert beta.at(7.0) == 0.0
    assert beta.at(-2.0) == pytest.approx(0.999)
    assert all(0.0 <= beta.at(place / 10) < 1.0 for place in range(-100, 100))
    assert Dimension("rate", -2.0).at(1.0) == -20.0


COUPLED = """def train(w, g, m, lr):
  wd = w * 0.3
  g = g + wd
  m = interp(g, m, 0.9)
  update = m * lr
  return update, m
"""
SCALED = """def train(w, g, lr):
  update = g + w
  update = update * 0.5
  return update
"""
OUTER = """def train(w, g, lr):
  a = lr * 0.2
  b = w * a
  b = b * 1.5
  update = g - b
  update = update * 0.7
  return update
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((str(LIBRARY[n]), e) for n, e in (("adamw", 0.01), ("lion", 0.1), ("lion-raw", 0.4601978361606598))),
        *((str(LIBRARY[name]), None) for name in ("sgd", "adam", "momentum", "rmsprop", "signum")),
        (COUPLED, 0.3),
        (SCALED, None),
        (OUTER, 0.2),
    ],
)
def test_weight_decay_is_found_in_the_dataflow(text: str, expected: float | None) -> None:
    found = decay_constant(parse(text))
    assert (None if found is None else found[1]) == expected


@pytest.mark.parametrize("name", LIBRARY)
def test_a_programs_own_values_leave_it_as_it_is(name: str) -> None:
    program = LIBRARY[name]
    values = {dimension.name: dimension.reference for dimension in program_space(program, constants=True)}
    assert fingerprint(with_values(program, values)) == fingerprint(program)
    for key in values.keys() - {"rate"}:
        other = with_values(program, values | {key: 0.5 * values[key]})
        assert fingerprint(other) != fingerprint(program)
        assert parse(str(other)) == other


def test_baselines_have_the_decay_of_their_row() -> None:
    for name, row in BASELINES.items():
        names = [dimension.name for dimension in baseline(name).space()]
        assert names == ["rate", *(name for name in ALWAYS if name in row.arguments)]
        assert len(baseline(name).space(constants=True)) == 1 + len(row.arguments)


def test_fresh_and_tuning_seeds_never_meet() -> None:
    assert not set(fresh_seeds(10_000)) & set(tuning_seeds(10_000))
    assert not set(fresh_seeds(10_000)) & set(fresh_seeds(10_000, block=1))
    assert max(tuning_seeds(10_000)) < 2**32
    with pytest.raises(SeedError, match="100,001 fresh seeds requested, 100,000 available"):
        fresh_seeds(BLOCK + 1)


def test_another_batch_size_sees_as_many_examples() -> None:
    small, own = problems(["AE"], [16])[0].load(), AE.load()
    assert (small.name, small.batch_size, small.steps) == ("ae@16", 16, own.steps * own.batch_size // 16)
    assert small.version != own.version
    with pytest.raises(TaskError, match="duplicate batch size"):
        problems(["ae"], [16, 16])
    with pytest.raises(TaskError, match=r"has \d+ training examples"):
        problems(["digits"], [10_000_000])
