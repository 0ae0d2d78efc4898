"""Definition of fitness: a pure function of the program, the tasks, the seeds and the reference.

With one task, the fitness is the mean final validation loss over the training seeds. With several tasks, the score on a
task is ``(loss - warm start's loss) / scale`` for the mean loss, clipped to ``[-LARGEST_SCORE, LARGEST_SCORE]`` so that
no task dominates, and the fitness is the mean score; the warm start has fitness 0. A task with ``if_below`` is reserved
for programs whose mean score so far is below this gate. Programs that do not pass the gate keep their score; the score
of those that pass is at most ``if_below``, so that passing a gate never makes a program worse.

The first failed run ends the evaluation. A case is a task with a training seed. In a race, a program that is not better
than a gate in its first case is not trained in the others. If the race rotates, a program's first case follows from its
fingerprint, and its loss there is corrected by how far the warm start's loss with this seed is from the warm start's
mean on this task.

With further learning rates, a program near the top at its own rate is also evaluated at these, and the lowest value is
its fitness. With trials instead, a program worse than the warm start at its own rate is trained for a few steps at
every rate, and evaluated at the most promising one.

`steps_of` defines an evaluation as a generator that requests training runs and receives their results. The definition
is therefore independent of batching.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.program import Program

if TYPE_CHECKING:
    from optsearch.proxy_tasks.outcome import TrainingResult
    from optsearch.proxy_tasks.run import TrainingRun
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
            was lost on another task than the first.
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


class Request(NamedTuple):
    """Training runs requested by an evaluation; runs after the first failure may be skipped."""

    task: str
    runs: tuple[TrainingRun, ...]


Steps = Generator[Request, Sequence["TrainingResult"], Fitness]
"""An evaluation as a generator: yields requests, receives training results, and returns the fitness."""


def steps_of(setting: Setting, job: Job) -> Steps:
    """Evaluates a job at the program's own learning rate, and at the further rates that the sweep gives it."""
    everywhere = job.kind is JobKind.META_VALIDATION and setting.validation is not None
    if job.kind is JobKind.META_VALIDATION and setting.validation is not None:
        task, seeds = setting.validation
        setting, job = replace(setting, task=task, seeds=seeds, further=()), Job(job.ticket, job.program)
    own = yield from _at_rate(setting, job, 1.0)
    reference = job.reference or Reference(None, own.losses, None)
    line = reference.sweep_below
    below = line is not None and own.value is not None and own.value < line
    best, steps = own, own.steps
    rates: Sequence[float] = ()
    if job.reference is None or everywhere:
        rates = setting.rates if own.value is not None else ()
    elif line is not None and reference.trial is not None and not below:
        rate, more = yield from _most_promising(setting, job.program, reference.trial)
        rates, steps = () if rate == 1.0 else (rate,), steps + more
    elif below and reference.trial is None:
        rates = setting.rates
    for rate in rates:
        other = yield from _at_rate(setting, replace(job, reference=reference), rate)
        steps += other.steps
        if other.key < best.key:
            best = other
    losses = own.losses if job.reference is None else best.losses  # at its own rate
    return replace(best, steps=steps, curves=own.curves, losses=losses, cases=own.cases)


def _most_promising(
    setting: Setting, program: Program, trial: int
) -> Generator[Request, Sequence[TrainingResult], tuple[float, int]]:
    """Trains a program for a few steps at every learning rate, on the first task and seed.

    Returns:
        The rate with the lowest running training loss at the end of the trial, the program's own if all fail; and the
        number of steps of all trials.
    """
    from optsearch.proxy_tasks.hurdle import Hurdle
    from optsearch.proxy_tasks.outcome import Outcome
    from optsearch.proxy_tasks.run import TrainingRun

    stop = Hurdle(((trial, -math.inf),))
    best, rate, steps = math.inf, 1.0, 0
    for factor in (1.0, *setting.rates):
        (result,) = yield Request(setting.task, (TrainingRun(program, setting.seeds[0], factor, stop),))
        steps += result.steps
        if result.outcome is Outcome.HURDLE and result.loss_so_far is not None and result.loss_so_far < best:
            best, rate = result.loss_so_far, factor
    return rate, steps


