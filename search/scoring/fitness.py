"""Fitness: what is evaluated, the reference values, and the result.

With one task, the fitness is the mean final validation loss over the training seeds. With several tasks, the score on a
task is ``(loss - warm start's loss) / scale`` for the mean loss, clipped to ``[-LARGEST_SCORE, LARGEST_SCORE]`` so that
no task dominates, and the fitness is the mean score; the warm start has fitness 0. A task with ``if_below`` is reserved
for programs whose mean score so far is below this gate. Programs that do not pass the gate keep their score; the score
of those that pass is at most ``if_below``, so that passing a gate never makes a program worse.

Fitness is a pure function of the program, the tasks, the seeds and the reference; `conversation` defines it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from optsearch.dsl.program import Program

if TYPE_CHECKING:
    from optsearch.proxy_tasks.trainer import Method

OK = "ok"

LARGEST_SCORE = 2.0
"""Bound on the absolute score on one of several tasks."""

Case = tuple[int, int]
"""Numbers of a task and of a training seed of the campaign."""

Limits = tuple[tuple[int, float], ...]
"""Pairs (step, maximum running training loss) of a hurdle."""


class FurtherTask(BaseModel):
    """One of several tasks in the fitness.

    Attributes:
        task: name of the task.
        scale: difference from the warm start's loss that counts as 1. Defaults to the warm start's loss.
        if_below: gate: only programs with a lower mean score on the preceding tasks are trained on this one. Defaults
            to all programs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    task: str
    scale: float | None = Field(default=None, gt=0.0, allow_inf_nan=False)
    if_below: float | None = Field(default=None, ge=-LARGEST_SCORE, le=LARGEST_SCORE, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Fitness:
    """Result of an evaluation.

    Attributes:
        value: the fitness, lower is better; None unless the outcome is ``ok``.
        outcome: name of the outcome (``optsearch.proxy_tasks.outcome.Outcome``).
        steps: total number of optimizer steps of all runs.
        seconds: wall-clock time; not reproducible, and without influence on the search.
        curves: running training loss at the task's checkpoints for each run, ordered by task, then seed; empty unless
            the job requests curves.
        losses: with several tasks, the mean validation loss on each task reached; empty with one task, and if a race
            was lost on another task than the first. If it was lost on the first, an estimate from one seed.
        rate: multiple of the program's own learning rate that gave the value.
        cases: for the warm start, if there are several, the validation loss in each case, ordered by task, then seed;
            empty for others.
        loss_so_far: for a stopped program, the mean training loss since the last checkpoint passed, to six digits; None
            if there is none or the program was not stopped.
    """

    value: float | None
    outcome: str
    steps: int
    seconds: float
    curves: tuple[tuple[float, ...], ...] = ()
    losses: tuple[float, ...] = ()
    rate: float = 1.0
    loss_so_far: float | None = None
    cases: tuple[float, ...] = ()

    @property
    def trained(self) -> bool:
        """True if the program trained, so that it has a value."""
        return self.outcome == OK and self.value is not None

    @property
    def key(self) -> tuple[float, ...]:
        """Sort key, best first; programs that did not train come last."""
        return (math.inf,) if self.value is None or self.outcome != OK else (self.value,)


@dataclass(frozen=True, slots=True)
class Gate:
    """What the best share of a population have at least: the gate of a race that follows the population.

    Attributes:
        fitness: their fitness.
        losses: with several tasks, their loss on each, infinity where too few are known; empty with one task.
    """

    fitness: float
    losses: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Reference:
    """Reference values from the evaluation of the warm start.

    Attributes:
        limits: hurdles of each run, ordered by task, then seed. Defaults to no hurdles.
        losses: with several tasks, the warm start's loss on each; empty with one task.
        sweep_below: threshold of the rate sweep: programs with a lower value are also evaluated at the further rates.
            Defaults to no rate sweep.
        trial: with trials, their number of steps; programs that are not below the threshold are swept then. Defaults to
            no trials.
        race_below: gate of the race: programs whose value in their first case is not lower are not trained in the
            others. Defaults to no race.
        cases: with a race that rotates, the warm start's loss in each case that may be a program's first; empty
            otherwise.
        race_losses: with several tasks and a gate that follows the population, the losses that belong to the gate;
            empty otherwise.
    """

    limits: tuple[Limits, ...] | None = None
    losses: tuple[float, ...] = ()
    sweep_below: float | None = None
    trial: int | None = None
    race_below: float | None = None
    cases: tuple[float, ...] = ()
    race_losses: tuple[float, ...] = ()

    def gated(self, gate: Gate | None) -> Reference:
        """The values for a program with a gate of its own, which can only lower that of the race."""
        if gate is None or self.race_below is None or gate.fitness >= self.race_below:
            return self
        return replace(self, race_below=gate.fitness, race_losses=gate.losses)


class JobKind(Enum):
    """Purpose of a job, which selects the tasks and seeds."""

    EVALUATION = "evaluation"
    """Fitness of a program of the search."""
    META_VALIDATION = "meta-validation"
    """Loss on the larger task of meta-validation; without hurdles, at all learning rates."""


@dataclass(frozen=True, slots=True)
class Job:
    """Request for one evaluation. Pending jobs differ in their ticket or their kind.

    Attributes:
        ticket: ticket of the program; outside a search, any number.
        program: program to evaluate.
        reference: reference values; None for the warm start, from which they are derived.
        keep_curves: if True, the result includes the training curves.
        kind: evaluation or meta-validation.
    """

    ticket: int
    program: Program
    reference: Reference | None = None
    keep_curves: bool = False
    kind: JobKind = JobKind.EVALUATION


@dataclass(frozen=True, slots=True)
class Setting:
    """Definition of the fitness of a campaign.

    Attributes:
        task: name of the proxy task.
        seeds: training seeds.
        method: execution method of the trainer: ``auto``, ``interpret`` or ``compile``.
        scale: as in ``FurtherTask``, for the first task; unused if it is the only one.
        further: the other tasks.
        validation: task and seeds of meta-validation. Defaults to no meta-validation.
        rates: further learning rates, as multiples of the program's own; meta-validation always evaluates all of them.
        lanes: number of training runs that a trainer batches.
        imports: references of custom tasks, imported by every evaluating process.
    """

    task: str
    seeds: tuple[int, ...]
    method: Method = "auto"
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


def score(
    losses: Sequence[float], tasks: Sequence[FurtherTask], reference: Sequence[float], gate: float | None = None
) -> float:
    """Computes the mean score over several tasks.

    Args:
        losses: losses on all tasks, or on the first ones.
        tasks: all tasks of the fitness.
        reference: the warm start's loss on each task; empty for the warm start itself, whose score is 0.
        gate: upper bound of the score. Defaults to no bound.
    """
    if not reference:
        return 0.0
    total = 0.0
    for loss, task, warm in zip(losses, tasks, reference, strict=False):
        one = (loss - warm) / (task.scale or abs(warm) or 1.0)
        total += min(max(one, -LARGEST_SCORE), LARGEST_SCORE)
    mean = total / len(losses)
    return mean if gate is None else min(mean, gate)
