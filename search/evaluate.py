"""From a program to its fitness: a pure function of the program, the task, the seeds and the hurdles.

A campaign's fitness is the mean of the final validation loss over its training seeds. Seeds are trained one after the
other and the first that fails ends the evaluation. Where it runs is another matter: every ``Evaluator`` takes jobs and
gives results back in any order, here in this process, in ``search.workers`` on Ray.
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


@dataclass(frozen=True, slots=True)
class Fitness:
    """What an evaluation found.

    Attributes:
        value: mean validation loss over the training seeds, lower is better; None unless the outcome is ``ok``.
        outcome: the outcome's name (``proxy_tasks.outcome.Outcome``).
        steps: optimizer steps that were run, all seeds together.
        seconds: time that it took; not reproducible, and nothing depends on it.
        curves: for each seed the running training loss at the task's checkpoints; empty unless the job asked for them.
    """

    value: float | None
    outcome: str
    steps: int
    seconds: float
    curves: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """One evaluation to be done.

    Attributes:
        ticket: the owner, by which the result is known.
        program: what to evaluate.
        limits: for each training seed its hurdles; None for no hurdles.
        keep_curves: whether the result carries the training curves.
    """

    ticket: int
    program: Program
    limits: tuple[Limits, ...] | None = None
    keep_curves: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """What fitness means in a campaign.

    Attributes:
        task: name of the proxy task.
        seeds: training seeds.
        method: how the trainer runs programs: ``auto``, ``interpret`` or ``compile``.
    """

    task: str
    seeds: tuple[int, ...]
    method: Literal["auto", "interpret", "compile"] = "auto"


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


def evaluate(trainer: Trainer, setting: Setting, job: Job) -> Fitness:
    """Train a job's program on every seed of the setting.

    Args:
        trainer: the trainer of the setting's task.
        setting: task and seeds.
        job: program and hurdles.

    Returns:
        Its fitness; with several seeds ``outcome`` is that of the first seed that failed.
    """
    from proxy_tasks.hurdle import Hurdle
    from proxy_tasks.outcome import Outcome

    began = time.perf_counter()
    losses: list[float] = []
    curves: list[tuple[float, ...]] = []
    steps = 0
    outcome = Outcome.OK
    for index, seed in enumerate(setting.seeds):
        hurdle = None if job.limits is None else Hurdle(job.limits[index])
        result = trainer.run(job.program, seed, hurdle=hurdle)
        steps += result.steps
        outcome = result.outcome
        if outcome is not Outcome.OK or result.loss is None:
            break
        losses.append(float(result.loss))
        curves.append(tuple(float(loss) for loss in result.train_losses))
    seconds = time.perf_counter() - began
    value = sum(losses) / len(losses) if outcome is Outcome.OK else None
    return Fitness(value, str(outcome.value), steps, seconds, tuple(curves) if job.keep_curves else ())


def hurdle_limits(
    config: HurdleConfig | None, checkpoints: Sequence[int], warm_start: Fitness
) -> tuple[Limits, ...] | None:
    """Hurdles that follow from the warm start's own training curves.

    A loss of ``x`` allows ``x + (factor - 1) * |x|``, which is ``factor * x`` for the usual positive losses.

    Args:
        config: factor and places; None for no hurdles.
        checkpoints: steps at which the task reports its running training loss.
        warm_start: fitness of the warm start, with curves.

    Returns:
        For each training seed its limits; None where there are no hurdles or the warm start did not train.
    """
    if config is None or not warm_start.curves or warm_start.value is None:
        return None
    last = checkpoints[-1]
    chosen = sorted({min(range(len(checkpoints)), key=lambda i: abs(checkpoints[i] - at * last)) for at in config.at})
    return tuple(
        tuple((checkpoints[i], curve[i] + (config.factor - 1.0) * abs(curve[i])) for i in chosen if i < len(curve))
        for curve in warm_start.curves
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
        trainer: a trainer of the setting's task that exists already; None to make one at the first evaluation.
    """

    workers = 1

    def __init__(self, setting: Setting, trainer: Trainer | None = None):
        self._setting, self._trainer = setting, trainer
        self._queue: deque[Job] = deque()

    def submit(self, jobs: Sequence[Job]) -> None:
        """Take one batch of jobs."""
        self._queue.extend(jobs)

    def collect(self, timeout_s: float) -> list[tuple[int, Fitness]]:
        """Evaluate the first job of the queue; the time limit does not apply."""
        if not self._queue:
            return []
        if self._trainer is None:
            self._trainer = make_trainer(self._setting)
        job = self._queue.popleft()
        with Naming(job):
            return [(job.ticket, evaluate(self._trainer, self._setting, job))]

    def close(self) -> None:
        """Drop the jobs that are left."""
        self._queue.clear()
