"""What the runs of an evaluation say: each program against each baseline, all tasks together, time to a target.

A program is better than a baseline on a task when it trains on every seed and the paired difference, corrected for all
comparisons of the evaluation, is more than chance. That nothing is shown says as little as the seeds that were spent:
the smallest difference that they would have shown stands beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optsearch.selection.bootstrap import bootstrap_interval, stratified_interval
from optsearch.selection.ranks import interquartile_mean, probability_of_improvement
from optsearch.selection.significance import holm, permutation_test, smallest_p_value
from optsearch.selection.statistics import Interval, minimum_detectable_effect
from optsearch.selection.time_to_target import FACTORS, performance_profile, steps_to_target, target_place

LEVEL = 0.05
"""Chance of any false winner among the comparisons of an evaluation."""

Losses = Mapping[str, Mapping[str, Mapping[int, float]]]
"""For each task, each contender and each seed the test loss; infinite where training failed."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A program against a baseline on a task.

    Attributes:
        task: name of the task, with the batch size if it is not the task's own.
        contender: the program's name.
        baseline: the baseline's name.
        difference: loss of the program minus that of the baseline over the seeds on which both trained, with a
            bootstrap interval: below zero the program is better; None when there is no such seed.
        failed: seeds on which the program did not train.
        baseline_failed: seeds on which the baseline did not train.
        p_value: of the paired permutation test; 1 without a difference.
        corrected: the same, corrected by Holm's method for all comparisons of the evaluation.
        detectable: smallest difference that would be found with a probability of 80 %, at the level that remains when
            nothing else is found; None when this many seeds can show nothing.
        verdict: ``better``, ``worse`` or ``undecided``.
    """

    task: str
    contender: str
    baseline: str
    difference: Interval | None
    failed: int
    baseline_failed: int
    p_value: float
    corrected: float
    detectable: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Overall:
    """A contender over all tasks.

    Attributes:
        contender: its name.
        relative_loss: interquartile mean over tasks and seeds of the loss as a share of the reference's mean on the
            task, minus 1: below zero is better. None when more than a quarter of the runs failed.
        improvement: probability that one of its runs is better than one of the reference on the same task, mean over
            tasks; failures count as losses. None for the reference itself.
        failed: runs that failed, of all.
    """

    contender: str
    relative_loss: Interval | None
    improvement: Interval | None
    failed: int


@dataclass(frozen=True, slots=True)
class TimeToTarget:
    """How quickly a contender gets to the training loss that the reference has after three quarters of its steps.

    Attributes:
        contender: its name.
        reached: share of runs that get there.
        failed: for each task the number of runs that do not.
        median_steps: for each task the median number of steps; None where half of the runs or more fail.
        operations: arithmetic of its step for each parameter.
        profile_steps: share of runs that need at most so many times the steps of the quickest, for each factor.
        profile_cost: the same, counted in steps times arithmetic.
    """

    contender: str
    reached: float
    failed: tuple[tuple[str, int], ...]
    median_steps: tuple[tuple[str, float | None], ...]
    operations: float
    profile_steps: tuple[float, ...]
    profile_cost: tuple[float, ...]


def compare(losses: Losses, programs: Sequence[str], baselines: Sequence[str]) -> tuple[Comparison, ...]:
    """Every program against every baseline on every task, as one family of tests."""
    pairs = [(task, mine, other) for task in losses for mine in programs for other in baselines]
    found = [_differences(losses[task][mine], losses[task][other]) for task, mine, other in pairs]
    p_values = [permutation_test(differences) for differences in found]
    rows: list[Comparison] = []
    for (task, mine, other), differences, p, corrected in zip(pairs, found, p_values, holm(p_values), strict=True):
        mean = math.fsum(differences) / max(len(differences), 1)
        failed, other_failed = _failed(losses[task][mine]), _failed(losses[task][other])
        certain = corrected <= LEVEL and not failed
        verdict = "better" if certain and mean < 0 else "worse" if certain and mean > 0 else "undecided"
        if failed > other_failed:
            verdict = "worse"
        rows.append(
            Comparison(
                task=task,
                contender=mine,
                baseline=other,
                difference=bootstrap_interval(differences) if differences else None,
                failed=failed,
                baseline_failed=other_failed,
                p_value=p,
                corrected=corrected,
                detectable=_detectable(differences, LEVEL / len(pairs)),
                verdict=verdict,
            )
        )
    return tuple(rows)


def overall(losses: Losses, contenders: Sequence[str], reference: str) -> tuple[Overall, ...]:
    """Every contender over all tasks, in units of the reference's mean loss on each."""
    scales = {task: _mean([x for x in rows[reference].values() if x < math.inf]) for task, rows in losses.items()}
    tasks = [task for task in losses if scales[task] not in (0.0, math.inf)]

    def relative(name: str) -> list[list[float]]:
        return [[(x - scales[task]) / abs(scales[task]) for x in losses[task][name].values()] for task in tasks]

    theirs, rows = relative(reference), list[Overall]()
    for name in contenders:
        mine = relative(name)
        failed = sum(x == math.inf for stratum in mine for x in stratum)
        better = None
        if name != reference and tasks:
            better = stratified_interval(
                lambda strata: _mean(
                    [
                        probability_of_improvement(a, b)
                        for a, b in zip(strata[: len(tasks)], strata[len(tasks) :], strict=True)
                    ]
                ),
                [*mine, *theirs],
            )
        known = tasks and failed <= sum(map(len, mine)) // 4
        score = stratified_interval(_interquartile, _finite(mine)) if known else None
        rows.append(Overall(name, score, better, failed))
    return tuple(rows)


