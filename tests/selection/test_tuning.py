"""Tuning: budgets, spaces, and the search for the best point."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import pytest
from invented import Invented

from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.syntax import parse
from optsearch.proxy_tasks.run import Trained
from optsearch.proxy_tasks.task import TaskError
from optsearch.selection.baselines.table import ALWAYS, BASELINES
from optsearch.selection.contender import Contender, baseline
from optsearch.selection.problem import Problem, problems
from optsearch.selection.space import (
    KINDS,
    SpaceError,
    Values,
    decay_constant,
    dimension,
    parse_ranges,
    program_space,
    with_values,
)
from optsearch.selection.tuning.tuner import BLOCK, PER_REPLICATE, SeedError, Tuned, TuningBudget, fresh_seeds, tune

AE = Problem("ae")


def tuned(
    contender: Contender, pool: Invented, budget: TuningBudget, replicate: int = 0, starts: Sequence[Values] = ()
) -> Tuned:
    tuning, answers = tune(contender, [AE], budget, replicate, starts), None
    try:
        while True:
            jobs = next(tuning) if answers is None else tuning.send(answers)
            answers = list[Trained](map(pool, jobs))
    except StopIteration as end:
        (found,) = end.value
        return found


@pytest.mark.parametrize("best", [0.02, 0.3, 1.0, 50.0])
def test_the_best_rate_of_the_declared_range_is_found(best: float) -> None:
    contender = Contender("found", LIBRARY["signum"])
    found = tuned(contender, Invented({"found": best}, noise=0.0), TuningBudget(trials=48, constants=False))
    assert abs(math.log10(dict(found.values)["rate"] / best)) < 0.1
    assert not found.at_edge


@pytest.mark.parametrize("best", [1e-4, 1e4])
def test_an_optimum_outside_the_range_ends_at_its_edge(best: float) -> None:
    contender = Contender("found", LIBRARY["signum"])
    found = tuned(contender, Invented({"found": best}, noise=0.0), TuningBudget(trials=48, constants=False))
    assert found.at_edge
    wide = TuningBudget(48, constants=False, ranges=(("rate", (1e-6, 1e6)),))
    assert not tuned(contender, Invented({"found": best}, noise=0.0), wide).at_edge


def test_replicates_draw_other_points_and_seeds_and_one_draws_the_same() -> None:
    first, again, other = (Invented({"adamw": 1e-3}) for _ in range(3))
    one, same, two = (
        tuned(baseline("adamw"), pool, TuningBudget(), replicate)
        for pool, replicate in ((first, 0), (again, 0), (other, 1))
    )
    assert one == same
    assert {trial.values for trial in one.trials} & {trial.values for trial in two.trials} == {one.trials[0].values}
    assert not {job.seed for job in first.jobs} & {job.seed for job in other.jobs}


def test_given_points_are_tried_and_count_as_trials() -> None:
    pool, start = Invented({"adamw": 1e-3}), (("b1", 0.5), ("b2", 0.8), ("weight_decay", 0.0))
    found = tuned(baseline("adamw"), pool, TuningBudget(), starts=[start])
    assert len(found.trials) == TuningBudget().trials
    values = dict(found.trials[1].values)
    assert (values["b1"], values["b2"], values["rate"]) == (0.5, 0.8, 1e-3)
    assert values["weight_decay"] == 0.0, "exact, though the range begins above it"


@pytest.mark.parametrize("trials", [1, 2, 3, 4, 7, 24, 25, 100])
def test_the_budget_is_kept(trials: int) -> None:
    pool, budget = Invented({"adamw": 1e-3}), TuningBudget(trials=trials)
    found = tuned(baseline("adamw"), pool, budget)
    assert len(found.trials) == sum(budget.rounds) == trials
    assert len(pool.jobs) == budget.runs
    own = tuple((row.name, row.reference) for row in baseline("adamw").space())
    assert found.trials[0].values == own, "the reference is among the trials"
    assert found.loss == min(trial.mean for trial in found.trials if len(trial.losses) == 3)


def test_no_trials_keep_the_reference() -> None:
    found = tuned(baseline("adam"), Invented({}), TuningBudget(trials=0, constants=False))
    assert (found.values, found.loss, found.trials) == ((("rate", 1e-3),), None, ())


def test_when_all_fail_the_reference_is_kept() -> None:
    found = tuned(baseline("adam"), Invented({"adam": 1e-30}), TuningBudget(constants=False))
    assert found.values == (("rate", 1e-3),)
    assert found.loss == math.inf


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reference", [0.0, 1e-9, 0.5, 0.99, 0.99999, -2.0, 300.0])
def test_positions_and_values_of_a_range_are_inverse_to_each_other(kind: str, reference: float) -> None:
    if KINDS[kind].is_beta and not 0.0 <= reference < 1.0:
        return
    row = dimension("x", kind, reference)
    for share in (0.0, 0.25, 0.5, 1.0):
        assert row.share(row.at(share)) == pytest.approx(share, abs=1e-9)
    if reference != 0.0 or KINDS[kind].is_beta:
        assert row.at(row.share(reference)) == pytest.approx(reference), "every range holds the reference"
    if KINDS[kind].is_beta:
        assert row.at(0.0) == 0.0
        assert row.at(1.0) < 1.0


def test_ranges_are_read_and_every_mistake_is_named() -> None:
    ranges = parse_ranges(["beta=0:0.95", "rate=0.001:1000"])
    assert baseline("adamw").space(ranges=(("weight_decay", (0.001, 1.0)),))[1].low == 0.001
    assert dict(ranges) == {"beta": (0.0, 0.95), "rate": (0.001, 1000.0)}
    with pytest.raises(SpaceError, match=r"'beta' excludes the reference 0.999 of 'b2'"):
        baseline("adamw").space(ranges=ranges)
    for text, match in (
        ("betas=0:1", "unknown kind of hyperparameter 'betas': did you mean 'beta'"),
        ("beta=0", "write KIND=LOW:HIGH"),
        ("beta", "write KIND=LOW:HIGH"),
        ("beta=a:b", "write KIND=LOW:HIGH"),
        ("beta=0.9:0.1", "empty or out of bounds"),
        ("beta=0:1", "empty or out of bounds"),
        ("rate=0:1", "empty or out of bounds"),
        ("rate=nan:1", "empty or out of bounds"),
    ):
        with pytest.raises(SpaceError, match=re.escape(match)):
            parse_ranges([text])
    with pytest.raises(SpaceError, match="two ranges of 'rate'"):
        parse_ranges(["rate=0.1:10", "rate=0.1:20"])


def test_what_is_not_tuned_is_said() -> None:
    body = "  small = eps()\n  a = g * 0.0\n  u = a + small\n  update = u * lr\n  return update\n"
    program = parse(f"def train(w, g, lr):\n{body}")
    assert Contender("x", program).untuned() == ("factor = 0", "eps()")
    assert Contender("lion", LIBRARY["lion"]).untuned() == ()
    assert Contender("lion", LIBRARY["lion"]).untuned(constants=False) == ("beta1 = 0.9", "beta2 = 0.99")


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


def test_without_constants_baselines_have_the_decay_of_their_row() -> None:
    for name, row in BASELINES.items():
        kinds = {dimension.name: dimension.kind for dimension in baseline(name).space()}
        assert list(kinds) == ["rate", *row.arguments]
        names = [dimension.name for dimension in baseline(name).space(constants=False)]
        assert names == ["rate", *(name for name in row.arguments if kinds[name] in ALWAYS)]


def test_fresh_and_tuning_seeds_never_meet() -> None:
    budget = TuningBudget(seeds=100)
    tuning = [set(budget.seeds_of(replicate)) for replicate in range(50)]
    fresh = [set(fresh_seeds(PER_REPLICATE, block, replicate)) for block in (0, 1) for replicate in range(50)]
    assert len(set().union(*tuning, *fresh)) == 50 * 100 + 100 * PER_REPLICATE, "no seed has two uses"
    assert max(tuning[-1]) < 2**32
    assert set(fresh_seeds(3, skipped=2)) < set(fresh_seeds(5))
    with pytest.raises(SeedError, match="2,001 fresh seeds requested for each replicate, 2,000 available"):
        fresh_seeds(1, skipped=PER_REPLICATE)
    with pytest.raises(SeedError, match="replicate 51 requested, 50 available"):
        fresh_seeds(1, replicate=BLOCK // PER_REPLICATE)


def test_another_batch_size_sees_as_many_examples() -> None:
    small, own = problems(["AE"], [16])[0].load(), AE.load()
    assert (small.name, small.batch_size, small.steps) == ("ae@16", 16, own.steps * own.batch_size // 16)
    assert small.version != own.version
    with pytest.raises(TaskError, match="duplicate batch size"):
        problems(["ae"], [16, 16])
    with pytest.raises(TaskError, match=r"has \d+ training examples"):
        problems(["digits"], [10_000_000])
