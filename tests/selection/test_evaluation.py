"""Evaluation: equal tuning budgets for all contenders, on unused seeds."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import pytest
from invented import Invented

from optsearch.dsl.library import LIBRARY
from optsearch.dsl.syntax import parse
from optsearch.search.pool import Here
from optsearch.selection.contender import Contender, TrainingJob, baseline, run_job
from optsearch.selection.evaluation import Evaluation, TrainingProgress, evaluate
from optsearch.selection.problem import Problem
from optsearch.selection.tuning import TuningBudget, fresh_seeds, tuning_seeds

SGD = Contender("found", LIBRARY["sgd"])
DIVERGING = Contender("diverging", parse("def train(w, g, lr):\n  update = g * -1e30\n  return update\n"))
AE, DIGITS = Problem("ae"), Problem("digits")


def test_every_contender_gets_the_same_trials_and_seeds() -> None:
    pool, contenders = Invented({"found": 1.0, "adamw": 1e-3}), [SGD, baseline("adamw")]
    evaluate(contenders, [AE], fresh_seeds(4), pool=Here(pool))
    for contender in contenders:
        seeds = Counter(job.seed for job in pool.jobs if job.contender == contender)
        assert seeds == dict(zip(tuning_seeds(), (24, 12, 8), strict=True)) | dict.fromkeys(fresh_seeds(4), 1)


def test_the_tuned_rate_is_used_wherever_it_lies() -> None:
    pool = Invented({"found": 0.1, "adamw": 1e-3, "lion": 1e-7})
    found = evaluate([SGD, baseline("adamw"), baseline("lion")], [AE], fresh_seeds(3), pool=Here(pool))
    for entry in found.tuning:
        best = pool.best[entry.contender]
        assert abs(math.log10(dict(entry.tuned.values)["rate"] / best)) < 0.3  # lion: three decades from its reference
        assert not entry.tuned.at_edge
    assert {row.values for row in found.rows} == {entry.tuned.values for entry in found.tuning}


def test_a_better_program_wins_and_an_equal_one_does_not() -> None:
    best = {"found": 1.0, "other": 1.0, "adamw": 1e-3}
    contenders = [SGD, replace(SGD, name="other"), baseline("adamw")]
    found = evaluate(contenders, [AE, DIGITS], fresh_seeds(8), pool=Here(Invented(best, {"found": 0.5})))
    assert [(c.task, c.contender, c.verdict) for c in found.comparisons if c.contender == "found"] == [
        ("ae", "found", "better"),
        ("digits", "found", "better"),
    ]
    first = found.comparisons[0]
    assert first.difference is not None
    assert first.difference.mean == pytest.approx(-0.5, abs=0.15)
    assert first.corrected == pytest.approx(4 * 2 / 2**8)
    assert first.detectable is not None
    mine, _, control = found.overall
    assert mine.relative_loss is not None
    assert mine.improvement is not None
    assert mine.relative_loss.mean < -0.1
    assert mine.improvement.mean > 0.8
    assert (control.contender, control.improvement) == ("adamw", None)


def test_few_seeds_can_show_nothing() -> None:
    best = {"found": 1.0, "adamw": 1e-3}
    found = evaluate([SGD, baseline("adamw")], [AE], fresh_seeds(4), pool=Here(Invented(best, {"found": 0.1})))
    assert [(c.verdict, c.detectable) for c in found.comparisons] == [("undecided", None)]


def test_progress_counts_every_run() -> None:
    events: list[TrainingProgress] = []
    budget = TuningBudget(trials=8)
    evaluate([SGD], [AE], fresh_seeds(2), budget=budget, pool=Here(Invented({"found": 1.0})), progress=events.append)
    assert [event.done for event in events] == list(range(1, budget.runs + 3))
    assert {event.total for event in events} == {budget.runs + 2}
    assert [event.stage for event in events] == ["tuning"] * budget.runs + ["evaluation"] * 2


def test_a_real_evaluation_and_a_contender_that_always_fails() -> None:
    def once() -> Evaluation:
        contenders = [SGD, DIVERGING, baseline("sgd")]
        return evaluate(contenders, [AE], fresh_seeds(2), budget=TuningBudget(trials=3, seeds=(5,)))

    found = once()
    for row in found.rows:
        assert row.outcome == ("non_finite" if row.contender == "diverging" else "ok")
        assert (row.test_loss is None) == (row.contender == "diverging")
    mine, diverging = found.comparisons
    assert (diverging.verdict, diverging.difference, diverging.failed) == ("worse", None, 2)
    assert mine.failed == 0
    assert found.overall[1].relative_loss is None
    assert found.times[1].reached == 0.0
    assert found.times[2].median_steps[0][1] is not None
    again = once()
    assert [replace(row, seconds=0.0) for row in again.rows] == [replace(row, seconds=0.0) for row in found.rows]
    assert again.comparisons == found.comparisons


def test_a_job_is_a_pure_function() -> None:
    job = TrainingJob(baseline("adamw"), AE, (("rate", 1e-3), ("weight_decay", 0.1)), 11)
    assert run_job(job).result == run_job(job).result
    assert run_job(job).result != run_job(replace(job, values=(("rate", 1e-3), ("weight_decay", 10.0)))).result


def test_the_key_of_a_job_is_what_its_result_depends_on() -> None:
    program = Contender("a", LIBRARY["adamw"])
    job = TrainingJob(program, AE, (("rate", 1.0), ("weight_decay", 0.01)), 1)
    assert job.key == replace(job, contender=Contender("b", LIBRARY["adamw"])).key
    assert job.key == replace(job, values=(("rate", 1.0),)).key, "the decay is the program's own"
    others = [replace(job, seed=2), replace(job, problem=Problem("ae", 16)), replace(job, values=(("rate", 2.0),))]
    others += [replace(job, values=(("rate", 1.0), ("weight_decay", 0.02))), replace(job, contender=baseline("adamw"))]
    assert len({job.key, *(other.key for other in others)}) == 6


@pytest.mark.parametrize(
    ("contenders", "seeds", "match"),
    [
        ([], (1,), "nothing to evaluate"),
        ([SGD, SGD], (1,), "two contenders are named 'found'"),
        ([SGD], (), "at least one fresh seed"),
        ([SGD], (1, 1), "must be distinct"),
        ([SGD], tuning_seeds()[:1], "both a tuning seed and a fresh seed"),
    ],
)
def test_what_makes_no_fair_comparison_is_refused(
    contenders: list[Contender], seeds: tuple[int, ...], match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        evaluate(contenders, [AE], seeds)
