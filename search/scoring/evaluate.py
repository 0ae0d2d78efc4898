"""Evaluates programs: maps jobs to fitness.

``optsearch.search.scoring.fitness`` defines fitness. An ``Evaluator`` accepts jobs and returns results in any order.
This module has the in-process implementation; ``optsearch.search.workers.ray_evaluator`` has the one on Ray.
"""

from __future__ import annotations

import os
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, TypeVar

from optsearch.proxy_tasks.compilation import DeviceError, prepare_process, use_one_cpu_thread
from optsearch.proxy_tasks.machine import computing_device, made_on
from optsearch.search.pool import Here, Pool
from optsearch.search.scoring.conversation import Request, Steps, steps_of
from optsearch.search.scoring.fitness import Fitness, Job, Setting

if TYPE_CHECKING:
    from optsearch.proxy_tasks.outcome import TrainingResult
    from optsearch.proxy_tasks.run import TrainingRun
    from optsearch.proxy_tasks.task import Task
    from optsearch.proxy_tasks.trainer import Method, Trainer

T = TypeVar("T")
R = TypeVar("R")


class EvaluationError(RuntimeError):
    """An evaluation raised an exception. This is a bug in this package, not in the evaluated program.

    Attributes:
        ticket: ticket of the evaluation.
        text: text of the program.
        details: the exception with its original traceback.
    """

    def __init__(self, ticket: int, text: str, details: str):
        super().__init__(ticket, text, details)
        self.ticket, self.text, self.details = ticket, text, details

    def __str__(self) -> str:
        return f"the evaluation of program {self.ticket} raised, which is a bug: {self.details}\n{self.text}"


@dataclass(frozen=True, slots=True)
class EvaluatorStatistics:
    """Counts of an evaluator since its creation. The defaults are those of an evaluator without worker processes.

    Attributes:
        waited_s: time spent waiting for results, in seconds.
        replaced: number of workers that died and were replaced.
        machines: kinds of machines of the workers.
    """

    waited_s: float = 0.0
    replaced: int = 0
    machines: frozenset[str] = frozenset()


class Evaluator(Protocol):
    """Protocol: accepts jobs and returns results in any order."""

    @property
    def workers(self) -> int:
        """Maximum number of concurrent jobs, at least 1."""
        ...

    @property
    def statistics(self) -> EvaluatorStatistics:
        """Statistics so far."""
        ...

    def submit(self, jobs: Sequence[Job]) -> None:
        """Enqueues a batch of jobs."""
        ...

    def collect(self, timeout_s: float) -> list[tuple[Job, Fitness]]:
        """Returns completed jobs and their results. Waits up to ``timeout_s`` for the first; may be empty.

        Raises:
            EvaluationError: an evaluation raised an exception.
        """
        ...

    def pool(self, run: Callable[[T], R]) -> Pool[T, R]:
        """Creates a pool on the evaluator's workers. The evaluator then accepts no more jobs; ``close`` closes both."""
        ...

    def close(self) -> None:
        """Releases all resources; pending jobs are dropped."""
        ...


def import_own_tasks(references: Iterable[str]) -> tuple[Task, ...]:
    """Registers custom tasks in this process; see ``optsearch.proxy_tasks.registry.import_tasks``.

    Unless the process has an accelerator, it is first restricted to one CPU thread: a module may compute at import, and
    such computations affect results as training does.
    """
    from optsearch.proxy_tasks.registry import import_tasks

    references = tuple(references)
    if references:
        use_one_cpu_thread()
    return import_tasks(references)


def use_accelerator_share(share: float) -> None:
    """Assigns this process a share of an accelerator; must be called before JAX is initialised.

    JAX preallocates this share of 90 % of the device memory; the remaining 10 % is for the drivers. User-defined values
    of ``XLA_PYTHON_CLIENT_MEM_FRACTION`` and ``JAX_PLATFORMS`` are kept.

    Args:
        share: share of one device, positive; above 1, each of the devices is used entirely.
    """
    os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{0.9 * min(share, 1.0):.3f}")
    os.environ.setdefault("JAX_PLATFORMS", "")  # any platform, accelerators first


def prepare_worker(gpus: float, imports: Iterable[str]) -> None:
    """Assigns a worker process its device, then imports custom tasks; must be called before JAX is initialised.

    Args:
        gpus: share of a GPU, as for `use_accelerator_share`; 0 for one CPU thread.
        imports: references of custom tasks.
    """
    if gpus:
        use_accelerator_share(gpus)
    use_one_cpu_thread()  # a process with a share computes on one thread if JAX finds no accelerator
    import_own_tasks(imports)


