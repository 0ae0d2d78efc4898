"""Evaluating programs: from jobs to their fitness, in any order.

``optsearch.search.fitness`` defines fitness. Every ``Evaluator`` takes jobs and returns results in any order: the one
here in this process, the one in ``optsearch.search.workers`` on Ray.
"""

from __future__ import annotations

import os
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from optsearch.proxy_tasks.compilation import DeviceError, import_jax
from optsearch.proxy_tasks.machine import OUR_FLAGS
from optsearch.search.fitness import Fitness, Job, Request, Setting, Steps, steps_of
from optsearch.search.pool import Here, Pool

if TYPE_CHECKING:
    from optsearch.proxy_tasks.outcome import TrainingResult
    from optsearch.proxy_tasks.run import TrainingRun
    from optsearch.proxy_tasks.task import Task
    from optsearch.proxy_tasks.trainer import Trainer

T = TypeVar("T")
R = TypeVar("R")


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

    def pool(self, run: Callable[[T], R]) -> Pool[T, R]:
        """Lets those who evaluated call a function instead; from then on no jobs are taken, and ``close`` ends both."""
        ...

    def close(self) -> None:
        """Give back what was started; jobs in flight are dropped."""
        ...


def use_one_cpu_thread() -> None:
    """Makes this process compute on one thread of the CPU; has to be called before JAX computes for the first time.

    Sums that are split over threads or computed on another device are added in another order, so that the number of
    cores or the presence of a GPU would show in the results. ``JAX_PLATFORMS`` is left alone where the user set it.
    Otherwise JAX's own setting is changed instead: JAX has read the variable if it is imported already, and workers
    that have a share of a GPU would inherit it.
    """
    flags = os.environ.get("XLA_FLAGS", "").split()
    os.environ["XLA_FLAGS"] = " ".join([*flags, *(flag for flag in OUR_FLAGS if flag not in flags)])
    os.environ["NPROC"] = os.environ["OMP_NUM_THREADS"] = "1"
    if "JAX_PLATFORMS" not in os.environ:
        import_jax().config.update("jax_platforms", "cpu")


def import_own_tasks(references: Iterable[str]) -> tuple[Task, ...]:
    """Makes users' own tasks known to this process; see ``optsearch.proxy_tasks.registry.import_tasks``.

    The process is limited to one thread of the CPU before, unless it has an accelerator: a module may compute while it
    is imported, and what it computes decides results as the training does.
    """
    from optsearch.proxy_tasks.registry import import_tasks

    references = tuple(references)
    if references:
        use_one_cpu_thread()
    return import_tasks(references)


def use_accelerator_share(share: float) -> None:
    """Gives this process its share of an accelerator; has to be called before JAX starts.

    The memory that JAX takes at its start is that share of nine tenths of the device; the rest is for the drivers of
    its owners. ``XLA_PYTHON_CLIENT_MEM_FRACTION`` and ``JAX_PLATFORMS`` are left alone where the user set them.

    Args:
        share: share of one device, above 0; of several devices each is taken whole.
    """
    os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{0.9 * min(share, 1.0):.3f}")
    os.environ.setdefault("JAX_PLATFORMS", "")  # whatever there is, the accelerator first


def make_trainer(setting: Setting) -> Trainer:
    """The trainer of a setting's task, on one thread of the CPU unless the process has an accelerator."""
    use_one_cpu_thread()
    from optsearch.proxy_tasks.registry import get_task
    from optsearch.proxy_tasks.trainer import Trainer

    return Trainer(get_task(setting.task), method=setting.method, lanes=setting.lanes)


class Trainers:
    """The trainers of a process, each made when it is first needed.

    Args:
        *ready: trainers that exist already.
        method: how the others run programs.
        lanes: training runs that the others make together.
    """

    def __init__(self, *ready: Trainer, method: Literal["auto", "interpret", "compile"] = "auto", lanes: int = 1):
        self._trainers = {trainer.task.name: trainer for trainer in ready}
        self._setting = Setting("", (), method, lanes=lanes)

    @classmethod
    def of(cls, setting: Setting) -> Trainers:
        """The trainers that a setting asks for."""
        return cls(method=setting.method, lanes=setting.lanes)

    def __getitem__(self, task: str) -> Trainer:
        """The trainer of a task."""
        if task not in self._trainers:
            self._trainers[task] = make_trainer(replace(self._setting, task=task))
        return self._trainers[task]


def evaluate(trainers: Trainers, setting: Setting, job: Job) -> Fitness:
    """Train a job's program on every task and seed of the setting.

    Args:
        trainers: the trainers of this process.
        setting: tasks, seeds and rates.
        job: program, and what to measure it against.

    Returns:
        Its fitness; ``outcome`` is that of the first run that failed.
    """
    return evaluate_all(trainers, setting, [job])[0]


