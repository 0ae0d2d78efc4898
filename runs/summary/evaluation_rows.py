"""Tables of an evaluation as lists of frozen rows, for scripts and notebooks.

A row has plain values alone, so that ``pandas.DataFrame(rows)`` is a frame. Losses have the two ends of their interval
over replicates. None stands for what was not measured or does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass

from optsearch.selection.comparison.evaluation import Evaluation
from optsearch.selection.statistics.intervals import Interval


@dataclass(frozen=True, slots=True)
class LossRow:
    """Test loss of a contender on a task.

    Attributes:
        task: name of the task, with its batch size unless that is the default.
        contender: name of the contender or of a family.
        loss: mean over replicates; None if every run failed.
        low: lower end of its interval.
        high: upper end of its interval.
        between_tunings: standard deviation between tunings.
        between_seeds: standard deviation between seeds.
        failed: number of failed runs.
    """

    task: str
    contender: str
    loss: float | None
    low: float | None
    high: float | None
    between_tunings: float | None
    between_seeds: float | None
    failed: int


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """Comparison of a program with an opponent over all tasks.

    Attributes:
        contender: name of the program.
        opponent: name of a baseline or of a family, of which the best member counts.
        relative: mean over tasks of the relative difference of losses; negative if the program is better.
        low: lower end of its interval.
        high: upper end of its interval.
        p_value: p-value after Holm's correction; None without replicates.
        verdict: ``better``, ``worse``, ``undecided``, or ``of these settings`` without replicates.
    """

    contender: str
    opponent: str
    relative: float | None
    low: float | None
    high: float | None
    p_value: float | None
    verdict: str


@dataclass(frozen=True, slots=True)
class TargetTimeRow:
    """Time of a contender to the validation loss that the first baseline has after three quarters of its steps.

    Attributes:
        task: name of the task.
        contender: name of the contender.
        steps: median over runs of the steps to the target; None if at least half of the runs do not reach it.
        cost: ``steps`` times the arithmetic of a step per parameter; None if either is.
        failed: number of runs that do not reach the target.
    """

    task: str
    contender: str
    steps: float | None
    cost: float | None
    failed: int


@dataclass(frozen=True, slots=True)
class StepCostRow:
    """Cost of a training step of a contender on a task.

    Attributes:
        task: name of the task.
        contender: name of the contender.
        operations: arithmetic operations per parameter; None if unknown.
        state_bytes: bytes of optimizer state per parameter of a matrix; None if unknown.
        milliseconds: wall-clock time of a compiled step with its gradient; None unless it was measured.
        ratio: that time divided by the reference's in the same round, as a median over rounds.
        low: lowest ratio of a round.
        high: highest ratio of a round.
    """

    task: str
    contender: str
    operations: float | None
    state_bytes: float | None
    milliseconds: float | None
    ratio: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class RateRow:
    """Validation loss of a contender at a multiple of its tuned learning rate, all else fixed.

    Attributes:
        task: name of the task.
        contender: name of the contender.
        factor: factor on the tuned rate.
        loss: mean over the replicates that trained; None if there are none.
        low: lower end of its interval.
        high: upper end of its interval.
        failed: number of replicates that did not train.
    """

    task: str
    contender: str
    factor: float
    loss: float | None
    low: float | None
    high: float | None
    failed: int


@dataclass(frozen=True, slots=True)
class TuningCurveRow:
    """Validation loss, on the tuning seeds, of the point that would have been selected after some trials.

    Attributes:
        task: name of the task.
        contender: name of the contender.
        trials: number of trials.
        loss: mean over replicates; None until a point can be selected in every replicate.
        low: lower end of its interval.
        high: upper end of its interval.
    """

    task: str
    contender: str
    trials: int
    loss: float | None
    low: float | None
    high: float | None


def _three(interval: Interval | None) -> tuple[float | None, float | None, float | None]:
    """Mean, lower and upper end."""
    return (None, None, None) if interval is None else (interval.mean, interval.low, interval.high)


def loss_rows(found: Evaluation) -> list[LossRow]:
    """One row for each task and contender or family."""
    return [
        LossRow(row.task, row.contender, *_three(row.loss), row.between_tunings, row.between_seeds, row.failed)
        for row in found.estimates
    ]


def verdict_rows(found: Evaluation) -> list[VerdictRow]:
    """One row for each program and opponent."""
    return [
        VerdictRow(row.contender, row.opponent, *_three(row.relative), row.corrected, row.verdict)
        for row in found.headlines
    ]


def target_time_rows(found: Evaluation) -> list[TargetTimeRow]:
    """One row for each task and contender; empty if no target exists."""
    rows: list[TargetTimeRow] = []
    for time in found.times:
        failed = dict(time.failed)
        for task, steps in time.median_steps:
            cost = None if steps is None or time.operations is None else steps * time.operations
            rows.append(TargetTimeRow(task, time.contender, steps, cost, failed[task]))
    return sorted(rows, key=lambda row: found.tasks.index(row.task))


def step_cost_rows(found: Evaluation) -> list[StepCostRow]:
    """One row for each task and contender; times are None unless they were measured."""
    measured = {(row.task, row.contender): row for row in found.step_times}
    operations, state = {row.contender: row.operations for row in found.times}, dict(found.state_bytes)
    rows: list[StepCostRow] = []
    for task in found.tasks:
        for name in found.contenders:
            time = measured.get((task, name))
            wall = (None,) * 4 if time is None else (time.milliseconds, time.ratio, time.low, time.high)
            rows.append(StepCostRow(task, name, operations.get(name), state.get(name), *wall))
    return rows


def rate_rows(found: Evaluation) -> list[RateRow]:
    """One row for each task, contender and factor; empty unless sensitivity was requested."""
    return [
        RateRow(row.task, row.contender, at.factor, *_three(at.loss), at.failed)
        for row in found.rate_sensitivity
        for at in row.losses
    ]


def tuning_curve_rows(found: Evaluation) -> list[TuningCurveRow]:
    """One row for each task, contender and number of trials; empty without tuning."""
    return [
        TuningCurveRow(row.task, row.contender, trials, *_three(loss))
        for row in found.tuning_curves
        for trials, loss in enumerate(row.losses, start=1)
    ]
