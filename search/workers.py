"""Multi-process evaluation on Ray, on this machine or on a cluster.

Each worker is a Ray actor with one core and its own trainers. Jobs are sent in batches, as program text. A killed
worker is replaced and its batches are resubmitted; evaluations are pure functions, so results are unaffected. An
exception in an evaluation is a bug and ends the search with an error that includes the program's text.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from optsearch.dsl.syntax import parse
from optsearch.proxy_tasks.compilation import DeviceError
from optsearch.proxy_tasks.machine import accelerator, environment, processor
from optsearch.search.evaluate import (
    EvaluationError,
    EvaluatorStatistics,
    Trainers,
    evaluate_named,
    import_own_tasks,
    use_accelerator_share,
    use_one_cpu_thread,
)
from optsearch.search.fitness import Fitness, Job, JobKind, Reference, Setting
from optsearch.search.ray_runtime import LOOK_S, LOST, RayWatch, WorkerError, start_ray

ATTEMPTS = 30
"""Maximum number of times a batch is submitted; then the batch is assumed to kill its workers."""

T = TypeVar("T")
R = TypeVar("R")

ABREAST = 2
"""Number of batches or calls assigned to a worker: one running and one queued, so that workers are never idle."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A job as sent to a worker.

    Attributes:
        ticket: as in ``Job``.
        text: text of the program.
        reference: as in ``Job``.
        keep_curves: as in ``Job``.
        kind: as in ``Job``.
    """

    ticket: int
    text: str
    reference: Reference | None
    keep_curves: bool
    kind: JobKind

    @classmethod
    def of(cls, job: Job) -> Parcel:
        """Packs a job."""
        return cls(job.ticket, str(job.program), job.reference, job.keep_curves, job.kind)

    def job(self) -> Job:
        """Unpacks the job."""
        return Job(self.ticket, parse(self.text), self.reference, self.keep_curves, self.kind)


class _Worker:
    """The Ray actor of a worker.

    Args:
        setting: definition of the fitness.
        gpus: share of a GPU; 0 for none.
    """

    def __init__(self, setting: Setting, gpus: float):
        self._setting, self._trainers, self._gpus = setting, Trainers.of(setting), gpus
        use_accelerator_share(gpus) if gpus else use_one_cpu_thread()
        import_own_tasks(setting.imports)

    def machine(self) -> str:
        """Returns the kind of machine on which the worker runs."""
        kind = f"{processor()} with {accelerator()}" if self._gpus else processor()
        return " and ".join(filter(None, (kind, environment())))

    def evaluate(self, parcels: Sequence[Parcel]) -> list[Fitness]:
        """Evaluates a batch and returns the fitness of each job in order."""
        return evaluate_named(self._trainers, self._setting, [parcel.job() for parcel in parcels])


@dataclass(frozen=True, slots=True)
class _Batch:
    """Jobs that are sent to a worker together.

    Attributes:
        jobs: the jobs.
        attempts: number of workers that died while they had this batch.
    """

    jobs: tuple[Job, ...]
    attempts: int = 0

    @property
    def load(self) -> int:
        """Load of its worker; a long meta-validation occupies a worker completely, so that no batch waits behind it."""
        return ABREAST if any(job.kind is JobKind.META_VALIDATION for job in self.jobs) else 1


@dataclass(frozen=True, slots=True)
class _Flight:
    """A batch and the index of the worker that has it."""

    batch: _Batch
    place: int


class RayEvaluator:
    """Evaluator on Ray actors.

    A worker receives batches only after it has reported that it started. A worker that Ray cannot place, for example
    after the loss of a node, therefore delays no batch.

    Args:
        setting: definition of the fitness.
        workers: number of actors; None for one per core of the cluster.
        address: address of a Ray cluster, such as ``auto`` or ``ray://host:10001``. Defaults to a local Ray instance.
        gpus: share of a GPU per worker; 0 for none.

    Raises:
        WorkerError: Ray cannot be started or joined.
    """

    def __init__(self, setting: Setting, workers: int | None, *, address: str | None = None, gpus: float = 0.0):
        self._started_ray = start_ray(workers, address, gpus=bool(gpus))
        import ray

        self._ray, self._setting, self._gpus = ray, setting, gpus
        self._workers: list[Any] = []
        self._queue: deque[_Batch] = deque()
        self._flying: dict[Any, _Flight] = {}  # reference of the result -> its batch
        if gpus > ray.cluster_resources().get("GPU", 0):
            self.close()
            raise WorkerError(f"each worker requests {gpus:g} GPUs, but Ray has fewer: leave out --gpus-per-worker")
        count = workers if workers is not None else int(ray.cluster_resources().get("CPU", 1))
        if count < 1:
            raise WorkerError(f"at least 1 worker is needed, got {count}")
        # Workers inherit the restriction to one CPU thread; with a share of a GPU, JAX uses that GPU instead.
        self._actor = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0, max_task_retries=0)(_Worker)
        self._starting: dict[Any, int] = {}  # reference of a worker's first response -> its index
        for place in range(count):
            self._start(place)
        self._watch = RayWatch()
        self.statistics = EvaluatorStatistics()

    @property
    def workers(self) -> int:
        """Number of workers, which is the maximum number of concurrent jobs."""
        return len(self._workers)

    def ready(self) -> bool:
        """Returns True if at least one worker has started; does not block."""
        arrived, _ = self._ray.wait(list(self._starting), num_returns=1, timeout=0) if self._starting else ([], [])
        return bool(arrived) or len(self._starting) < len(self._workers)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Enqueues a batch of jobs for the next free worker."""
        self._queue.append(_Batch(tuple(jobs)))
        self._hand_out()

    def collect(self, timeout_s: float) -> list[tuple[Job, Fitness]]:
        """Returns the results of completed batches; waits up to ``timeout_s`` for the first.

        Raises:
            EvaluationError: an evaluation raised an exception.
            WorkerError: Ray is lost, workers cannot be created, or they die repeatedly on the same batch.
        """
        pending = [*self._flying, *self._starting]
        if not self._flying and not self._queue:
            return []
        began = time.monotonic()
        if pending:
            self._ray.wait(pending, num_returns=1, timeout=timeout_s)
        else:
            time.sleep(timeout_s)
        self._count(waited_s=self.statistics.waited_s + time.monotonic() - began)
        ready, _ = self._ray.wait(pending, num_returns=len(pending), timeout=0) if pending else ([], [])
        self._watch.look()
        results: list[tuple[Job, Fitness]] = []
        for reference in ready:
            if reference in self._starting:
                self._arrive(reference)
            elif reference in self._flying:  # not yet requeued after the death of its worker
                results += self._result(reference)
        self._hand_out()
        return results

    def pool(self, run: Callable[[Any], Any]) -> RayPool[Any, Any]:
        """Creates a pool on the workers' cores. This ends the workers; the evaluator accepts no more jobs."""
        for worker in self._workers:
            self._ray.kill(worker)
        count, self._workers = len(self._workers), []
        self._starting.clear()
        return RayPool(run, count, imports=self._setting.imports)

    def close(self) -> None:
        """Stops the workers, and Ray if it was started by this evaluator."""
        self._flying.clear()
        self._queue.clear()
        if self._started_ray:
            self._ray.shutdown()
            return
        for worker in self._workers:
            self._ray.kill(worker)

    def _start(self, place: int) -> None:
        """Creates the worker with an index; it is available once ``_arrive`` receives its first response."""
        worker: Any = self._actor.remote(self._setting, self._gpus)
        self._workers[place : place + 1] = [worker]
        self._starting[worker.machine.remote()] = place

    def _arrive(self, reference: Any) -> None:
        place = self._starting.pop(reference)
        exceptions = self._ray.exceptions
        try:
            machine: str = self._ray.get(reference)
            self._count(machines=self.statistics.machines | {machine})
        except (exceptions.RayActorError, exceptions.WorkerCrashedError, exceptions.OutOfMemoryError) as error:
            if "creation task" in str(error):
                raise WorkerError(f"a worker cannot start: {error}") from error
            self._start(place)

    def _hand_out(self) -> None:
        """Assigns queued batches to the available workers with the lowest load."""
        if not self._queue:
            return
        load = {place: 0 for place in range(len(self._workers)) if place not in self._starting.values()}
        for flight in self._flying.values():
            if flight.place in load:
                load[flight.place] += flight.batch.load
        while self._queue and load:
            place = min(load, key=lambda place: load[place])
            if load[place] >= ABREAST:
                return
            batch = self._queue.popleft()
            reference = self._workers[place].evaluate.remote([Parcel.of(job) for job in batch.jobs])
            self._flying[reference] = _Flight(batch, place)
            load[place] += batch.load

    def _result(self, reference: Any) -> list[tuple[Job, Fitness]]:
        exceptions = self._ray.exceptions
        flight = self._flying.pop(reference)
        try:
            return list(zip(flight.batch.jobs, self._ray.get(reference), strict=True))
        except exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, (EvaluationError, DeviceError)):
                raise cause from None
            raise
        except (exceptions.RayActorError, exceptions.WorkerCrashedError, exceptions.OutOfMemoryError) as error:
            self._replace(flight, error)
            return []

    def _replace(self, flight: _Flight, error: Exception) -> None:
        """Replaces the worker of a flight, which died, and requeues its batches."""
        lost = [flight.batch]
        for reference, other in list(self._flying.items()):
            if other.place == flight.place:
                lost.append(self._flying.pop(reference).batch)
        lost = [replace(batch, attempts=batch.attempts + 1) for batch in lost]
        for batch in lost:
            if batch.attempts >= ATTEMPTS:
                programs = "\n".join(str(job.program) for job in batch.jobs)
                raise WorkerError(
                    f"{ATTEMPTS} workers died while these programs were evaluated:\n{programs}"
                ) from error
        self._queue.extendleft(reversed(lost))
        self._ray.kill(self._workers[flight.place])
        self._start(flight.place)
        self._count(replaced=self.statistics.replaced + 1)

    def _count(self, **changes: Any) -> None:
        self.statistics = replace(self.statistics, **changes)


