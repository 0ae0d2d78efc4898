"""Statistics of an evaluation: losses with their two variances, comparisons with baselines, and time to target.

The unit of inference is the replicate: one independent tuning of a contender, measured on its own fresh seeds. A single
tuning says something about the settings that it found, and nothing about the optimizer. A training run that fails
counts as the worst loss of any run on its task, or as the trivial predictor's loss if that is larger.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optsearch.selection.statistics.bootstrap import bootstrap_interval
from optsearch.selection.statistics.intervals import (
    Interval,
    difference_interval,
    mean_interval,
    minimum_detectable_difference,
    relative_difference,
    variances,
)
from optsearch.selection.statistics.ranks import probability_of_improvement
from optsearch.selection.statistics.significance import holm, permutation_test, smallest_p_value
from optsearch.selection.statistics.time_to_target import FACTORS, performance_profile, steps_to_target, target_place

LEVEL = 0.05
"""Family-wise error rate of the comparisons of an evaluation."""

Losses = Mapping[str, Mapping[str, Sequence[Sequence[float]]]]
"""Test losses by task and contender: for each replicate one loss per fresh seed; infinity if training failed."""

Trivial = Mapping[str, float | None]
"""Test loss by task of a predictor that ignores its input; None if unknown."""

UNREPLICATED = "of these settings"
"""Verdict without replicates: the difference holds for the settings found, and the optimizers are not compared."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Loss of a contender on a task.

    Attributes:
        task: name of the task, with the batch size unless it is the task's default.
        contender: name of the contender or family.
        loss: mean over replicates, with Student's interval; with a single replicate over seeds, and valid for the
            settings found alone. Failed runs are left out. None if every run failed.
        between_tunings: standard deviation between tunings, beyond the noise of the seeds; None for a single replicate.
        between_seeds: standard deviation between the seeds of one tuning; None for a single seed.
        failed: number of failed runs.
        is_trivial: True if the loss is not shown to be below that of a predictor that ignores its input.
        replicates: mean loss of each replicate over the seeds on which it trained; None if there are none.
    """

    task: str
    contender: str
    loss: Interval | None
    between_tunings: float | None
    between_seeds: float | None
    failed: int
    is_trivial: bool
    replicates: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Comparison of a program with a baseline on a task.

    Attributes:
        task: name of the task, with the batch size unless it is the task's default.
        contender: name of the program.
        baseline: name of the baseline.
        difference: mean loss of the program minus the baseline's, with Welch's interval over replicates; negative if
            the program is better. With a single replicate, the interval is over paired seeds and holds for the settings
            found.
        failed: number of runs in which the program did not train.
        baseline_failed: number of runs in which the baseline did not train.
        p_value: p-value of the permutation test over replicates; None without replicates.
        corrected: p-value after Holm's correction for all comparisons of the evaluation; None without replicates.
        detectable: minimum difference detected with a power of 80 %, at the significance level that remains if no other
            comparison is significant. None if the number of replicates is too small to show any difference.
        verdict: ``better``, ``worse``, ``undecided``, or `UNREPLICATED`.
    """

    task: str
    contender: str
    baseline: str
    difference: Interval | None
    failed: int
    baseline_failed: int
    p_value: float | None
    corrected: float | None
    detectable: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Headline:
    """Comparison of a program with an opponent over all tasks.

    Attributes:
        contender: name of the program.
        opponent: name of a family of baselines, of which the best member counts, or of a baseline without family.
        relative: mean over tasks of the relative difference of losses, with an interval over replicates: it holds for
            these tasks. Negative if the program is better.
        over_tasks: the same mean with an interval that treats the tasks as a sample of further tasks; None for fewer
            than three tasks.
        leads: number of tasks on which the program has the lower mean loss.
        tasks: number of tasks.
        p_value: p-value of the permutation test over replicates, stratified by task; None without replicates.
        corrected: as in `Comparison`, with which it shares the correction.
        verdict: as in `Comparison`.
    """

    contender: str
    opponent: str
    relative: Interval | None
    over_tasks: Interval | None
    leads: int
    tasks: int
    p_value: float | None
    corrected: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Overall:
    """Aggregate results of a contender over all tasks.

    Attributes:
        contender: name of the contender.
        relative_loss: mean over tasks of the loss relative to the reference's, minus 1, with an interval over the
            replicates of both; negative is better. None if a task has no finite loss.
        improvement: probability that a tuning is better than a tuning of the reference on the same task, averaged over
            tasks. None for the reference itself.
        failed: number of failed runs.
    """

    contender: str
    relative_loss: Interval | None
    improvement: Interval | None
    failed: int


@dataclass(frozen=True, slots=True)
class TimeToTarget:
    """Time of a contender to the validation loss that the reference reaches after three quarters of its steps.

    Attributes:
        contender: name of the contender.
        reached: fraction of runs that reach the target.
        failed: for each task, the number of runs that do not reach the target.
        median_steps: for each task, the median number of steps; None if at least half of the runs fail.
        operations: arithmetic operations of one step per parameter; None if unknown.
        profile_steps: performance profile: for each factor, the fraction of runs within that factor of the fastest.
        profile_cost: the same, with time measured as steps times arithmetic; empty if that is unknown.
    """

    contender: str
    reached: float
    failed: tuple[tuple[str, int], ...]
    median_steps: tuple[tuple[str, float | None], ...]
    operations: float | None
    profile_steps: tuple[float, ...]
    profile_cost: tuple[float, ...]


