"""From a program to its fitness: a pure function of the program, the tasks, the seeds and the hurdles.

With one task the fitness is the mean of the final validation loss over the training seeds. With several, the mean loss
on each is compared with the warm start's, ``(loss - warm start's) / scale``, limited to ``LARGEST_SCORE`` either way so
that no task drowns the others, and the fitness is the mean of these scores; the warm start's is 0. A task with
``if_below`` is left to programs whose score so far is below that: those stopped before it keep their score, the others
get no more than ``if_below``, so that going on never makes a program worse.

Runs are made one after the other, and the first that fails ends the evaluation. Where that happens is another matter:
every ``Evaluator`` takes jobs and gives results back in any order, here in this process, in ``search.workers`` on Ray.
"""

from __future__ import annotations

import os
import time
import traceback
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from dsl.program import Program

if TYPE_CHECKING:
    from proxy_tasks.trainer import Trainer

OK = "ok"

LARGEST_SCORE = 2.0
"""Scores on one of several tasks are limited to this, either way."""

Limits = tuple[tuple[int, float], ...]
"""Steps, and for each the largest running training loss with which training goes on."""


class EvaluationError(RuntimeError):
    """An evaluation raised: a bug of ours, never the program's fault.

    Attributes:
        ticket: the ticket that was evaluated.
        text: the program.
        details: the exception, with its traceback where it was raised.
    """

    def __init__(self, ticket: int, text: str, details: str):
        super().__init__(ticket, text, details)
        self.ticket, self.text, self.details = ticket, text, details

    def __str__(self) -> str:
        return f"the evaluation of program {self.ticket} raised, which is a bug: {self.details}\n{self.text}"


class HurdleConfig(BaseModel):
    """When a bad program is stopped early, measured against the warm start.

    Attributes:
        factor: a program is stopped when its running training loss exceeds this multiple of the warm start's.
        at: where, as fractions of the task's steps; each means the nearest of the task's checkpoints.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    factor: float = Field(default=1.5, ge=1.0, le=1e6, allow_inf_nan=False)
    at: list[Annotated[float, Field(gt=0.0, le=1.0)]] = Field(default=[0.2], min_length=1, max_length=16)


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
        outcome: the outcome's name (``proxy_tasks.outcome.Outcome``).
        steps: optimizer steps that were run, all runs together.
        seconds: time that it took; not reproducible, and nothing depends on it.
        curves: for each run, task by task and seed by seed, the running training loss at the task's checkpoints; empty
            unless the job asked for them.
        losses: with several tasks the mean validation loss on each that was reached; empty with one task.
    """

    value: float | None
    outcome: str
    steps: int
    seconds: float
    curves: tuple[tuple[float, ...], ...] = ()
    losses: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Reference:
    """What programs are measured against: the warm start's own evaluation.

    Attributes:
        limits: for each run, task by task and seed by seed, its hurdles; None for no hurdles.
        losses: with several tasks the warm start's loss on each; empty with one task.
    """

    limits: tuple[Limits, ...] | None = None
    losses: tuple[float, ...] = ()


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
        imports: references of the user's own tasks, which every process that evaluates imports.
    """

    task: str
    seeds: tuple[int, ...]
    method: Literal["auto", "interpret", "compile"] = "auto"
    scale: float | None = None
    further: tuple[FurtherTask, ...] = ()
    validation: tuple[str, tuple[int, ...]] | None = None
    imports: tuple[str, ...] = ()

    @property
    def tasks(self) -> tuple[FurtherTask, ...]:
        """All tasks of the fitness."""
        return (FurtherTask(task=self.task, scale=self.scale), *self.further)


class Evaluator(Protocol):
    """Takes jobs, gives results in any order."""

    @property
    def workers(self) -> int:
        """Jobs that can run at the same time, at least 1."""
        ...

    def submit(self, jobs: Sequence[Job]) -> None:
        """Take one batch of jobs."""
        ...

    def collect(self, timeout_s: float) -> list[tuple[int, Fitness]]:
        """Results that have arrived: ticket and fitness; waits at most ``timeout_s`` for the first, may be empty.

        Raises:
            EvaluationError: an evaluation raised.
        """
        ...

    def close(self) -> None:
        """Give back what was started; jobs in flight are dropped."""
        ...


def use_one_cpu_thread() -> None:
    """Makes this process compute on one thread of the CPU; has to be called before JAX computes for the first time.

    Sums that are split over threads or computed on another device are added in another order, so that the number of
    cores or the presence of a GPU would show in the results. ``JAX_PLATFORMS`` is left alone where the user set it.
    """
    flag = "--xla_cpu_multi_thread_eigen=false"
    flags = os.environ.get("XLA_FLAGS", "")
    if flag not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {flag}".strip()
    os.environ["NPROC"] = os.environ["OMP_NUM_THREADS"] = "1"
    os.environ.setdefault("JAX_PLATFORMS", "cpu")


def make_trainer(setting: Setting) -> Trainer:
    """The trainer of a setting's task, on one thread of the CPU; compiles nothing yet."""
    use_one_cpu_thread()
    from proxy_tasks.registry import get_task
    from proxy_tasks.trainer import Trainer

    return Trainer(get_task(setting.task), method=setting.method)