class RayPool(Generic[T, R]):
    """A `Pool` on Ray, for serialisable functions and values. A call is retried if its process dies.

    Args:
        run: function to call.
        workers: number of concurrent calls; None for one per core of the cluster.
        address: address of a Ray cluster. Defaults to a local Ray instance.
        imports: references of custom tasks, imported by every process before its first call.
        cpus: CPU cores for each call.
        gpus: GPUs for each call, or a fraction below 1; 0 for none.

    Raises:
        WorkerError: Ray cannot be started or joined, or no node has the resources of a call.
    """

    def __init__(
        self,
        run: Callable[[T], R],
        workers: int | None,
        *,
        address: str | None = None,
        imports: Sequence[str] = (),
        cpus: int = 1,
        gpus: float = 0.0,
    ):
        self._started_ray = start_ray(None if workers is None else workers * cpus, address, gpus=bool(gpus))
        import ray

        self._ray, self._run, self._imports = ray, run, tuple(imports)
        self._flying: dict[Any, int] = {}
        for kind, wanted, option in (("CPU", cpus, "--cpus-per-run"), ("GPU", gpus, "--gpus-per-run")):
            most = max((node["Resources"].get(kind, 0.0) for node in ray.nodes() if node["Alive"]), default=0.0)
            if wanted > most:
                self.close()
                raise WorkerError(f"each run requests {wanted:g} {kind}s, and no node has more than {most:g}: {option}")
        self._remote: Any = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=ATTEMPTS)(_with_tasks)
        self._watch = RayWatch()
        places = max(int(ray.cluster_resources().get("CPU", 1)) // cpus, 1)
        if gpus:
            places = max(min(places, int(ray.cluster_resources().get("GPU", 0.0) / gpus)), 1)
        self.room = workers if workers and workers < places else ABREAST * places

    def submit(self, number: int, value: T) -> None:
        """Submits a call."""
        self._flying[self._remote.remote(self._imports, self._run, value)] = number

    def collect(self) -> tuple[int, R]:
        """Returns the number and result of a completed call; blocks until there is one.

        Raises:
            WorkerError: a process died repeatedly, or Ray is lost.
        """
        exceptions = self._ray.exceptions
        try:
            self._watch.look()
            while not (ready := self._ray.wait(list(self._flying), num_returns=1, timeout=LOOK_S)[0]):
                self._watch.look()
            return self._flying.pop(ready[0]), self._ray.get(ready[0])
        except exceptions.RayTaskError as error:
            raise error.cause from None
        except (exceptions.WorkerCrashedError, exceptions.OutOfMemoryError) as error:
            raise WorkerError(f"a worker died {ATTEMPTS} times: {error}") from error
        except exceptions.RayError as error:
            raise WorkerError(f"{LOST} ({error})") from error

    def close(self) -> None:
        """Stops Ray if it was started by this pool; pending calls are dropped, running ones are ended."""
        if self._started_ray:
            self._ray.shutdown()
            return
        for reference in self._flying:
            self._ray.cancel(reference, force=True)


def _with_tasks(imports: Sequence[str], run: Callable[[T], R], value: T) -> R:
    import_own_tasks(imports)
    return run(value)
