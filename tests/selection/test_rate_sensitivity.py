"""Sensitivity to the rate with all else fixed: its runs, and what their losses say."""

from __future__ import annotations

import math

import pytest
from invented import FAILED, Invented

from optsearch.dsl.library import LIBRARY
from optsearch.proxy_tasks.run import Trained
from optsearch.search.pool import Here
from optsearch.selection.comparison.evaluate import SENSITIVITY, TrainingProgress, evaluate
from optsearch.selection.contender import Contender, TrainingJob, baseline
from optsearch.selection.problem import Problem
from optsearch.selection.tuning.rate_sensitivity import FACTORS, RateRun, RateSensitivity, rate_seed, rate_sensitivities
from optsearch.selection.tuning.tuner import TuningBudget, fresh_seeds

SGD, ADAMW = Contender("found", LIBRARY["sgd"]), baseline("adamw")
AE, DIGITS = Problem("ae"), Problem("digits")


def swept(*replicates: dict[float, float | None]) -> RateSensitivity:
    """Sensitivity of replicates with the given losses; 1.0 at the other factors."""
    runs = [
        RateRun("ae", "found", number, rate_seed(number), factor, "x", losses.get(factor, 1.0))
        for number, losses in enumerate(replicates)
        for factor in FACTORS
    ]
    (found,) = rate_sensitivities(runs)
    return found


@pytest.mark.parametrize("shared", [False, True])
def test_each_tuned_point_is_trained_at_multiples_of_its_rate_and_nothing_else_varies(shared: bool) -> None:
    pool, events = Invented({"found": 0.3, "adamw": 1e-2}), list[TrainingProgress]()
    seeds, budget = [fresh_seeds(2, replicate=number) for number in range(2)], TuningBudget(6)
    found = evaluate(
        [SGD, ADAMW], [AE, DIGITS], seeds, budget=budget, shared=shared, sensitivity=True, pool=Here(pool),
        progress=events.append,
    )  # fmt: skip
    assert [event.total for event in events] == [len(pool.jobs)] * len(events)
    further = [event for event in events if event.stage == SENSITIVITY]
    assert len(further) == len(found.rate_runs) == 2 * 2 * 2 * len(FACTORS)
    assert all(event.job.seed == rate_seed(event.replicate) for event in further)
    used = {seed for number in range(2) for seed in (*seeds[number], *budget.seeds_of(number))}
    assert not used & {run.seed for run in found.rate_runs}
    for row in found.tuning:
        mine = [
            event.job
            for event in further
            if (event.job.problem.name, event.job.contender.name, event.replicate)
            == (row.task, row.contender, row.replicate)
        ]
        own = dict(row.tuned.values)
        assert [dict(job.values) for job in mine] == [own | {"rate": own["rate"] * factor} for factor in FACTORS]
        losses = {run.factor: run.loss for run in found.rate_runs if
                  (run.task, run.contender, run.replicate) == (row.task, row.contender, row.replicate)}  # fmt: skip
        expected = [pool(job).result.loss for job in mine]
        assert [losses[factor] for factor in FACTORS] == expected
    assert [(row.task, row.contender) for row in found.rate_sensitivity] == [
        (task, name) for task in ("ae", "digits") for name in ("found", "adamw")
    ]


def test_the_comparison_is_the_same_with_and_without() -> None:
    def once(*, sensitivity: bool) -> object:
        pool = Here(Invented({"found": 0.3, "adamw": 1e-2}))
        seeds, budget = [fresh_seeds(2, replicate=n) for n in range(2)], TuningBudget(6)
        found = evaluate([SGD, ADAMW], [AE], seeds, budget=budget, sensitivity=sensitivity, pool=pool)
        return found.rows, found.tuning, found.estimates, found.comparisons, found.headlines

    assert once(sensitivity=True) == once(sensitivity=False)


def test_without_tuning_the_own_rate_is_the_centre() -> None:
    budget = TuningBudget(0)
    pool = Invented({"found": 1.0})
    found = evaluate([SGD], [AE], [fresh_seeds(1)], budget=budget, sensitivity=True, pool=Here(pool))
    assert [dict(job.values)["rate"] for job in pool.jobs if job.seed == rate_seed(0)] == list(FACTORS)
    (row,) = found.rate_sensitivity
    assert row.losses[0].loss is not None
    assert row.losses[0].loss.low is None, "a single replicate has no interval"


@pytest.mark.parametrize(
    ("losses", "factors", "width"),
    [
        ({}, (0.125, 8.0), 64.0),
        ({0.125: 1.051, 8.0: 1.049}, (0.25, 8.0), 32.0),
        ({0.5: 1.06}, (1.0, 8.0), 8.0),
        ({0.5: 1.06, 2.0: None}, (1.0, 1.0), 1.0),
        ({0.25: 9.0, 0.125: 0.2, 4.0: 0.5}, (0.5, 8.0), 16.0),
        ({1.0: None}, None, None),
    ],
)
def test_the_width_is_that_of_the_range_around_the_tuned_rate(
    losses: dict[float, float | None], factors: tuple[float, float] | None, width: float | None
) -> None:
    found = swept(losses)
    assert (found.good_factors, found.width) == (factors, width)


def test_the_mean_over_replicates_counts_and_failures_are_counted() -> None:
    found = swept({2.0: 1.02, 4.0: 1.02}, {2.0: 1.07, 4.0: 1.09}, {})
    assert found.good_factors == (0.125, 8.0), "1.05 at most in the mean"
    at = {row.factor: row for row in swept({2.0: 1.0}, {2.0: 3.0}, {2.0: None}).losses}
    assert at[2.0].loss is not None
    assert (at[2.0].loss.mean, at[2.0].loss.count, at[2.0].failed) == (2.0, 2, 1)
    assert at[2.0].loss.low is not None
    assert at[2.0].loss.low < 2.0
    assert swept({8.0: None}, {8.0: None}).losses[-1].loss is None
    assert swept({8.0: None}, {}).good_factors == (0.125, 4.0), "a rate at which one replicate fails is none"


def test_negative_losses_have_a_range_too() -> None:
    every = dict.fromkeys(FACTORS, -1.0)
    assert swept(every | {0.5: -0.96, 2.0: -0.94}).good_factors == (0.125, 1.0)


def test_a_failed_run_is_recorded() -> None:
    pool = Invented({"found": 1.0})

    def failing(job: TrainingJob) -> Trained:
        return FAILED if job.seed == rate_seed(0) and dict(job.values)["rate"] > 3.0 else pool(job)

    found = evaluate([SGD], [AE], [fresh_seeds(1)], budget=TuningBudget(0), sensitivity=True, pool=Here(failing))
    assert [run.outcome for run in found.rate_runs] == ["ok"] * 5 + ["non_finite"] * 2
    assert [row.failed for row in found.rate_sensitivity[0].losses] == [0] * 5 + [1] * 2
    assert math.isfinite(found.rate_sensitivity[0].width or math.inf)