def estimates(losses: Losses, trivial: Trivial) -> tuple[Estimate, ...]:
    """Losses of all contenders on all tasks, with both variances."""
    found: list[Estimate] = []
    for task, rows in losses.items():
        for name, replicates in rows.items():
            trained = [[loss for loss in losses if loss < math.inf] for losses in replicates]
            means = [_mean(row) if row else None for row in trained]
            known = [mean for mean in means if mean is not None]
            whole = [row for row in trained if row]
            between, within = variances(whole) if whole else (None, None)
            if len(replicates) == 1:
                loss = bootstrap_interval(whole[0]) if whole else None
            else:
                loss = mean_interval(known) if known else None
            failed = sum(map(len, replicates)) - sum(map(len, trained))
            is_trivial = _is_trivial(loss, trivial[task])
            found.append(Estimate(task, name, loss, between, within, failed, is_trivial, tuple(means)))
    return tuple(found)


def _is_trivial(loss: Interval | None, trivial: float | None) -> bool:
    if loss is None or trivial is None:
        return False
    return (loss.mean if loss.high is None else loss.high) >= trivial


def compare(
    losses: Losses,
    programs: Sequence[str],
    baselines: Sequence[str],
    opponents: Sequence[str],
    trivial: Trivial,
    *,
    replicated: bool,
) -> tuple[tuple[Comparison, ...], tuple[Headline, ...]]:
    """Compares programs with baselines, as one family of tests.

    Args:
        losses: losses of programs, baselines and families.
        programs: names of the programs.
        baselines: names of the baselines, with which every program is compared on each task.
        opponents: names of families and of baselines without one, with which every program is compared over all tasks.
        trivial: losses of trivial predictors.
        replicated: True if the losses are those of several tunings. Otherwise no p-values are computed.
    """
    counted = {task: counted_losses(rows, trivial[task]) for task, rows in losses.items()}
    pairs = [(task, mine, other) for task in losses for mine in programs for other in baselines]
    whole = [(mine, other) for mine in programs for other in opponents]
    p_values: list[float] = []
    corrected: list[float | None] = [None] * (len(pairs) + len(whole))
    if replicated:
        p_values = [permutation_test([(counted[task][mine], counted[task][other])]) for task, mine, other in pairs]
        p_values += [
            permutation_test([(rows[mine], rows[other]) for rows in counted.values()]) for mine, other in whole
        ]
        least = [smallest_p_value(len(counted[task][mine])) for task, mine, _ in pairs]
        least += [smallest_p_value(len(next(iter(counted.values()))[mine]), len(counted)) for mine, _ in whole]
        corrected = list(holm(p_values, least))
    raw: list[float | None] = list(p_values) if replicated else [None] * (len(pairs) + len(whole))
    tests = len(pairs) + len(whole)
    rows = [
        _comparison(pair, losses[pair[0]], counted[pair[0]], p, after, tests)
        for pair, p, after in zip(pairs, raw, corrected, strict=False)
    ]
    heads = [
        _headline(mine, other, losses, counted, p, after)
        for (mine, other), p, after in zip(whole, raw[len(pairs) :], corrected[len(pairs) :], strict=True)
    ]
    return tuple(rows), tuple(heads)


def _comparison(
    pair: tuple[str, str, str],
    losses: Mapping[str, Sequence[Sequence[float]]],
    counted: Mapping[str, Sequence[float]],
    p_value: float | None,
    corrected: float | None,
    tests: int,
) -> Comparison:
    task, mine, other = pair
    failed, other_failed = _failed(losses[mine]), _failed(losses[other])
    detectable = None
    if p_value is None:
        both = [a - b for a, b in zip(losses[mine][0], losses[other][0], strict=True) if max(a, b) < math.inf]
        difference = bootstrap_interval(both) if both else None
    else:
        difference = difference_interval(counted[mine], counted[other])
        if smallest_p_value(len(counted[mine])) <= LEVEL / tests:
            detectable = minimum_detectable_difference(counted[mine], counted[other], LEVEL / tests)
    mean = None if difference is None else difference.mean
    return Comparison(
        task=task,
        contender=mine,
        baseline=other,
        difference=difference,
        failed=failed,
        baseline_failed=other_failed,
        p_value=p_value,
        corrected=corrected,
        detectable=detectable,
        verdict=_verdict(mean, corrected, failed, other_failed),
    )


