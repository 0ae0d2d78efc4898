"""Multi-process evaluation on Ray, on this machine or on a cluster.

Each worker is a Ray actor with one core and its own trainers. Jobs are sent in batches, as program text. A killed
worker is replaced and its batches are resubmitted; evaluations are pure functions, so results are unaffected. An
exception in an evaluation is a bug and ends the search with an error that includes the program's text.
"""

from __future__ import annotations

import logging
import os
import secrets
import sys
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from optsearch.dsl.errors import UserError
from optsearch.dsl.syntax import parse
from optsearch.proxy_tasks.compilation import DeviceError
from optsearch.proxy_tasks.machine import accelerator, environment, processor
from optsearch.search.cluster import answers, staged_package
from optsearch.search.evaluate import (
    EvaluationError,
    Trainers,
    evaluate_named,
    import_own_tasks,
    use_accelerator_share,
    use_one_cpu_thread,
)
from optsearch.search.fitness import Fitness, Job, Reference, Setting

ATTEMPTS = 30
"""Maximum number of times a batch is submitted; then the batch is assumed to kill its workers."""

LOOK_S = 5.0
"""Interval between health checks of Ray, in seconds; Ray does not report its own failure."""

OBJECT_STORE_BYTES = 100_000_000
"""Shared memory of a local Ray instance; a result takes a few hundred bytes."""

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_worker_niceness": "0",  # that of the command; Ray's default of 15 yields to all others
}

LOST = "Ray has died or the cluster is lost; what was recorded is safe: start the same command again"

T = TypeVar("T")
R = TypeVar("R")

Parcel = tuple[int, str, Reference | None, bool, bool]
"""A serialised job: ticket, program text, reference, ``keep_curves``, ``validate``."""

ABREAST = 2
"""Number of batches or calls assigned to a worker: one running and one queued, so that workers are never idle."""


class WorkerError(UserError, RuntimeError):
    """Workers cannot be started, or die repeatedly."""

    exit_code = 1


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

    def evaluate(self, parcels: Sequence[Parcel]) -> list[tuple[int, Fitness]]:
        """Evaluates a batch."""
        jobs = [
            Job(ticket, parse(text), reference, keep_curves, validate)
            for ticket, text, reference, keep_curves, validate in parcels
        ]
        return evaluate_named(self._trainers, self._setting, jobs)


@dataclass(slots=True)
class _Batch:
    """A batch: its jobs, the index of its worker, and the number of times it was submitted."""

    parcels: list[Parcel]
    place: int
    attempts: int


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
        self._flying: dict[Any, _Batch] = {}
        if gpus > ray.cluster_resources().get("GPU", 0):
            self.close()
            raise WorkerError(f"Ray knows of no GPU, and each worker is to have {gpus:g} of one: leave out the share")
        count = workers if workers is not None else int(ray.cluster_resources().get("CPU", 1))
        if count < 1:
            raise WorkerError(f"at least 1 worker is needed, got {count}")
        # Workers inherit the restriction to one CPU thread; with a share of a GPU, JAX uses that GPU instead.
        self._actor = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0, max_task_retries=0)(_Worker)
        self._starting: dict[Any, int] = {}  # reference of a worker's first response -> its index
        for place in range(count):
            self._start(place)
        self._watch = RayWatch()
        self.replaced = 0
        """Number of workers that died and were replaced."""
        self.machines: set[str] = set()
        """Kinds of machines of the workers."""
        self.waited_s = 0.0
        """Time spent waiting for results, in seconds."""

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
        parcels = [(job.ticket, str(job.program), job.reference, job.keep_curves, job.validate) for job in jobs]
        self._queue.append(_Batch(parcels, -1, 0))
        self._hand_out()

    def collect(self, timeout_s: float) -> list[tuple[int, Fitness]]:
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
        self.waited_s += time.monotonic() - began
        ready, _ = self._ray.wait(pending, num_returns=len(pending), timeout=0) if pending else ([], [])
        self._watch.look()
        results: list[tuple[int, Fitness]] = []
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
            self.machines.add(self._ray.get(reference))
        except (exceptions.RayActorError, exceptions.WorkerCrashedError, exceptions.OutOfMemoryError) as error:
            if "creation task" in str(error):
                raise WorkerError(f"a worker cannot start: {error}") from error
            self._start(place)

    def _hand_out(self) -> None:
        """Assigns queued batches to the available workers with the lowest load."""
        if not self._queue:
            return
        load = {place: 0 for place in range(len(self._workers)) if place not in self._starting.values()}
        for batch in self._flying.values():
            if batch.place in load:
                load[batch.place] += _weight(batch)
        while self._queue and load:
            place = min(load, key=lambda place: load[place])
            if load[place] >= ABREAST:
                return
            batch = self._queue.popleft()
            reference = self._workers[place].evaluate.remote(batch.parcels)
            self._flying[reference] = _Batch(batch.parcels, place, batch.attempts + 1)
            load[place] += _weight(batch)

    def _result(self, reference: Any) -> list[tuple[int, Fitness]]:
        exceptions = self._ray.exceptions
        batch = self._flying.pop(reference)
        try:
            return self._ray.get(reference)
        except exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, (EvaluationError, DeviceError)):
                raise cause from None
            raise
        except (exceptions.RayActorError, exceptions.WorkerCrashedError, exceptions.OutOfMemoryError) as error:
            self._replace(batch, error)
            return []

    def _replace(self, batch: _Batch, error: Exception) -> None:
        """Replaces a dead worker and requeues its batches."""
        lost = [batch]
        for reference, other in list(self._flying.items()):
            if other.place == batch.place:
                lost.append(self._flying.pop(reference))
        for item in lost:
            if item.attempts >= ATTEMPTS:
                programs = "\n".join(parcel[1] for parcel in item.parcels)
                raise WorkerError(
                    f"{ATTEMPTS} workers died while these programs were evaluated:\n{programs}"
                ) from error
        self._queue.extendleft(reversed(lost))
        self._ray.kill(self._workers[batch.place])
        self._start(batch.place)
        self.replaced += 1