def times_to_target(
    curves: Mapping[str, Mapping[str, Sequence[Sequence[float]]]],
    checkpoints: Mapping[str, Sequence[int]],
    operations: Mapping[str, float],
    reference: str,
) -> tuple[TimeToTarget, ...]:
    """Time to the running training loss that the reference has on average after three quarters of its steps, by task.

    Args:
        curves: for each task and contender its training curves, one a seed; shorter where training failed.
        checkpoints: for each task the steps at which the curves were noted.
        operations: for each contender the arithmetic of its step.
        reference: whose training loss is the target; tasks on which it always fails are left out.
    """
    steps: dict[str, dict[str, list[float]]] = {name: {} for name in operations}
    for task, rows in curves.items():
        place = target_place(checkpoints[task])
        losses = [curve[place] for curve in rows[reference] if len(curve) > place]
        if losses:
            for name in operations:
                times = [steps_to_target(checkpoints[task], curve, _mean(losses)) for curve in rows[name]]
                steps[name][task] = times
    flat = {name: [time for times in tasks.values() for time in times] for name, tasks in steps.items()}
    cost = {name: [time * max(operations[name], 1.0) for time in times] for name, times in flat.items()}
    by_steps, by_cost = performance_profile(flat, FACTORS), performance_profile(cost, FACTORS)
    return tuple(
        TimeToTarget(
            contender=name,
            reached=sum(time < math.inf for time in flat[name]) / max(len(flat[name]), 1),
            failed=tuple((task, times.count(math.inf)) for task, times in steps[name].items()),
            median_steps=tuple((task, _median(times)) for task, times in steps[name].items()),
            operations=operations[name],
            profile_steps=tuple(by_steps[name]),
            profile_cost=tuple(by_cost[name]),
        )
        for name in operations
    )


def _differences(mine: Mapping[int, float], theirs: Mapping[int, float]) -> list[float]:
    both = [seed for seed in mine if seed in theirs and max(mine[seed], theirs[seed]) < math.inf]
    return [mine[seed] - theirs[seed] for seed in both]


def _detectable(differences: Sequence[float], level: float) -> float | None:
    if len(differences) < 2 or smallest_p_value(len(differences)) > level:
        return None
    mean = math.fsum(differences) / len(differences)
    variance = math.fsum((value - mean) ** 2 for value in differences) / (len(differences) - 1)
    return minimum_detectable_effect(math.sqrt(variance), len(differences), level)


def _failed(losses: Mapping[int, float]) -> int:
    return sum(loss == math.inf for loss in losses.values())


def _finite(strata: Sequence[Sequence[float]]) -> list[list[float]]:
    """The strata with failures put last, where the interquartile mean leaves them out."""
    worst = max((x for stratum in strata for x in stratum if x < math.inf), default=0.0)
    return [[min(x, worst) for x in stratum] for stratum in strata]


def _interquartile(strata: Sequence[Sequence[float]]) -> float:
    return interquartile_mean([x for stratum in strata for x in stratum])


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.inf


def _median(times: Sequence[float]) -> float | None:
    middle = sorted(times)[len(times) // 2]
    return middle if middle < math.inf else None