def _at_rate(setting: Setting, job: Job, rate: float) -> Steps:
    """Evaluates a job at one learning rate: its first case if it races, then one task after the other."""
    reference, tasks, count = job.reference or Reference(), setting.tasks, len(setting.seeds)
    results: dict[Case, TrainingResult] = {}
    losses: list[float] = []
    value = gate = None
    if reference.race_below is not None:
        case = _first_case(job.program, setting, reference)
        yield from _train(setting, job, rate, [case], results)
        if (failed := _failure(results.values(), rate)) is not None:
            return failed
        loss = _loss(results[case])
        value = _value_of_case(loss, case, setting, reference)
        if value >= reference.race_below:
            reached = (loss,) if setting.further and case[0] == 0 else ()
            return Fitness(value, OK, results[case].steps, 0.0, losses=reached, rate=rate)
    for number, task in enumerate(tasks):
        if task.if_below is not None and value is not None and reference.losses:
            if value >= task.if_below:
                break
            gate = task.if_below
        mine = [(number, seed) for seed in range(count)]
        yield from _train(setting, job, rate, [case for case in mine if case not in results], results)
        if (failed := _failure(results.values(), rate)) is not None:
            return failed
        losses.append(sum(_loss(results[case]) for case in mine) / count)
        value = score(losses, tasks, reference.losses, gate) if setting.further else losses[0]
    steps = sum(result.steps for result in results.values())
    curves = [tuple(float(loss) for loss in results[case].train_losses) for case in sorted(results)]
    cases = [_loss(results[case]) for case in sorted(results)]
    return Fitness(
        value,
        OK,
        steps,
        0.0,
        tuple(curves) if job.keep_curves else (),
        tuple(losses) if setting.further else (),
        rate,
        cases=tuple(cases) if job.keep_curves and len(cases) > 1 else (),
    )


def _train(
    setting: Setting, job: Job, rate: float, cases: Sequence[Case], results: dict[Case, TrainingResult]
) -> Generator[Request, Sequence[TrainingResult], None]:
    """Trains a program in cases of one task, and adds the results, at most up to the first failure."""
    from optsearch.proxy_tasks.hurdle import Hurdle
    from optsearch.proxy_tasks.run import TrainingRun

    if not cases:
        return
    limits = None if job.reference is None else job.reference.limits
    runs: list[TrainingRun] = []
    for number, seed in cases:
        hurdle = None if limits is None else Hurdle(limits[number * len(setting.seeds) + seed])
        runs.append(TrainingRun(job.program, setting.seeds[seed], rate, hurdle))
    found = yield Request(setting.tasks[cases[0][0]].task, tuple(runs))
    results.update(zip(cases, found, strict=False))


def _failure(results: Collection[TrainingResult], rate: float) -> Fitness | None:
    """The fitness of a program of which a run has failed; None if none has."""
    from optsearch.proxy_tasks.outcome import Outcome

    steps = 0
    for result in results:
        steps += result.steps
        if result.outcome is not Outcome.OK or result.loss is None:
            so_far = None if result.loss_so_far is None else float(f"{result.loss_so_far:.6g}")
            return Fitness(None, str(result.outcome.value), steps, 0.0, rate=rate, loss_so_far=so_far)
    return None


def _loss(result: TrainingResult) -> float:
    """Validation loss of a run that has not failed."""
    return float(result.loss) if result.loss is not None else math.nan


def _first_case(program: Program, setting: Setting, reference: Reference) -> Case:
    """The case in which a program is trained first; in a race that rotates, its fingerprint decides."""
    chosen = int(fingerprint(program), 16) % len(reference.cases) if reference.cases else 0
    return divmod(chosen, len(setting.seeds))


def _value_of_case(loss: float, case: Case, setting: Setting, reference: Reference) -> float:
    """What the fitness would be if the program were as far from the warm start in every case as in this one.

    With several tasks and a gate that follows the population, it is as far from the gate as its score on this task is
    from that of the best share of the population, so that no task is easier to pass than another.

    Args:
        loss: loss in the case.
        case: numbers of its task and seed.
        setting: the definition of the fitness.
        reference: reference values; without cases the loss counts as it is.
    """
    number, seed = case
    count = len(setting.seeds)
    mine = reference.cases[number * count : (number + 1) * count]
    if mine:  # what a seed of average difficulty would give
        loss += sum(mine) / count - mine[seed]
    if not setting.further:
        return loss
    task, warm = setting.tasks[number : number + 1], reference.losses[number : number + 1]
    value = score([loss], task, warm)
    if reference.race_losses and reference.race_below is not None:
        value = reference.race_below + (value - score([reference.race_losses[number]], task, warm))
    return value


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