def _headline(
    mine: str,
    other: str,
    losses: Losses,
    counted: Mapping[str, Mapping[str, Sequence[float]]],
    p_value: float | None,
    corrected: float | None,
) -> Headline:
    pairs = [(rows[mine], rows[other]) for rows in counted.values() if _mean(rows[other]) not in (0.0, math.inf)]
    relative = relative_difference(pairs) if pairs else None
    each = [relative_difference([pair]).mean for pair in pairs]
    failed = sum(_failed(rows[mine]) for rows in losses.values())
    other_failed = sum(_failed(rows[other]) for rows in losses.values())
    return Headline(
        contender=mine,
        opponent=other,
        relative=relative,
        over_tasks=mean_interval(each) if len(each) > 2 else None,
        leads=sum(_mean(rows[mine]) < _mean(rows[other]) for rows in counted.values()),
        tasks=len(counted),
        p_value=p_value,
        corrected=corrected,
        verdict=_verdict(relative and relative.mean, corrected, failed, other_failed),
    )


def _verdict(mean: float | None, corrected: float | None, failed: int, other_failed: int) -> str:
    """The verdict on a difference; a program that fails more often than its opponent is not called better."""
    if corrected is None or mean is None:
        return UNREPLICATED
    if corrected > LEVEL or (mean < 0.0 and failed > other_failed):
        return "undecided"
    return "better" if mean < 0.0 else "worse"


def overall(losses: Losses, contenders: Sequence[str], reference: str, trivial: Trivial) -> tuple[Overall, ...]:
    """Aggregates each contender over all tasks, relative to the reference's mean loss on each task."""
    counted = {task: counted_losses(rows, trivial[task]) for task, rows in losses.items()}
    tasks = [task for task, rows in counted.items() if _mean(rows[reference]) not in (0.0, math.inf)]
    rows: list[Overall] = []
    for name in contenders:
        pairs = [(counted[task][name], counted[task][reference]) for task in tasks]
        score = better = None
        if pairs:
            score = Interval(0.0, None, None, len(pairs[0][1])) if name == reference else relative_difference(pairs)
        if name != reference and pairs:
            mean = _mean([probability_of_improvement(a, b) for a, b in pairs])
            better = Interval(mean, None, None, len(pairs[0][0]))
        rows.append(Overall(name, score, better, sum(_failed(found[name]) for found in losses.values())))
    return tuple(rows)


def times_to_target(
    curves: Mapping[str, Mapping[str, Sequence[Sequence[float | None]]]],
    checkpoints: Mapping[str, Sequence[int]],
    operations: Mapping[str, float | None],
    reference: str,
) -> tuple[TimeToTarget, ...]:
    """Computes the time to target of each contender; see `TimeToTarget`.

    Args:
        curves: for each task and contender its validation losses at the checkpoints, for each seed; shorter if training
            failed, None where the loss is not finite.
        checkpoints: for each task, the steps at which the losses were recorded.
        operations: for each contender, the arithmetic operations of one step; None if unknown.
        reference: contender that sets the target; tasks on which all of its runs fail are omitted.
    """
    steps: dict[str, dict[str, list[float]]] = {name: {} for name in operations}
    for task, rows in curves.items():
        place = target_place(checkpoints[task])
        reached = [curve[place] for curve in rows[reference] if len(curve) > place]
        losses = [loss for loss in reached if loss is not None]
        if losses:
            for name in operations:
                times = [steps_to_target(checkpoints[task], curve, _mean(losses)) for curve in rows[name]]
                steps[name][task] = times
    flat = {name: [time for times in tasks.values() for time in times] for name, tasks in steps.items()}
    work = {name: max(each, 1.0) for name, each in operations.items() if each is not None}
    cost = {name: [time * each for time in flat[name]] for name, each in work.items()}
    by_steps, by_cost = performance_profile(flat, FACTORS), performance_profile(cost, FACTORS)
    return tuple(
        TimeToTarget(
            contender=name,
            reached=sum(time < math.inf for time in flat[name]) / max(len(flat[name]), 1),
            failed=tuple((task, times.count(math.inf)) for task, times in steps[name].items()),
            median_steps=tuple((task, _median(times)) for task, times in steps[name].items()),
            operations=operations[name],
            profile_steps=tuple(by_steps[name]),
            profile_cost=tuple(by_cost.get(name, ())),
        )
        for name in operations
    )


def counted_losses(rows: Mapping[str, Sequence[Sequence[float]]], trivial: float | None) -> dict[str, list[float]]:
    """Mean loss of each replicate of each contender on a task.

    A failed run counts as the worst loss of any run, or as the trivial predictor's if that is larger.

    Args:
        rows: for each contender and replicate one loss per fresh seed; infinity if training failed.
        trivial: loss of the trivial predictor; None if unknown.
    """
    known = [loss for replicates in rows.values() for losses in replicates for loss in losses if loss < math.inf]
    if trivial is not None:
        known.append(trivial)
    worst = max(known, default=0.0)
    return {
        name: [_mean([min(loss, worst) for loss in losses]) for losses in replicates]
        for name, replicates in rows.items()
    }


def _failed(replicates: Sequence[Sequence[float]]) -> int:
    return sum(loss == math.inf for losses in replicates for loss in losses)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.inf


def _median(times: Sequence[float]) -> float | None:
    middle = sorted(times)[len(times) // 2]
    return middle if middle < math.inf else None