class Trainers:
    """The trainers of a process, each made when it is first needed.

    Args:
        *ready: trainers that exist already.
        method: how the others run programs.
    """

    def __init__(self, *ready: Trainer, method: Literal["auto", "interpret", "compile"] = "auto"):
        self._trainers = {trainer.task.name: trainer for trainer in ready}
        self._method: Literal["auto", "interpret", "compile"] = method

    def __getitem__(self, task: str) -> Trainer:
        """The trainer of a task."""
        if task not in self._trainers:
            self._trainers[task] = make_trainer(Setting(task, (), self._method))
        return self._trainers[task]


def evaluate(trainers: Trainers, setting: Setting, job: Job) -> Fitness:
    """Train a job's program on every task and seed of the setting.

    Args:
        trainers: the trainers of this process.
        setting: tasks and seeds.
        job: program, and what to measure it against.

    Returns:
        Its fitness; ``outcome`` is that of the first run that failed.
    """
    from proxy_tasks.hurdle import Hurdle
    from proxy_tasks.outcome import Outcome

    if job.validate and setting.validation is not None:
        setting, job = Setting(*setting.validation, setting.method), Job(job.ticket, job.program)
    began = time.perf_counter()
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
        total = 0.0
        for index, seed in enumerate(setting.seeds):
            place = number * len(setting.seeds) + index
            hurdle = None if reference.limits is None else Hurdle(reference.limits[place])
            result = trainers[task.task].run(job.program, seed, hurdle=hurdle)
            steps += result.steps
            if result.outcome is not Outcome.OK or result.loss is None:
                return Fitness(None, str(result.outcome.value), steps, time.perf_counter() - began)
            total += float(result.loss)
            curves.append(tuple(float(loss) for loss in result.train_losses))
        losses.append(total / len(setting.seeds))
        value = _score(losses, tasks, reference.losses, gate)
    several = len(tasks) > 1
    seconds = time.perf_counter() - began
    kept = tuple(curves) if job.keep_curves else ()
    return Fitness(value if several else losses[0], OK, steps, seconds, kept, tuple(losses) if several else ())


def _score(
    losses: Sequence[float], tasks: Sequence[FurtherTask], reference: Sequence[float], gate: float | None
) -> float:
    """Mean score on the tasks so far, at most ``gate``; 0 for the warm start, which has no reference."""
    if not reference:
        return 0.0
    total = 0.0
    for loss, task, warm in zip(losses, tasks, reference, strict=False):
        score = (loss - warm) / (task.scale or abs(warm) or 1.0)
        total += min(max(score, -LARGEST_SCORE), LARGEST_SCORE)
    mean = total / len(losses)
    return mean if gate is None else min(mean, gate)


def make_reference(
    config: HurdleConfig | None, checkpoints: Sequence[Sequence[int]], seeds: int, warm_start: Fitness
) -> Reference:
    """What the programs of a campaign are measured against.

    Args:
        config: factor and places of hurdles; None for no hurdles.
        checkpoints: for each task the steps at which it reports its running training loss.
        seeds: number of training seeds.
        warm_start: fitness of the warm start, with curves.

    Returns:
        Its losses, and for each run its hurdles; none where the warm start did not train.
    """
    limits: list[Limits] = []
    for number, steps in enumerate(checkpoints):
        curves = warm_start.curves[number * seeds : (number + 1) * seeds]
        limits += hurdle_limits(config, steps, curves)
    trained = warm_start.value is not None and len(limits) == len(checkpoints) * seeds
    return Reference(tuple(limits) if trained else None, warm_start.losses)


def hurdle_limits(
    config: HurdleConfig | None, checkpoints: Sequence[int], curves: Sequence[Sequence[float]]
) -> tuple[Limits, ...]:
    """Hurdles that follow from the warm start's own training curves on a task.

    A loss of ``x`` allows ``x + (factor - 1) * |x|``, which is ``factor * x`` for the usual positive losses.

    Args:
        config: factor and places; None for no hurdles.
        checkpoints: steps at which the task reports its running training loss.
        curves: for each training seed the warm start's curve.

    Returns:
        For each training seed its limits; empty where there are no hurdles.
    """
    if config is None:
        return ()
    last = checkpoints[-1]
    chosen = sorted({min(range(len(checkpoints)), key=lambda i: abs(checkpoints[i] - at * last)) for at in config.at})
    return tuple(
        tuple((checkpoints[i], curve[i] + (config.factor - 1.0) * abs(curve[i])) for i in chosen if i < len(curve))
        for curve in curves
    )


class Naming:
    """Turns an exception that leaves a ``with`` block into an ``EvaluationError`` that carries the program's text."""

    def __init__(self, job: Job):
        self._job = job

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            details = "".join(traceback.format_exception(error))
            raise EvaluationError(self._job.ticket, str(self._job.program), details) from error


class InProcessEvaluator:
    """Evaluates in this process, one job for each ``collect``; for debugging, tests and ``--workers 0``.

    Args:
        setting: what fitness means.
        trainers: trainers that exist already; None to make them when they are needed.
    """

    workers = 1

    def __init__(self, setting: Setting, trainers: Trainers | None = None):
        self._setting, self._trainers = setting, trainers or Trainers(method=setting.method)
        self._queue: deque[Job] = deque()

    def submit(self, jobs: Sequence[Job]) -> None:
        """Take one batch of jobs."""
        self._queue.extend(jobs)

    def collect(self, timeout_s: float) -> list[tuple[int, Fitness]]:
        """Evaluate the first job of the queue; the time limit does not apply."""
        if not self._queue:
            return []
        job = self._queue.popleft()
        with Naming(job):
            return [(job.ticket, evaluate(self._trainers, self._setting, job))]

    def close(self) -> None:
        """Drop the jobs that are left."""
        self._queue.clear()