def evaluate_all(trainers: Trainers, setting: Setting, jobs: Sequence[Job]) -> list[Fitness]:
    """The fitness of several jobs, in their order; their training runs are made together as far as there are lanes."""
    began = time.perf_counter()
    found: dict[int, Fitness] = {}
    waiting: list[tuple[int, Steps, Request]] = []

    def go_on(place: int, steps: Steps, results: Sequence[TrainingResult] | None) -> None:
        try:
            waiting.append((place, steps, next(steps) if results is None else steps.send(results)))
        except StopIteration as end:
            found[place] = end.value

    for place, job in enumerate(jobs):
        go_on(place, steps_of(setting, job), None)
    while waiting:
        asked, waiting[:] = list(waiting), []
        for task in dict.fromkeys(request.task for _, _, request in asked):
            mine = [(place, steps, request.runs) for place, steps, request in asked if request.task == task]
            for (place, steps, _), results in zip(mine, _train(trainers[task], mine), strict=True):
                go_on(place, steps, results)
    seconds = (time.perf_counter() - began) / len(jobs)
    return [replace(found[place], seconds=seconds) for place in range(len(jobs))]


def _train(
    trainer: Trainer, asked: Sequence[tuple[int, Steps, Sequence[TrainingRun]]]
) -> Iterator[Sequence[TrainingResult]]:
    """Makes the runs that evaluations have asked for: all together, or else each until its first failure."""
    from optsearch.proxy_tasks.outcome import Outcome

    if trainer.lanes > 1:
        results = iter(trainer.run_all([run for _, _, runs in asked for run in runs]))
        for _, _, runs in asked:
            yield [next(results) for _ in runs]
        return
    for _, _, runs in asked:
        made: list[TrainingResult] = []
        for run in runs:
            made += trainer.run_all([run])
            if made[-1].outcome is not Outcome.OK:
                break
        yield made


def train_alone(asked: tuple[str, TrainingRun]) -> TrainingResult:
    """Makes one training run on a task, in a lane of its own, so that it is the same in every process.

    Args:
        asked: the task's name, and the run.
    """
    task, run = asked
    return _single_lane()[task].run_all([run])[0]


@cache
def _single_lane() -> Trainers:
    return Trainers()


class Naming:
    """Turns an exception that leaves a ``with`` block into an ``EvaluationError`` that carries the programs' texts.

    A ``DeviceError`` is the environment's fault and stays what it is.
    """

    def __init__(self, jobs: Sequence[Job]):
        self._jobs = jobs

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, DeviceError):
            details = "".join(traceback.format_exception(error))
            texts = "\n".join(str(job.program) for job in self._jobs)
            raise EvaluationError(self._jobs[0].ticket, texts, details) from error


def evaluate_named(trainers: Trainers, setting: Setting, jobs: Sequence[Job]) -> list[tuple[int, Fitness]]:
    """Tickets and fitness of jobs, as many at a time as there are lanes.

    Raises:
        EvaluationError: an evaluation raised.
    """
    results: list[tuple[int, Fitness]] = []
    for start in range(0, len(jobs), setting.lanes):
        together = jobs[start : start + setting.lanes]
        with Naming(together):
            fitness = evaluate_all(trainers, setting, together)
        results += zip((job.ticket for job in together), fitness, strict=True)
    return results


class InProcessEvaluator:
    """Evaluates in this process, as many jobs for each ``collect`` as there are lanes; for debugging, tests and
    ``--workers 0``.

    Args:
        setting: what fitness means.
        trainers: trainers that exist already; None to make them when they are needed.
    """

    workers = 1

    def __init__(self, setting: Setting, trainers: Trainers | None = None):
        self._setting, self._trainers = setting, trainers or Trainers.of(setting)
        self._queue: deque[Job] = deque()

    def submit(self, jobs: Sequence[Job]) -> None:
        """Take one batch of jobs."""
        self._queue.extend(jobs)

    def collect(self, timeout_s: float) -> list[tuple[int, Fitness]]:
        """Evaluate the first jobs of the queue; the time limit does not apply."""
        jobs = [self._queue.popleft() for _ in range(min(self._setting.lanes, len(self._queue)))]
        return evaluate_named(self._trainers, self._setting, jobs)

    def pool(self, run: Callable[[T], R]) -> Pool[T, R]:
        """Calls in this process."""
        return Here(run)

    def close(self) -> None:
        """Drop the jobs that are left."""
        self._queue.clear()