def this_machine() -> str:
    """The `made_on` of this process with the device on which it trains; initialises JAX as training does."""
    use_one_cpu_thread()
    prepare_process()
    return made_on(computing_device())


def make_trainer(task: str, *, method: Method = "auto", lanes: int = 1) -> Trainer:
    """Creates the trainer of a task, on one CPU thread unless the process has an accelerator.

    Args:
        task: name of the task.
        method: execution method.
        lanes: number of training runs that the trainer batches.
    """
    use_one_cpu_thread()
    from optsearch.proxy_tasks.registry import get_task
    from optsearch.proxy_tasks.trainer import Trainer

    return Trainer(get_task(task), method=method, lanes=lanes)


class Trainers:
    """Trainers by task, created on first use; a task that is registered anew gets a new one.

    Args:
        *ready: existing trainers.
        method: execution method of the other trainers.
        lanes: number of lanes of the other trainers.
    """

    def __init__(self, *ready: Trainer, method: Method = "auto", lanes: int = 1):
        self._trainers = {trainer.task.name: trainer for trainer in ready}
        self._method: Method = method
        self._lanes = lanes

    def __getitem__(self, task: str) -> Trainer:
        """Returns the trainer of a task."""
        from optsearch.proxy_tasks.registry import get_task

        if task not in self._trainers or self._trainers[task].task is not get_task(task):
            self._trainers[task] = make_trainer(task, method=self._method, lanes=self._lanes)
        return self._trainers[task]


@cache
def trainers_of_process(method: Method, lanes: int) -> Trainers:
    """The trainers of this process with a method and a number of lanes.

    A process trains for several searches and their finals. Results do not depend on what a trainer ran before, and
    tracing its loop again would take longer than tens of evaluations.
    """
    return Trainers(method=method, lanes=lanes)


def evaluate(trainers: Trainers, setting: Setting, job: Job) -> Fitness:
    """Trains a job's program on every task and seed of the setting.

    Args:
        trainers: trainers of this process.
        setting: tasks, seeds and rates.
        job: the program and its reference.

    Returns:
        The fitness; ``outcome`` is that of the first failed run.
    """
    return evaluate_all(trainers, setting, [job])[0]


def evaluate_all(trainers: Trainers, setting: Setting, jobs: Sequence[Job]) -> list[Fitness]:
    """Evaluates several jobs and returns their fitness in order; training runs are batched over the lanes."""
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
    """Executes the requested runs: with several lanes in one batch, otherwise each request until its first failure."""
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
    """Executes one training run on a task with a single lane, so that the result is equal in every process.

    Args:
        asked: name of the task, and the run.
    """
    task, run = asked
    return trainers_of_process("auto", 1)[task].run_all([run])[0]


class Naming:
    """Converts exceptions of a ``with`` block to an ``EvaluationError`` with the texts of the programs.

    A ``DeviceError`` is caused by the environment and is not converted.
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


def evaluate_named(trainers: Trainers, setting: Setting, jobs: Sequence[Job]) -> list[Fitness]:
    """Evaluates jobs, as many at a time as there are lanes, and returns their fitness in order.

    Raises:
        EvaluationError: an evaluation raised an exception.
    """
    results: list[Fitness] = []
    for start in range(0, len(jobs), setting.lanes):
        together = jobs[start : start + setting.lanes]
        with Naming(together):
            results += evaluate_all(trainers, setting, together)
    return results


class InProcessEvaluator:
    """In-process evaluator for debugging, tests and ``--workers 0``.

    Each call of ``collect`` evaluates as many jobs as there are lanes.

    Args:
        setting: definition of the fitness.
        trainers: existing trainers. Defaults to those of the process.
    """

    workers = 1
    statistics = EvaluatorStatistics()

    def __init__(self, setting: Setting, trainers: Trainers | None = None):
        self._setting, self._trainers = setting, trainers or trainers_of_process(setting.method, setting.lanes)
        self._queue: deque[Job] = deque()

    def submit(self, jobs: Sequence[Job]) -> None:
        """Enqueues a batch of jobs."""
        self._queue.extend(jobs)

    def collect(self, timeout_s: float) -> list[tuple[Job, Fitness]]:
        """Evaluates the first jobs of the queue; ignores the timeout."""
        jobs = [self._queue.popleft() for _ in range(min(self._setting.lanes, len(self._queue)))]
        return list(zip(jobs, evaluate_named(self._trainers, self._setting, jobs), strict=True))

    def pool(self, run: Callable[[T], R]) -> Pool[T, R]:
        """Creates an in-process pool."""
        return Here(run)

    def close(self) -> None:
        """Drops the remaining jobs."""
        self._queue.clear()
