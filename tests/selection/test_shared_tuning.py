"""One setting for all tasks: what a tuning over several tasks minimises, requests and selects."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest
from invented import FAILED, Invented, ended

from optsearch.dsl.library import LIBRARY
from optsearch.proxy_tasks.run import Trained
from optsearch.search.pool import Here
from optsearch.selection.comparison.evaluate import TrainingProgress, evaluate
from optsearch.selection.comparison.evaluation import Evaluation
from optsearch.selection.contender import Contender, TrainingJob, baseline
from optsearch.selection.problem import Problem
from optsearch.selection.tuning.objective import SharedTuningError, objective, units
from optsearch.selection.tuning.tuner import Trial, TuningBudget, fresh_seeds

SGD, ADAMW = Contender("found", LIBRARY["sgd"]), baseline("adamw")
AE, DIGITS, TEACH = Problem("ae"), Problem("digits"), Problem("teach")
TRIVIAL = {problem.name: problem.load().trivial_loss or 0.0 for problem in (AE, DIGITS, TEACH)}


class Elsewhere:
    """A training whose loss is lowest at another rate on each task.

    Args:
        best: best rate by task, in multiples of the contender's own; AdamW's own is 1e-3.
        scale: unit of the loss by task; 1 for the others.
        fails: the task on which a rate above the contender's own fails.
    """

    def __init__(self, best: Mapping[str, float], scale: Mapping[str, float] | None = None, fails: str = ""):
        self.best, self.scale, self.fails, self.jobs = best, scale or {}, fails, list[TrainingJob]()

    def __call__(self, job: TrainingJob) -> Trained:
        self.jobs.append(job)
        task, rate = job.problem.name, dict(job.values)["rate"] * (1e3 if job.contender.is_baseline else 1.0)
        wobble = 0.01 * math.sin(job.seed * len(job.contender.name) + len(task))
        loss = self.scale.get(task, 1.0) * (1.0 + 0.2 * math.log10(rate / self.best[task]) ** 2 + wobble)
        return FAILED if task == self.fails and rate > 1.01 else ended(loss)


def shared(pool: Elsewhere | Invented, problems: list[Problem], replicates: int = 2, trials: int = 12) -> Evaluation:
    seeds = [fresh_seeds(2, replicate=number) for number in range(replicates)]
    return evaluate([SGD, ADAMW], problems, seeds, budget=TuningBudget(trials), shared=True, pool=Here(pool))


def points(found: Evaluation, contender: str, replicate: int) -> list[dict[str, Trial]]:
    """The trials of a tuning: for each point its trial on each task."""
    mine = [row for row in found.tuning if (row.contender, row.replicate) == (contender, replicate)]
    return [
        dict(zip((row.task for row in mine), trials, strict=True))
        for trials in zip(*(row.tuned.trials for row in mine), strict=True)
    ]


def relative(point: Mapping[str, Trial]) -> float:
    """Mean over seeds and tasks of the loss as a share of the trivial predictor's."""
    shares = [loss / TRIVIAL[task] for task, trial in point.items() for loss in trial.losses]
    return sum(shares) / len(shares)


def test_the_point_of_lowest_mean_relative_loss_is_selected_and_runs_on_every_task() -> None:
    found = shared(Elsewhere({"ae": 0.1, "digits": 3.0, "teach": 1.0}, {"digits": 40.0}), [AE, DIGITS, TEACH])
    assert found.shared
    for contender in ("found", "adamw"):
        for replicate in range(2):
            tried = points(found, contender, replicate)
            assert all(len({trial.values for trial in point.values()}) == 1 for point in tried)
            assert all(trial.objective == pytest.approx(relative(p)) for p in tried for trial in p.values())
            best = min((point for point in tried if len(point["ae"].losses) == 3), key=relative)
            for row in found.tuning:
                if (row.contender, row.replicate) == (contender, replicate):
                    assert row.tuned.values == best[row.task].values
                    assert row.tuned.loss == best[row.task].mean
                    assert row.tuned.objective == pytest.approx(relative(best))
            runs = [row for row in found.rows if (row.contender, row.replicate) == (contender, replicate)]
            assert Counter(row.task for row in runs) == {"ae": 2, "digits": 2, "teach": 2}
            assert {row.values for row in runs} == {best["ae"].values}


