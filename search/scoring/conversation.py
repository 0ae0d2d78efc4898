"""An evaluation as a conversation: it requests training runs, receives their results, and ends with the fitness.

The first failed run ends the evaluation. A case is a task with a training seed. In a race, a program that is not better
than a gate in its first case is not trained in the others. If the race rotates, a program's first case follows from its
fingerprint, and its loss there is corrected by how far the warm start's loss with this seed is from the warm start's
mean on this task.

With further learning rates, a program near the top at its own rate is also evaluated at these, and the lowest value is
its fitness. With trials instead, a program worse than the warm start at its own rate is trained for a few steps at
every rate, and evaluated at the most promising one.

The definition is independent of batching: an evaluator may train the runs of many evaluations together.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.program import Program
from optsearch.search.scoring.fitness import OK, Case, Fitness, Job, JobKind, Reference, Setting, score

if TYPE_CHECKING:
    from optsearch.proxy_tasks.outcome import TrainingResult
    from optsearch.proxy_tasks.run import TrainingRun


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
        loss = _mean_after(_loss(results[case]), case, setting, reference)
        value = _value_of_first(loss, case[0], setting, reference)
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


def _mean_after(loss: float, case: Case, setting: Setting, reference: Reference) -> float:
    """The mean loss on a task if the program were as far from the warm start with every seed as in this case.

    Without the warm start's loss in each case, the loss counts as it is.
    """
    number, seed = case
    count = len(setting.seeds)
    mine = reference.cases[number * count : (number + 1) * count]
    return loss + sum(mine) / count - mine[seed] if mine else loss


def _value_of_first(loss: float, number: int, setting: Setting, reference: Reference) -> float:
    """What the fitness would be if the program were as far from the warm start on every task as on its first.

    With several tasks and a gate that follows the population, it is as far from the gate as its score on this task is
    from that of the best share of the population, so that no task is easier to pass than another.

    Args:
        loss: mean loss on the task.
        number: number of the task.
        setting: the definition of the fitness.
        reference: reference values.
    """
    if not setting.further:
        return loss
    task, warm = setting.tasks[number : number + 1], reference.losses[number : number + 1]
    value = score([loss], task, warm)
    if reference.race_losses and reference.race_below is not None:
        value = reference.race_below + (value - score([reference.race_losses[number]], task, warm))
    return value
