"""Statistics of an evaluation: pairwise comparisons with baselines, aggregates over tasks, and time to target.

A program is better than a baseline on a task if it trains on every seed and the paired difference is significant after
correction for all comparisons of the evaluation. A non-significant result is reported with the minimum detectable
effect, the smallest difference that the given number of seeds would have shown.
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
"""Family-wise error rate of the comparisons of an evaluation."""

Losses = Mapping[str, Mapping[str, Mapping[int, float]]]
"""Test loss by task, contender and seed; infinity if training failed."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Comparison of a program with a baseline on a task.

    Attributes:
        task: name of the task, with the batch size unless it is the task's default.
        contender: name of the program.
        baseline: name of the baseline.
        difference: mean of the program's loss minus the baseline's over the seeds on which both trained, with a
            bootstrap interval; negative if the program is better. None if there is no such seed.
        failed: number of seeds on which the program did not train.
        baseline_failed: number of seeds on which the baseline did not train.
        p_value: p-value of the paired permutation test; 1 without a difference.
        corrected: p-value after Holm's correction for all comparisons of the evaluation.
        detectable: minimum difference detected with a power of 80 %, at the significance level that remains if no other
            comparison is significant. None if the number of seeds is too small to show any difference.
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
    """Aggregate results of a contender over all tasks.

    Attributes:
        contender: name of the contender.
        relative_loss: interquartile mean over tasks and seeds of the loss divided by the reference's mean loss on the
            task, minus 1; negative is better. None if more than a quarter of the runs failed.
        improvement: probability that a run is better than a run of the reference on the same task, averaged over tasks;
            failures count as losses. None for the reference itself.
        failed: number of failed runs.
    """

    contender: str
    relative_loss: Interval | None
    improvement: Interval | None
    failed: int


@dataclass(frozen=True, slots=True)
class TimeToTarget:
    """Time of a contender to the training loss that the reference reaches after three quarters of its steps.

    Attributes:
        contender: name of the contender.
        reached: fraction of runs that reach the target.
        failed: for each task, the number of runs that do not reach the target.
        median_steps: for each task, the median number of steps; None if at least half of the runs fail.
        operations: arithmetic operations of one step per parameter.
        profile_steps: performance profile: for each factor, the fraction of runs within that factor of the fastest.
        profile_cost: the same, with time measured as steps times arithmetic.
    """

    contender: str
    reached: float
    failed: tuple[tuple[str, int], ...]
    median_steps: tuple[tuple[str, float | None], ...]
    operations: float
    profile_steps: tuple[float, ...]
    profile_cost: tuple[float, ...]


def compare(losses: Losses, programs: Sequence[str], baselines: Sequence[str]) -> tuple[Comparison, ...]:
    """Compares every program with every baseline on every task, as one family of tests."""
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
    """Aggregates each contender over all tasks, in units of the reference's mean loss on each task."""
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
    """Computes the time to target of each contender; see `TimeToTarget`.

    Args:
        curves: for each task and contender its training curves, one per seed; shorter if training failed.
        checkpoints: for each task, the steps at which the losses were recorded.
        operations: for each contender, the arithmetic operations of one step.
        reference: contender that sets the target; tasks on which all of its runs fail are omitted.
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
    """Replaces failures by the largest values, which the interquartile mean excludes."""
    worst = max((x for stratum in strata for x in stratum if x < math.inf), default=0.0)
    return [[min(x, worst) for x in stratum] for stratum in strata]


def _interquartile(strata: Sequence[Sequence[float]]) -> float:
    return interquartile_mean([x for stratum in strata for x in stratum])


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.inf


def _median(times: Sequence[float]) -> float | None:
    middle = sorted(times)[len(times) // 2]
    return middle if middle < math.inf else None