def test_every_point_is_trained_on_all_tasks_and_the_better_half_goes_on() -> None:
    pool, budget = Elsewhere({"ae": 0.1, "digits": 3.0}, {"ae": 7.0}), TuningBudget(12)
    found = shared(pool, [AE, DIGITS], replicates=1)
    of_tuning = [job for job in pool.jobs if job.seed in budget.seeds_of(0)]
    for task in ("ae", "digits"):
        runs = Counter((job.contender.name, job.seed) for job in of_tuning if job.problem.name == task)
        for number, seed in enumerate(budget.seeds_of(0)):
            expected = sum(budget.survivors(count)[number] for count in budget.rounds)
            assert runs["found", seed] == runs["adamw", seed] == expected
    tried = points(found, "found", 0)
    assert all(len({len(trial.losses) for trial in point.values()}) == 1 for point in tried)
    first = tried[: budget.rounds[0]]
    shares = [sum(trial.losses[0] / TRIVIAL[task] for task, trial in point.items()) for point in first]
    further = [place for place, point in enumerate(first) if len(point["ae"].losses) > 1]
    assert further == sorted(sorted(range(len(first)), key=shares.__getitem__)[: len(further)])


def test_with_one_task_nothing_changes() -> None:
    def once(*, shared: bool) -> Evaluation:
        seeds = [fresh_seeds(2, replicate=number) for number in range(2)]
        pool = Here(Invented({"found": 0.3, "adamw": 1e-2}))
        return evaluate([SGD, ADAMW], [AE], seeds, budget=TuningBudget(8), shared=shared, pool=pool)

    assert replace(once(shared=True), shared=False) == once(shared=False)


def test_a_shared_tuning_costs_as_many_runs_as_separate_ones() -> None:
    totals: dict[bool, list[tuple[int, int]]] = {}
    for together in (False, True):
        events: list[TrainingProgress] = []
        seeds, pool = [fresh_seeds(2)], Here(Elsewhere({"ae": 1.0, "digits": 1.0}))
        evaluate(
            [SGD, ADAMW], [AE, DIGITS], seeds, budget=TuningBudget(5), shared=together, pool=pool,
            progress=events.append,
        )  # fmt: skip
        totals[together] = [(event.done, event.total) for event in events]
    assert totals[True] == totals[False]
    assert totals[True][-1] == (len(totals[True]),) * 2


def test_a_point_that_fails_on_one_task_is_behind_every_other() -> None:
    found = shared(Elsewhere({"ae": 10.0, "digits": 10.0}, fails="digits"), [AE, DIGITS])
    assert all(row.tuned.objective is not None and row.tuned.objective < math.inf for row in found.tuning)
    assert {row.outcome for row in found.rows} == {"ok"}
    alone = evaluate([SGD], [AE], [fresh_seeds(1)], pool=Here(Elsewhere({"ae": 10.0}, fails="digits")))
    assert dict(alone.rows[0].values)["rate"] > 2.0 > dict(found.rows[0].values)["rate"]


def test_of_a_family_one_member_stands_for_all_tasks() -> None:
    def loss(job: TrainingJob) -> Trained:
        better = {("ae", "adamw"): 0.1, ("digits", "clipped"): 0.3}.get((job.problem.name, job.contender.name), 0.0)
        return ended(TRIVIAL[job.problem.name] * (0.9 - better))

    contenders = [SGD, ADAMW, baseline("clipped")]
    every = {
        together: evaluate(
            contenders, [AE, DIGITS], [fresh_seeds(1)], budget=TuningBudget(2), shared=together, pool=Here(loss)
        )
        for together in (False, True)
    }
    assert every[False].families[0].best == (("ae", ("adamw",)), ("digits", ("clipped",)))
    assert every[True].families[0].best == (("ae", ("clipped",)), ("digits", ("clipped",)))


@pytest.mark.parametrize(("loss", "has"), [(None, "none"), (0.0, "0"), (-1.5, "-1.5"), (math.inf, "inf")])
def test_a_task_without_a_trivial_loss_cannot_share(
    loss: float | None, has: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(DIGITS.load()), "trivial_loss", loss)
    match = f"task 'digits': .*--shared.* needs a trivial loss above 0 .*has {has}: declare `trivial_loss`"
    with pytest.raises(SharedTuningError, match=match):
        shared(Elsewhere({"ae": 1.0, "digits": 1.0}), [AE, DIGITS])
    assert units([DIGITS]) == (1.0,), "a single task has no need of it"


def test_nothing_is_shared_without_tuning() -> None:
    with pytest.raises(SharedTuningError, match="at least one trial"):
        shared(Elsewhere({"ae": 1.0}), [AE], replicates=1, trials=0)


def test_the_objective_is_a_mean_of_shares_and_infinite_if_one_is() -> None:
    assert objective([3.0, 0.5], [6.0, 0.25]) == pytest.approx((0.5 + 2.0) / 2)
    assert objective([3.0, math.inf], [6.0, 0.25]) == math.inf
    assert objective([0.1 + 0.2], [1.0]) == 0.1 + 0.2, "exact for a single task"
