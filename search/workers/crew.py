"""Workers that are Ray actors: started, supplied with batches of calls, watched, and replaced after their death.

Each has one core and, if requested, its share of a GPU, on which JAX starts once. Calls are pure functions, so that a
batch of a worker that died can be sent to another one.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, TypeVar

from optsearch.search.scoring.evaluate import EvaluatorStatistics
from optsearch.search.workers.ray_runtime import Needs, RayWatch, WorkerError, check_share, start_ray

ATTEMPTS = 30
"""Maximum number of times a batch is submitted; then the batch is assumed to kill its workers."""

T = TypeVar("T")
R = TypeVar("R")

ABREAST = 2
"""Number of batches or calls assigned to a worker: one running and one queued, so that workers are never idle."""


@dataclass(frozen=True, slots=True)
class Batch(Generic[T]):
    """Calls that are sent to a worker together.

    Attributes:
        calls: the calls.
        load: load of its worker, which has up to ``ABREAST``; no batch waits behind one with this load.
        attempts: number of workers that died while they had this batch.
    """

    calls: tuple[T, ...]
    load: int = 1
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class _Flight(Generic[T]):
    """A batch and the index of the worker that has it."""

    batch: Batch[T]
    place: int


class Crew(Generic[T, R]):
    """Base class of what runs calls on Ray actors.

    A worker receives batches only after it has reported that it started. A worker that Ray cannot place, for example
    after the loss of a node, therefore delays no batch.

    Args:
        actor: class of the actors. It has a method ``machine`` that describes the machine on which it runs.
        arguments: arguments of the class.
        workers: number of actors; None for as many as fit into the cluster.
        address: address of a Ray cluster, such as ``auto`` or ``ray://host:10001``. Defaults to a local Ray instance.
        gpus: share of a GPU per worker; 0 for none.

    Attributes:
        statistics: counts since the creation.

    Raises:
        WorkerError: Ray cannot be started or joined, or no node has the resources of a worker.
    """

    _raised: ClassVar[tuple[type[Exception], ...]] = ()
    """Exceptions of a call that are raised as they are, without Ray's traceback."""

    def __init__(self, actor: type, arguments: Sequence[Any], workers: int | None, *, address: str | None, gpus: float):
        check_share(workers, gpus)
        needs = Needs(gpus=gpus)
        self._started_ray = start_ray(workers, address, gpus=bool(gpus))
        import ray

        self._ray: Any = ray
        self._arguments = tuple(arguments)
        self._workers: list[Any] = []
        self._queue: deque[Batch[T]] = deque()
        self._flying: dict[Any, _Flight[T]] = {}  # reference of the result -> its batch
        self._loads: dict[int, int] = {}  # load of each worker that has started, by index
        self._free: list[dict[int, None]] = [{} for _ in range(ABREAST)]  # the same workers by load, as ordered sets
        try:
            needs.check()
        except WorkerError:
            self.close()
            raise
        # Workers inherit the restriction to one CPU thread; with a share of a GPU, JAX uses that GPU instead.
        self._actor: Any = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0, max_task_retries=0)(actor)
        self._starting: dict[Any, int] = {}  # reference of a worker's first response -> its index
        for place in range(needs.places() if workers is None else workers):
            self._start(place)
        self._watch = RayWatch(needs)
        self.statistics = EvaluatorStatistics()

    @property
    def workers(self) -> int:
        """Number of workers, which is the maximum number of concurrent jobs."""
        return len(self._workers)

    def ready(self) -> bool:
        """Returns True if at least one worker has started; does not block."""
        arrived, _ = self._ray.wait(list(self._starting), num_returns=1, timeout=0) if self._starting else ([], [])
        return bool(arrived) or len(self._starting) < len(self._workers)

    def close(self) -> None:
        """Stops the workers, and Ray if it was started for them."""
        self._flying.clear()
        self._queue.clear()
        if self._started_ray:
            self._ray.shutdown()
            return
        for worker in self._workers:
            self._ray.kill(worker)

    def _send(self, worker: Any, calls: Sequence[T]) -> Any:
        """Sends calls to a worker, and returns the reference of the list of their results."""
        raise NotImplementedError

    def _complaint(self, calls: Sequence[T]) -> str:
        """Message about calls whose workers died ``ATTEMPTS`` times."""
        raise NotImplementedError

    def _enqueue(self, batch: Batch[T]) -> None:
        self._queue.append(batch)
        self._hand_out()

    def _ended(self, timeout_s: float) -> list[tuple[T, R]]:
        """Calls of completed batches with their results; waits up to ``timeout_s`` for a batch, or for a worker."""
        pending = [*self._flying, *self._starting]
        began = time.monotonic()
        if pending:
            self._ray.wait(pending, num_returns=1, timeout=timeout_s)
        else:
            time.sleep(timeout_s)
        self._count(waited_s=self.statistics.waited_s + time.monotonic() - began)
        ready, _ = self._ray.wait(pending, num_returns=len(pending), timeout=0) if pending else ([], [])
        self._watch.look()
        results: list[tuple[T, R]] = []
        for reference in ready:
            if reference in self._starting:
                self._arrive(reference)
            elif reference in self._flying:  # not yet requeued after the death of its worker
                results += self._result(reference)
        self._hand_out()
        return results

    def _start(self, place: int) -> None:
        """Creates the worker with an index; it is available once ``_arrive`` receives its first response."""
        worker: Any = self._actor.remote(*self._arguments)
        self._workers[place : place + 1] = [worker]
        self._set_load(place, None)
        self._starting[worker.machine.remote()] = place

    def _arrive(self, reference: Any) -> None:
        place = self._starting.pop(reference)
        exceptions = self._ray.exceptions
        try:
            machine: str = self._ray.get(reference)
            self._count(machines=self.statistics.machines | {machine})
            self._set_load(place, 0)
        except exceptions.RayTaskError as error:  # such as a DeviceError
            raise WorkerError(f"a worker cannot start: {error.cause}") from error
        except (exceptions.RayActorError, exceptions.WorkerCrashedError, exceptions.OutOfMemoryError) as error:
            if "creation task" in str(error):
                raise WorkerError(f"a worker cannot start: {error}") from error
            self._start(place)

    def _hand_out(self) -> None:
        """Assigns queued batches to the available workers with the lowest load."""
        while self._queue:
            load = next((load for load, places in enumerate(self._free) if places), None)
            if load is None:
                return
            place = next(iter(self._free[load]))
            batch = self._queue.popleft()
            self._flying[self._send(self._workers[place], batch.calls)] = _Flight(batch, place)
            self._set_load(place, load + batch.load)

    def _set_load(self, place: int, load: int | None) -> None:
        """Sets the load of a worker; None if it has not started."""
        before = self._loads.pop(place, ABREAST)
        if before < ABREAST:
            del self._free[before][place]
        if load is not None:
            self._loads[place] = load
            if load < ABREAST:
                self._free[load][place] = None

    def _result(self, reference: Any) -> list[tuple[T, R]]:
        exceptions = self._ray.exceptions
        flight = self._flying.pop(reference)
        self._set_load(flight.place, self._loads[flight.place] - flight.batch.load)
        try:
            return list(zip(flight.batch.calls, self._ray.get(reference), strict=True))
        except exceptions.RayTaskError as error:
            if isinstance(error.cause, self._raised):
                raise error.cause from None
            raise
        except (exceptions.RayActorError, exceptions.WorkerCrashedError, exceptions.OutOfMemoryError) as error:
            self._replace(flight, error)
            return []

    def _replace(self, flight: _Flight[T], error: Exception) -> None:
        """Replaces the worker of a flight, which died, and requeues its batches."""
        lost = [flight.batch]
        for reference, other in list(self._flying.items()):
            if other.place == flight.place:
                lost.append(self._flying.pop(reference).batch)
        lost = [replace(batch, attempts=batch.attempts + 1) for batch in lost]
        for batch in lost:
            if batch.attempts >= ATTEMPTS:
                raise WorkerError(self._complaint(batch.calls)) from error
        self._queue.extendleft(reversed(lost))
        self._ray.kill(self._workers[flight.place])
        self._start(flight.place)
        self._count(replaced=self.statistics.replaced + 1)

    def _count(self, **changes: Any) -> None:
        self.statistics = replace(self.statistics, **changes)