def _weight(batch: _Batch) -> int:
    """Load of a batch; a long meta-validation occupies a worker completely, so that no batch waits behind it."""
    return ABREAST if batch.parcels[0][4] else 1


class RayPool(Generic[T, R]):
    """A `Pool` on Ray, for serialisable functions and values. A call is retried if its process dies.

    Args:
        run: function to call.
        workers: number of concurrent calls; None for one per core of the cluster.
        address: address of a Ray cluster. Defaults to a local Ray instance.
        imports: references of custom tasks, imported by every process before its first call.

    Raises:
        WorkerError: Ray cannot be started or joined.
    """

    def __init__(
        self, run: Callable[[T], R], workers: int | None, *, address: str | None = None, imports: Sequence[str] = ()
    ):
        self._started_ray = start_ray(workers, address)
        import ray

        self._ray, self._run, self._imports = ray, run, tuple(imports)
        self._remote: Any = ray.remote(num_cpus=1, max_retries=ATTEMPTS)(_with_tasks)
        self._flying: dict[Any, int] = {}
        self._watch = RayWatch()
        cores = max(int(ray.cluster_resources().get("CPU", 1)), 1)
        self.room = workers if workers and workers < cores else ABREAST * cores

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
        """Stops Ray if it was started by this pool; pending calls are dropped."""
        if self._started_ray:
            self._ray.shutdown()


class RayWatch:
    """Checks every ``LOOK_S`` seconds that Ray is alive.

    The check also runs while results arrive: workers continue without Ray's control service, and Ray terminates this
    process a minute after the service is lost. Ray counts as lost after two consecutive failed checks, because the
    control service of a cluster can be restarted.
    """

    def __init__(self) -> None:
        import ray

        self._node = ray.get_runtime_context().get_node_id()
        self._next, self._was_gone = time.monotonic() + LOOK_S, False

    def look(self) -> None:
        """Runs a health check if it is due.

        Raises:
            WorkerError: Ray is lost.
        """
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LOOK_S
        gone = self._gone()
        if gone and self._was_gone:
            raise WorkerError(LOST)
        self._was_gone = gone

    def _gone(self) -> bool:
        import ray
        from ray.util.client import ray as client

        if not client.is_connected() and not answers(ray.get_runtime_context().gcs_address):
            return True
        return self._node not in {entry["NodeID"] for entry in ray.nodes() if entry["Alive"]}


def _with_tasks(imports: Sequence[str], run: Callable[[T], R], value: T) -> R:
    import_own_tasks(imports)
    return run(value)


def start_ray(workers: int | None, address: str | None, *, gpus: bool = False) -> bool:
    """Starts a local Ray instance or joins a cluster; does nothing if Ray is already initialised in this process.

    Args:
        workers: number of CPUs of a local instance; None for all cores.
        address: address of a cluster; None for a local instance.
        gpus: if True, a local instance uses the GPUs of this machine.

    Returns:
        True if the caller must shut Ray down.

    Raises:
        WorkerError: Ray cannot be started or joined.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    with _own_token() if address is None else nullcontext():
        return _start_ray(workers, address, gpus=gpus)


@contextmanager
def _own_token() -> Generator[None]:
    """Sets a new authentication token in the environment, so that only this process can use a local Ray instance.

    Ray listens on the network and executes code that it receives. Every local instance has its own token, which its
    processes inherit and which is never written to disk. Ray 2.59 and later create a token themselves, stored in the
    user's home folder.
    """
    ours = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start_ray(workers: int | None, address: str | None, *, gpus: bool) -> bool:
    stale = "ray" in sys.modules
    import ray

    if ray.is_initialized():
        return False
    logging.getLogger("ray").setLevel(logging.ERROR)
    # Ray starts processes by fork followed immediately by exec, which is safe with JAX's threads.
    warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called", category=RuntimeWarning)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
    try:
        if address is not None and not answers(address):
            raise ConnectionError("no Ray answers there")
        if stale:  # Ray reads the authentication mode only once, at import or first start
            from ray._raylet import AuthenticationTokenLoader, Config  # pyright: ignore[reportAttributeAccessIssue]

            Config.initialize("")
            AuthenticationTokenLoader.instance().reset_cache()
        if address is not None:
            with tempfile.TemporaryDirectory() as folder:  # uploaded before ray.init returns
                package = staged_package(Path(folder))
                ray.init(address=address, runtime_env={"py_modules": [str(package)]}, **quiet)
        else:
            ray.init(
                address="local",
                num_cpus=workers,
                num_gpus=None if gpus else 0,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE_BYTES,
                **quiet,
            )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        if address is None:
            raise WorkerError(f"Ray cannot be started here: {error}: --workers 0 evaluates without Ray") from error
        raise WorkerError(
            f"the Ray cluster at {address} cannot be joined: {error}: check that it runs there and, if it wants a "
            "token, that this command has it (docs/cluster.md)"
        ) from error
    return True
