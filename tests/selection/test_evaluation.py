"""Evaluation: equal tuning budgets for all contenders, on unused seeds."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import pytest
from invented import FAILED, Invented

from optsearch.dsl.library import LIBRARY
from optsearch.dsl.syntax import parse
from optsearch.proxy_tasks.outcome import Outcome, TrainingResult
from optsearch.proxy_tasks.run import Trained
from optsearch.search.pool import Here
from optsearch.selection.comparison.comparison import UNREPLICATED
from optsearch.selection.comparison.evaluate import TrainingProgress, evaluate
from optsearch.selection.comparison.evaluation import Evaluation
from optsearch.selection.contender import Contender, TrainingJob, baseline, run_job
from optsearch.selection.problem import Problem
from optsearch.selection.tuning.tuner import TuningBudget, fresh_seeds

SGD = Contender("found", LIBRARY["sgd"])
DIVERGING = Contender("diverging", parse("def train(w, g, lr):\n  update = g * -1e30\n  return update\n"))
AE, DIGITS = Problem("ae"), Problem("digits")


def fresh(seeds: int, replicates: int = 1) -> list[tuple[int, ...]]:
    return [fresh_seeds(seeds, replicate=number) for number in range(replicates)]


def test_every_contender_gets_the_same_trials_and_seeds() -> None:
    pool, contenders = Invented({"found": 1.0, "adamw": 1e-3}), [SGD, baseline("adamw")]
    evaluate(contenders, [AE], fresh(4, 2), pool=Here(pool))
    budget = TuningBudget()
    trials = [sum(budget.survivors(points)[n] for points in budget.rounds) for n in range(3)]
    expected = dict.fromkeys([seed for replicate in fresh(4, 2) for seed in replicate], 1)
    for replicate in range(2):
        expected |= dict(zip(budget.seeds_of(replicate), trials, strict=True))
    for contender in contenders:
        assert Counter(job.seed for job in pool.jobs if job.contender == contender) == expected


def test_the_tuned_rate_is_used_wherever_it_lies() -> None:
    pool = Invented({"found": 0.1, "adamw": 1e-3, "lion": 2e-6})
    budget = TuningBudget(constants=False)
    found = evaluate([SGD, baseline("adamw"), baseline("lion")], [AE], fresh(3), budget=budget, pool=Here(pool))
    for entry in found.tuning:
        best = pool.best[entry.contender]
        assert abs(math.log10(dict(entry.tuned.values)["rate"] / best)) < 0.3
        assert not entry.tuned.at_edge
    assert {row.values for row in found.rows} == {entry.tuned.values for entry in found.tuning}


def test_a_better_program_wins_and_an_equal_one_does_not() -> None:
    best = {"found": 1.0, "other": 1.0, "adamw": 1e-3}
    contenders = [SGD, replace(SGD, name="other"), baseline("adamw")]
    pool = Invented(best, {"found": 0.5})
    found = evaluate(contenders, [AE, DIGITS], fresh(4, 5), budget=TuningBudget(8), pool=Here(pool))
    assert [(c.task, c.contender, c.verdict) for c in found.comparisons if c.contender == "found"] == [
        ("ae", "found", "better"),
        ("digits", "found", "better"),
    ]
    first = found.comparisons[0]
    assert first.difference is not None
    assert first.difference.mean == pytest.approx(-0.5, abs=0.15)
    assert first.p_value == pytest.approx(2 / 252)
    assert first.detectable is not None
    mine, other = found.headlines
    assert (mine.opponent, mine.verdict, mine.leads, mine.tasks) == ("adamw", "better", 2, 2)
    assert mine.relative is not None
    assert mine.relative.high is not None
    assert mine.relative.high < -0.1
    assert mine.over_tasks is None, "two tasks are too few"
    assert other.verdict == "undecided"
    assert {row.contender: row.improvement and row.improvement.mean for row in found.overall} == {
        "found": 1.0,
        "other": pytest.approx(0.5, abs=0.5),
        "adamw": None,
    }
    estimate = found.estimates[0]
    assert estimate.loss is not None
    assert estimate.loss.count == len(estimate.replicates) == 5
    assert estimate.between_seeds is not None
    assert estimate.between_tunings is not None


def test_few_replicates_can_show_nothing() -> None:
    pool = Invented({"found": 1.0, "adamw": 1e-3}, {"found": 0.1})
    found = evaluate([SGD, baseline("adamw")], [AE], fresh(4, 3), budget=TuningBudget(4), pool=Here(pool))
    assert [(c.verdict, c.detectable) for c in found.comparisons] == [("undecided", None)]


@pytest.mark.parametrize("trials", [0, 4])
def test_one_tuning_compares_settings_and_not_optimizers(trials: int) -> None:
    pool = Invented({"found": 1.0, "adamw": 1e-3}, {"found": 0.1})
    found = evaluate([SGD, baseline("adamw")], [AE], fresh(16), budget=TuningBudget(trials), pool=Here(pool))
    (row,), (head,) = found.comparisons, found.headlines
    assert (row.verdict, row.p_value, row.corrected) == (UNREPLICATED, None, None)
    assert (head.verdict, head.p_value) == (UNREPLICATED, None)
    assert row.difference is not None
    assert row.difference.count == 16, "paired seeds"


def test_of_a_family_the_member_with_the_lowest_validation_loss_counts() -> None:
    contenders = [SGD, baseline("adamw"), baseline("clipped"), baseline("lion")]
    pool = Invented({"found": 1.0, "adamw": 1e-3, "clipped": 1e-3, "lion": 1e-4}, {"clipped": 0.4, "found": 0.7})
    found = evaluate(contenders, [AE, DIGITS], fresh(2, 5), budget=TuningBudget(6), pool=Here(pool))
    (family,) = found.families
    assert family.members == ("adamw", "clipped")
    assert family.best == (("ae", ("clipped",) * 5), ("digits", ("clipped",) * 5))
    assert [(row.opponent, row.verdict) for row in found.headlines] == [(family.name, "worse"), ("lion", "better")]
    estimates = {(row.task, row.contender): row.replicates for row in found.estimates}
    assert estimates["ae", family.name] == estimates["ae", "clipped"] != estimates["ae", "adamw"]


def test_what_contains_another_contender_starts_from_its_best_point() -> None:
    pool = Invented({"adamw": 3e-3, "free-schedule": 3e-3})
    found = evaluate([baseline("free-schedule"), baseline("adamw")], [AE], fresh(2, 2), pool=Here(pool))
    tuned = {(row.contender, row.replicate): row.tuned for row in found.tuning}
    for replicate in range(2):
        start = dict(tuned["adamw", replicate].values) | {"power": 1.0}
        tried = [dict(trial.values) for trial in tuned["free-schedule", replicate].trials]
        assert start in tried
        assert len(tried) == TuningBudget().trials
    assert not found.failed_tuning


def test_a_baseline_behind_one_that_it_contains_is_reported() -> None:
    pool = Invented({"adamw": 1e-3, "free-schedule": 1e-3}, {"free-schedule": 2.0})
    found = evaluate([baseline("adamw"), baseline("free-schedule")], [AE], fresh(2, 5), pool=Here(pool))
    (row,) = found.failed_tuning
    assert (row.task, row.contender, row.contained) == ("ae", "free-schedule", "adamw")
    assert row.loss > row.contained_loss


def test_baselines_try_the_decays_of_the_programs() -> None:
    pool = Invented({"found": 1.0, "adamw": 1e-3})
    program = Contender("found", LIBRARY["lion"])
    found = evaluate([program, baseline("adamw")], [AE], fresh(1), pool=Here(pool))
    tried = [dict(trial.values) for trial in found.tuning[1].tuned.trials]
    assert (0.9, 0.99) in [(values["b1"], values["b2"]) for values in tried]


def test_progress_counts_every_run() -> None:
    events: list[TrainingProgress] = []
    budget, pool = TuningBudget(trials=8), Here(Invented({"found": 1.0}))
    evaluate([SGD], [AE], fresh(2, 2), budget=budget, pool=pool, progress=events.append)
    assert [event.done for event in events] == list(range(1, 2 * budget.runs + 5))
    assert {event.total for event in events} == {2 * (budget.runs + 2)}
    assert Counter((e.stage, e.replicate) for e in events) == {
        (stage, replicate): runs for stage, runs in (("tuning", budget.runs), ("evaluation", 2)) for replicate in (0, 1)
    }


def test_a_program_that_fails_more_often_is_not_called_better() -> None:
    pool = Invented({"found": 1.0, "adamw": 1e-3}, {"found": 0.1})

    def sometimes(job: TrainingJob) -> Trained:
        return FAILED if job.contender.name == "found" and job.seed == fresh(4)[0][0] else pool(job)

    found = evaluate([SGD, baseline("adamw")], [AE], fresh(4, 8), budget=TuningBudget(4), pool=Here(sometimes))
    (row,) = found.comparisons
    assert (row.verdict, row.failed, row.baseline_failed) == ("undecided", 1, 0)


def test_a_real_evaluation_and_a_contender_that_always_fails() -> None:
    def once() -> Evaluation:
        contenders = [SGD, DIVERGING, baseline("sgd")]
        return evaluate(contenders, [AE], fresh(2, 5), budget=TuningBudget(trials=2, seeds=1))

    found = once()
    for row in found.rows:
        assert row.outcome == ("non_finite" if row.contender == "diverging" else "ok")
        assert (row.test_loss is None) == (row.contender == "diverging")
    mine, diverging = found.comparisons
    assert (diverging.verdict, diverging.failed) == ("worse", 10)
    assert mine.failed == 0
    estimates = {row.contender: row for row in found.estimates}
    assert estimates["diverging"].loss is None
    assert estimates["diverging"].replicates == (None,) * 5
    assert found.times[1].reached == 0.0
    assert found.times[2].reached > 0.0, "some run of the reference is at most at its mean"
    again = once()
    assert [replace(row, seconds=0.0) for row in again.rows] == [replace(row, seconds=0.0) for row in found.rows]
    assert again.comparisons == found.comparisons


def test_a_job_is_a_pure_function() -> None:
    job = TrainingJob(baseline("adamw"), AE, (("rate", 1e-3), ("weight_decay", 0.1)), 11)
    assert run_job(job).result == run_job(job).result
    assert run_job(job).result != run_job(replace(job, values=(("rate", 1e-3), ("weight_decay", 10.0)))).result


def test_only_runs_on_fresh_seeds_record_validation_losses() -> None:
    pool, seeds = Invented({"found": 1.0, "adamw": 1e-3}), fresh(2, 2)
    found = evaluate([SGD, baseline("adamw")], [AE], seeds, budget=TuningBudget(3), pool=Here(pool))
    assert {job.seed for job in pool.jobs if job.validates} == {seed for replicate in seeds for seed in replicate}
    assert {job.seed for job in pool.jobs if not job.validates} == {
        seed for number in range(2) for seed in TuningBudget().seeds_of(number)
    }
    assert all(row.validation_losses == row.train_losses for row in found.rows), "those of the invented runs"


def test_the_target_is_a_validation_loss() -> None:
    def training(job: TrainingJob) -> Trained:
        """Training losses of the program are lower throughout, validation losses reach half of the baseline's."""
        mine, falling = job.contender.name == "found", tuple(10.0 - place for place in range(10))
        train, validation = (0.0,) * 10 if mine else falling, tuple(2.0 * x for x in falling) if mine else falling
        return Trained(TrainingResult(Outcome.OK, 1.0, 1.0, None, 300, train, None, validation), 0.1)

    found = evaluate([SGD, baseline("adamw")], [AE], fresh(2), budget=TuningBudget(0), pool=Here(training))
    (mine, other), steps = found.times, found.checkpoints[0]
    assert other.median_steps == (("ae", float(steps[7])),), "the first checkpoint after three quarters: a loss of 3"
    assert mine.median_steps == (("ae", steps[8] + (steps[9] - steps[8]) / 2),), "twice 1.5"


