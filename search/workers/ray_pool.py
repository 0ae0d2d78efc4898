"""Pools on Ray: one that gives every call resources of its own, and one of workers that keep their share of a GPU."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from optsearch.proxy_tasks.machine import made_on
from optsearch.search.scoring.evaluate import import_own_tasks, prepare_worker, this_machine
from optsearch.search.workers.crew import ABREAST, ATTEMPTS, Batch, Crew
from optsearch.search.workers.ray_runtime import LOOK_S, LOST, Needs, RayWatch, WorkerError, start_ray

T = TypeVar("T")
R = TypeVar("R")


class RayPool(Generic[T, R]):
    """A `Pool` on Ray, for serialisable functions and values. A call is retried if its process dies.

    Processes take several calls in turn, except if calls have GPUs: Ray starts a process for each of these, so that it
    returns the memory of the GPU. This suits calls that start a process in any case, such as runs of a script.

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
        needs = Needs(cpus, gpus, "run")
        self._started_ray = start_ray(None if workers is None else workers * cpus, address, gpus=bool(gpus))
        import ray

        self._ray, self._run, self._imports = ray, run, tuple(imports)
        self._flying: dict[Any, int] = {}
        try:
            needs.check()
        except WorkerError:
            self.close()
            raise
        self._remote: Any = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=ATTEMPTS)(_with_tasks)
        self._watch = RayWatch(needs)
        places = max(needs.places(), 1)
        self.room = workers if workers and workers < places else ABREAST * places

    def machine(self) -> str:
        """The `made_on` of the processes; that of this process if these compute on the CPU."""
        if os.environ.get("JAX_PLATFORMS", "cpu") == "cpu":
            return made_on()
        return self._ray.get(self._remote.remote((), _machine, None))

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


def _machine(_: None) -> str:
    return this_machine()


class _PoolWorker:
    """The Ray actor of a worker.

    Args:
        run: function to call.
        imports: references of custom tasks.
        gpus: share of a GPU.
    """

    def __init__(self, run: Callable[[Any], Any], imports: Sequence[str], gpus: float):
        prepare_worker(gpus, imports)
        self._run = run

    def machine(self) -> str:
        """Returns the `made_on` of this process, with its device."""
        return this_machine()

    def call(self, values: Sequence[Any]) -> list[Any]:
        """Calls the function on each value."""
        return [self._run(value) for value in values]


class WorkerPool(Crew[tuple[int, T], R]):
    """A `Pool` on workers that keep their share of a GPU, so that JAX starts and compiles once on it.

    A worker has one call at a time, and the next free worker takes the next one. A worker that dies is replaced and its
    call is repeated.

    Args:
        run: serialisable function to call.
        workers: number of workers; None for as many as the cluster has shares of GPUs.
        gpus: share of a GPU per worker, positive.
        address: address of a Ray cluster. Defaults to a local Ray instance.
        imports: references of custom tasks, imported by every worker once it has its share.

    Raises:
        WorkerError: Ray cannot be started or joined, or no node has the resources of a worker.
    """

    _raised: ClassVar[tuple[type[Exception], ...]] = (Exception,)

    def __init__(
        self,
        run: Callable[[T], R],
        workers: int | None,
        *,
        gpus: float,
        address: str | None = None,
        imports: Sequence[str] = (),
    ):
        super().__init__(_PoolWorker, (run, tuple(imports), gpus), workers, address=address, gpus=gpus)
        self._results: deque[tuple[int, R]] = deque()
        self._machine = ""

    @property
    def room(self) -> int:
        """Number of pending calls that keeps all workers busy."""
        return ABREAST * self.workers

    def machine(self) -> str:
        """The `made_on` of the first worker, with its device; blocks until it has started."""
        while not self._machine:
            self._look()
            self._machine = min(self.statistics.machines, default="")
        return self._machine

    def submit(self, number: int, value: T) -> None:
        """Submits a call."""
        self._enqueue(Batch(((number, value),), load=ABREAST))

    def collect(self) -> tuple[int, R]:
        """Returns the number and result of a completed call; blocks until there is one.

        Raises:
            WorkerError: workers died repeatedly, Ray is lost, or no node can run a worker any more.
        """
        while not self._results:
            self._look()
        return self._results.popleft()

    def _look(self) -> None:
        try:
            self._results.extend((number, result) for (number, _), result in self._ended(LOOK_S))
        except self._ray.exceptions.RayTaskError:
            raise
        except self._ray.exceptions.RayError as error:
            raise WorkerError(f"{LOST} ({error})") from error

    def _send(self, worker: Any, calls: Sequence[tuple[int, T]]) -> Any:
        return worker.call.remote([value for _, value in calls])

    def _complaint(self, calls: Sequence[tuple[int, T]]) -> str:
        return f"a worker died {ATTEMPTS} times in the same call"
