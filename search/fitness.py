"""What fitness means: a pure function of the program, the tasks, the seeds and the reference.

With one task the fitness is the mean of the final validation loss over the training seeds. With several, the mean loss
on each is compared with the warm start's, ``(loss - warm start's) / scale``, limited to ``LARGEST_SCORE`` either way so
that no task drowns the others, and the fitness is the mean of these scores; the warm start's is 0. A task with
``if_below`` is left to programs whose score so far is below that: those stopped before it keep their score, the others
get no more than ``if_below``, so that going on never makes a program worse.

The first run that fails ends the evaluation. With further rates, a program that is near the top at its own is evaluated
at these too, and the best counts.

`steps_of` says all this as a conversation: it asks for training runs and is told how they ended. So it is the same
whether one evaluation is made alone or many together.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from optsearch.dsl.program import Program

if TYPE_CHECKING:
    from optsearch.proxy_tasks.outcome import TrainingResult
    from optsearch.proxy_tasks.run import TrainingRun

OK = "ok"

LARGEST_SCORE = 2.0
"""Scores on one of several tasks are limited to this, either way."""

Limits = tuple[tuple[int, float], ...]
"""Steps, and for each the largest running training loss with which training goes on."""


class FurtherTask(BaseModel):
    """One of several tasks in the fitness.

    Attributes:
        task: its name.
        scale: difference from the warm start's loss that counts as 1; None for the warm start's loss itself.
        if_below: only programs with a lower score on the tasks before go on to this one; None for all programs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    task: str
    scale: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)
    if_below: float | None = Field(default=None, ge=-LARGEST_SCORE, le=LARGEST_SCORE, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Fitness:
    """What an evaluation found.

    Attributes:
        value: lower is better; None unless the outcome is ``ok``.
        outcome: the outcome's name (``optsearch.proxy_tasks.outcome.Outcome``).
        steps: optimizer steps that were run, all runs together.
        seconds: time that it took; not reproducible, and nothing depends on it.
        curves: for each run, task by task and seed by seed, the running training loss at the task's checkpoints; empty
            unless the job asked for them.
        losses: with several tasks the mean validation loss on each that was reached; empty with one task.
        rate: the multiple of the program's own learning rate that gave the value.
        loss_so_far: for a program that was stopped, how far it came: the mean training loss since the last checkpoint
            that it passed, to six digits; None when it has none, or was not stopped.
    """

    value: float | None
    outcome: str
    steps: int
    seconds: float
    curves: tuple[tuple[float, ...], ...] = ()
    losses: tuple[float, ...] = ()
    rate: float = 1.0
    loss_so_far: float | None = None

    @property
    def trained(self) -> bool:
        """Whether the program trained, so that it has a value."""
        return self.outcome == OK and self.value is not None

    @property
    def key(self) -> tuple[float, ...]:
        """The order of programs: the smaller is the better one; programs that did not train come last."""
        return (math.inf,) if self.value is None or self.outcome != OK else (self.value,)


@dataclass(frozen=True, slots=True)
class Reference:
    """What programs are measured against: the warm start's own evaluation.

    Attributes:
        limits: for each run, task by task and seed by seed, its hurdles; None for no hurdles.
        losses: with several tasks the warm start's loss on each; empty with one task.
        sweep_below: programs with a lower value are evaluated at the further rates too; None for no line.
    """

    limits: tuple[Limits, ...] | None = None
    losses: tuple[float, ...] = ()
    sweep_below: float | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One evaluation to be done.

    Attributes:
        ticket: by which the result is known: the owner's number, or any other that is not in use.
        program: what to evaluate.
        reference: what to measure against; None for the warm start itself, which sets it.
        keep_curves: whether the result carries the training curves.
        validate: whether the program is trained on the meta-validation task instead.
    """

    ticket: int
    program: Program
    reference: Reference | None = None
    keep_curves: bool = False
    validate: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """What fitness means in a campaign.

    Attributes:
        task: name of the proxy task.
        seeds: training seeds.
        method: how the trainer runs programs: ``auto``, ``interpret`` or ``compile``.
        scale: as in ``FurtherTask``, for the first task; of no meaning when it is the only one.
        further: the other tasks.
        validation: task and seeds of meta-validation; None where there is none.
        rates: further learning rates, as multiples of the program's own; meta-validation always tries them.
        lanes: training runs that a trainer makes together.
        imports: references of the user's own tasks, which every process that evaluates imports.
    """

    task: str
    seeds: tuple[int, ...]
    method: Literal["auto", "interpret", "compile"] = "auto"
    scale: float | None = None
    further: tuple[FurtherTask, ...] = ()
    validation: tuple[str, tuple[int, ...]] | None = None
    rates: tuple[float, ...] = ()
    lanes: int = 1
    imports: tuple[str, ...] = ()

    @property
    def tasks(self) -> tuple[FurtherTask, ...]:
        """All tasks of the fitness."""
        return (FurtherTask(task=self.task, scale=self.scale), *self.further)


class Request(NamedTuple):
    """Training runs that an evaluation asks for; those after the first that fails need not be made."""

    task: str
    runs: tuple[TrainingRun, ...]


Steps = Generator[Request, Sequence["TrainingResult"], Fitness]
"""An evaluation that asks for training runs, is sent how they ended, and returns the fitness."""


def steps_of(setting: Setting, job: Job) -> Steps:
    """The evaluation of a job: at the program's own rate, then, where that is due, at the further rates."""
    everywhere = job.validate and setting.validation is not None
    if job.validate and setting.validation is not None:
        task, seeds = setting.validation
        setting, job = replace(setting, task=task, seeds=seeds, further=()), Job(job.ticket, job.program)
    own = yield from _at_rate(setting, job, 1.0)
    if own.value is None:
        return own
    reference = job.reference or Reference(None, own.losses, None)
    line = reference.sweep_below
    best, steps = own, own.steps
    if job.reference is None or everywhere or (line is not None and own.value < line):
        for rate in setting.rates:
            other = yield from _at_rate(setting, replace(job, reference=reference), rate)
            steps += other.steps
            if other.value is not None and best.value is not None and other.value < best.value:
                best = other
    losses = own.losses if job.reference is None else best.losses  # the others are measured against its own rate
    return replace(best, steps=steps, curves=own.curves, losses=losses)


def _at_rate(setting: Setting, job: Job, rate: float) -> Steps:
    """The evaluation of a job at one rate, on one task after the other."""
    from optsearch.proxy_tasks.hurdle import Hurdle
    from optsearch.proxy_tasks.outcome import Outcome
    from optsearch.proxy_tasks.run import TrainingRun

    reference, tasks = job.reference or Reference(), setting.tasks
    losses: list[float] = []
    curves: list[tuple[float, ...]] = []
    steps = 0
    value = gate = None
    for number, task in enumerate(tasks):
        if task.if_below is not None and value is not None and reference.losses:
            if value >= task.if_below:
                break
            gate = task.if_below
        first = number * len(setting.seeds)
        limits = [None] * len(setting.seeds) if reference.limits is None else reference.limits[first:]
        hurdles = [None if limit is None else Hurdle(limit) for limit in limits]
        runs = [
            TrainingRun(job.program, seed, rate, hurdle) for seed, hurdle in zip(setting.seeds, hurdles, strict=False)
        ]
        total = 0.0
        for result in (yield Request(task.task, tuple(runs))):
            steps += result.steps
            if result.outcome is not Outcome.OK or result.loss is None:
                so_far = None if result.loss_so_far is None else float(f"{result.loss_so_far:.6g}")
                return Fitness(None, str(result.outcome.value), steps, 0.0, rate=rate, loss_so_far=so_far)
            total += float(result.loss)
            curves.append(tuple(float(loss) for loss in result.train_losses))
        losses.append(total / len(setting.seeds))
        value = score(losses, tasks, reference.losses, gate)
    several = len(tasks) > 1
    kept = tuple(curves) if job.keep_curves else ()
    return Fitness(value if several else losses[0], OK, steps, 0.0, kept, tuple(losses) if several else (), rate)


def score(
    losses: Sequence[float], tasks: Sequence[FurtherTask], reference: Sequence[float], gate: float | None = None
) -> float:
    """Mean score of losses on several tasks.

    Args:
        losses: on the first tasks, or on all.
        tasks: all tasks of the fitness.
        reference: the warm start's loss on each; empty for the warm start itself, whose score is 0.
        gate: what the score is at most; None for no bound.
    """
    if not reference:
        return 0.0
    total = 0.0
    for loss, task, warm in zip(losses, tasks, reference, strict=False):
        one = (loss - warm) / (task.scale or abs(warm) or 1.0)
        total += min(max(one, -LARGEST_SCORE), LARGEST_SCORE)
    mean = total / len(losses)
    return mean if gate is None else min(mean, gate)
