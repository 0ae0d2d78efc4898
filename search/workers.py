"""Evaluation on Ray: the only engine for more than one process, on this machine or on a cluster.

Each worker is an actor with one core and a trainer of its own. Jobs travel in batches as program text. A worker that
is killed is replaced and its batches are handed out again; an evaluation is a pure function, so nobody can tell
afterwards. An exception in an evaluation is a bug of ours and ends the search with the program's text.
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
"""Times that a batch is handed out before its workers' deaths are put down to the batch."""

LOOK_S = 5.0
"""Time between two looks at Ray itself: when it dies, it says nothing."""

OBJECT_STORE_BYTES = 100_000_000
"""Shared memory of a local Ray; results are a few hundred bytes each."""

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_worker_niceness": "0",  # that of the command, not 15, behind whatever else the machine does
}

LOST = "Ray has died or the cluster is lost; what was recorded is safe: start the same command again"

T = TypeVar("T")
R = TypeVar("R")

Parcel = tuple[int, str, Reference | None, bool, bool]
"""A job on its way: ticket, program text, reference, whether to keep the curves, whether it is a meta-validation."""

ABREAST = 2
"""Batches, or calls, that a worker has at a time: one that runs, and one so that it never waits for the next."""


class WorkerError(UserError, RuntimeError):
    """Workers cannot be started, or die again and again."""

    exit_code = 1


class _Worker:
    """What runs in a worker's process.

    Args:
        setting: what fitness means.
        gpus: its share of a GPU; 0 for none.
    """

    def __init__(self, setting: Setting, gpus: float):
        self._setting, self._trainers, self._gpus = setting, Trainers.of(setting), gpus
        use_accelerator_share(gpus) if gpus else use_one_cpu_thread()
        import_own_tasks(setting.imports)

    def machine(self) -> str:
        """Kind of the machine that it computes on."""
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
    """A batch: what it holds, which worker has it, how often it was handed out."""

    parcels: list[Parcel]
    place: int
    attempts: int


class RayEvaluator:
    """Evaluates on Ray actors. A worker gets batches once it has said that it is there, so that one which Ray cannot
    place, such as after the loss of a node, holds nothing back.

    Args:
        setting: what fitness means.
        workers: number of actors; None for one on each core of the cluster.
        address: a Ray cluster to join, such as ``auto`` or ``ray://host:10001``; None to start Ray here.
        gpus: share of a GPU that Ray gives each worker; 0 for none.

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
        # What a worker inherits is one thread on the CPU; a share of a GPU lets JAX see that GPU instead.
        self._actor = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0, max_task_retries=0)(_Worker)
        self._starting: dict[Any, int] = {}  # reference to a worker's first sign of life -> its place
        for place in range(count):
            self._start(place)
        self._watch = RayWatch()
        self.replaced = 0
        """Workers that died and were replaced."""
        self.machines: set[str] = set()
        """Kinds of machines that workers run on."""
        self.waited_s = 0.0
        """Time spent waiting for results."""

    @property
    def workers(self) -> int:
        """Jobs that can run at the same time."""
        return len(self._workers)

    def ready(self) -> bool:
        """Whether a worker is there; does not wait."""
        arrived, _ = self._ray.wait(list(self._starting), num_returns=1, timeout=0) if self._starting else ([], [])
        return bool(arrived) or len(self._starting) < len(self._workers)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Take one batch; the next worker that has time for it gets it."""
        parcels = [(job.ticket, str(job.program), job.reference, job.keep_curves, job.validate) for job in jobs]
        self._queue.append(_Batch(parcels, -1, 0))
        self._hand_out()

    def collect(self, timeout_s: float) -> list[tuple[int, Fitness]]:
        """Results of the batches that are ready; waits at most ``timeout_s`` for the first.

        Raises:
            EvaluationError: an evaluation raised.
            WorkerError: Ray has died, workers cannot be made, or they die again and again with the same batch.
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
            elif reference in self._flying:  # not taken back by the death of its worker a moment ago
                results += self._result(reference)
        self._hand_out()
        return results

    def pool(self, run: Callable[[Any], Any]) -> RayPool[Any, Any]:
        """Calls on the workers' cores; the workers end, as they hold these, and nothing is evaluated here any more."""
        for worker in self._workers:
            self._ray.kill(worker)
        count, self._workers = len(self._workers), []
        self._starting.clear()
        return RayPool(run, count, imports=self._setting.imports)

    def close(self) -> None:
        """End the workers, and Ray if it was started here."""
        self._flying.clear()
        self._queue.clear()
        if self._started_ray:
            self._ray.shutdown()
            return
        for worker in self._workers:
            self._ray.kill(worker)

    def _start(self, place: int) -> None:
        """Makes the worker of a place; it counts once ``_arrive`` has heard of it."""
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
        """Gives queued batches to the workers that are there and have the fewest."""
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
        """Puts a new worker in the place of a dead one and takes back all that it had."""
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
    """A meta-validation takes long: nothing else waits behind it."""
    return ABREAST if batch.parcels[0][4] else 1


class RayPool(Generic[T, R]):
    """A `Pool` on Ray, for functions and values that can be sent to another process; a call whose process dies is tried
    again.

    Args:
        run: what is called.
        workers: calls that run at the same time; None for one on each core of the cluster.
        address: a Ray cluster to join; None to start Ray here.
        imports: references of the user's own tasks, which every process imports before it calls anything.

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
        """Take a value."""
        self._flying[self._remote.remote(self._imports, self._run, value)] = number

    def collect(self) -> tuple[int, R]:
        """Number and result of a call that has ended; waits for one.

        Raises:
            WorkerError: a process died again and again, or Ray itself has.
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
        """End Ray if it was started here, or leave the cluster; what is still on its way is dropped."""
        if self._started_ray:
            self._ray.shutdown()


class RayWatch:
    """Looks every ``LOOK_S`` whether Ray still runs, also while results arrive: workers go on without it, and Ray ends
    this process a minute after its control service has gone, with a message of its own.

    It is lost when it is so at two looks in a row: the control service of a cluster can be started again.
    """

    def __init__(self) -> None:
        import ray

        self._node = ray.get_runtime_context().get_node_id()
        self._next, self._was_gone = time.monotonic() + LOOK_S, False

    def look(self) -> None:
        """Looks if it is time.

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
    """Starts Ray here, with the GPUs of this machine if they are wanted, or joins a cluster; does nothing in a process
    that has done so.

    Returns:
        Whether the caller has to end it.

    Raises:
        WorkerError: Ray cannot be started or joined.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    with _own_token() if address is None else nullcontext():
        return _start_ray(workers, address, gpus=gpus)


@contextmanager
def _own_token() -> Generator[None]:
    """The environment in which a local Ray is started, so that nothing but this process can use it.

    Ray listens on the network and runs what it is sent. Every local Ray gets a token of its own, which its processes
    inherit and which is written nowhere. Ray does so by itself from 2.59 on, with a token in the user's home folder.
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
    # Ray starts its processes by fork and exec at once, which JAX's threads do not mind.
    warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called", category=RuntimeWarning)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
    try:
        if address is not None and not answers(address):
            raise ConnectionError("no Ray answers there")
        if stale:  # Ray reads how it authenticates once, when it is imported or first started
            from ray._raylet import AuthenticationTokenLoader, Config  # pyright: ignore[reportAttributeAccessIssue]

            Config.initialize("")
            AuthenticationTokenLoader.instance().reset_cache()
        if address is not None:
            with tempfile.TemporaryDirectory() as folder:  # Ray uploads it before it returns
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