def test_the_key_of_a_job_is_what_its_result_depends_on() -> None:
    program = Contender("a", LIBRARY["adamw"])
    job = TrainingJob(program, AE, (("rate", 1.0), ("weight_decay", 0.01)), 1)
    assert job.key == replace(job, contender=Contender("b", LIBRARY["adamw"])).key
    assert job.key == replace(job, values=(("rate", 1.0),)).key, "the decay is the program's own"
    others = [replace(job, seed=2), replace(job, problem=Problem("ae", 16)), replace(job, values=(("rate", 2.0),))]
    others += [replace(job, values=(("rate", 1.0), ("weight_decay", 0.02))), replace(job, contender=baseline("adamw"))]
    others += [replace(job, validates=True)]
    assert len({job.key, *(other.key for other in others)}) == 7
    assert replace(job, validates=True).key.startswith(job.key), "what tuning has kept is kept under the same key"


@pytest.mark.parametrize(
    ("contenders", "seeds", "trials", "match"),
    [
        ([], [(1,)], 4, "nothing to evaluate"),
        ([SGD, SGD], [(1,)], 4, "two contenders are named 'found'"),
        ([SGD], [], 4, "at least one fresh seed"),
        ([SGD], [()], 4, "at least one fresh seed"),
        ([SGD], [(1, 1)], 4, "must be distinct"),
        ([SGD], [(1,), (1,)], 4, "must be distinct"),
        ([SGD], [(1, 2), (3,)], 4, "the same number of fresh seeds"),
        ([SGD], [(1,), (2,)], 0, "nothing to replicate"),
        ([SGD], [TuningBudget().seeds_of(0)[:1]], 4, "both a tuning seed and a fresh seed"),
    ],
)
def test_what_makes_no_fair_comparison_is_refused(
    contenders: list[Contender], seeds: list[tuple[int, ...]], trials: int, match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        evaluate(contenders, [AE], seeds, budget=TuningBudget(trials))
