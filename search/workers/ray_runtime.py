"""Starts, joins and watches Ray: a local instance with a private token, or an existing cluster."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optsearch.dsl.errors import UserError
from optsearch.proxy_tasks.machine import with_variables
from optsearch.search.workers.cluster import answers, placeable, staged_package

LOOK_S = 5.0
"""Interval between health checks of Ray, in seconds; Ray does not report its own failure."""

PATIENCE_S = 30.0
"""Time without a node that can run a worker, in seconds, after which the workers count as lost."""

OBJECT_STORE_BYTES = 100_000_000
"""Shared memory of a local Ray instance; a result takes a few hundred bytes."""

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_worker_niceness": "0",  # that of the command; at Ray's default of 15, workers yield to all others
}

LOST = "Ray has died or the cluster was lost; recorded results are safe: run the same command again"


class WorkerError(UserError, RuntimeError):
    """Workers cannot be started, or die repeatedly."""

    exit_code = 1


def check_share(workers: int | None, gpus: float, address: str | None = None) -> None:
    """Rejects a share of a GPU that no worker can have, and a cluster without workers.

    Args:
        workers: number of workers; 0 for this process, None for the default.
        gpus: GPUs for each worker, or a fraction below 1; 0 for none.
        address: address of the Ray cluster to join; None for this machine.

    Raises:
        WorkerError: the number of GPUs is not one that Ray assigns, or there are no workers for it or for the cluster.
    """
    if address is not None and workers == 0:
        raise WorkerError(
            f"0 trains in this process, not on the Ray cluster at {address}: leave out the address, or use 1 or more"
        )
    if not placeable(gpus):
        raise WorkerError(
            f"{gpus:g} GPUs for each worker: use a whole number, or a fraction below 1 for workers that share a GPU"
        )
    if gpus and workers == 0:
        raise WorkerError(
            "0 workers train in this process, which has no share of a GPU: use 1 or more, or no GPUs for each worker"
        )


@dataclass(frozen=True, slots=True)
class Needs:
    """Resources of a worker, or of one run of a script.

    Attributes:
        cpus: CPU cores, at least 1.
        gpus: GPUs, or a fraction below 1.
        one: ``worker`` or ``run``, as in the options ``--gpus-per-worker`` and ``--gpus-per-run``.
    """

    cpus: int = 1
    gpus: float = 0.0
    one: str = "worker"

    def check(self) -> None:
        """Compares the needs with the nodes of Ray, which would wait for a suitable node without end.

        Raises:
            WorkerError: no node has the resources.
        """
        for kind, wanted in (("CPU", self.cpus), ("GPU", self.gpus)):
            most = max((node.get(kind, 0.0) for node in _nodes()), default=0.0)
            if wanted > most:
                raise WorkerError(
                    f"each {self.one} requests {wanted:g} {kind}s, and no node has more than {most:g}: "
                    f"--{kind.lower()}s-per-{self.one}"
                )

    def places(self) -> int:
        """Number of workers that fit into all nodes at once, regardless of what runs there."""
        return sum(self._places(node) for node in _nodes())

    def _places(self, node: Mapping[str, float]) -> int:
        cores, gpus = int(node.get("CPU", 0.0)) // self.cpus, node.get("GPU", 0.0)
        if not self.gpus:
            return cores
        # A share is one of a single GPU; the tolerance is that of 1 / 0.1.
        shares = int(gpus) * int(1.0 / self.gpus + 1e-9) if self.gpus < 1.0 else int(gpus / self.gpus)
        return min(cores, shares)


def _nodes() -> list[Mapping[str, float]]:
    """The resources of each node that is alive."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


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
    with _own_token() if address is None else nullcontext(), _own_handler():
        return _start_ray(workers, address, gpus=gpus)


def _own_token() -> AbstractContextManager[None]:
    """Sets a new authentication token in the environment, so that only this process can use a local Ray instance.

    Ray listens on the network and executes code that it receives. Every local instance has its own token, which its
    processes inherit and which is never written to disk. Ray 2.59 and later create a token themselves, stored in the
    user's home folder.
    """
    return with_variables({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)})


@contextmanager
def _own_handler() -> Generator[None]:
    """Keeps this process's handler of SIGTERM, which Ray replaces by one that exits at once with code 15."""
    own = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if callable(own) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, own)


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
            raise ConnectionError("Ray does not respond")
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
            raise WorkerError(f"Ray cannot be started: {error}; use --workers 0 to evaluate without Ray") from error
        raise WorkerError(
            f"the Ray cluster at {address} cannot be joined: {error}; check that it is running and, if it "
            "requires a token, that this command has the token (docs/cluster.md)"
        ) from error
    return True


class RayWatch:
    """Checks every ``LOOK_S`` seconds that Ray is alive.

    The check also runs while results arrive: workers continue without Ray's control service, and Ray terminates this
    process a minute after the service is lost. Ray counts as lost after two consecutive failed checks, because the
    control service of a cluster can be restarted.

    Workers count as lost once no node could run one for ``PATIENCE_S``: Ray would wait for such a node without end.

    Args:
        needs: resources of a worker.
    """

    def __init__(self, needs: Needs) -> None:
        import ray

        self._needs, self._node = needs, ray.get_runtime_context().get_node_id()
        self._next, self._was_gone = time.monotonic() + LOOK_S, False
        self._had_place = time.monotonic()

    def look(self) -> None:
        """Runs a health check if it is due.

        Raises:
            WorkerError: Ray is lost, or all nodes that can run a worker are.
        """
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LOOK_S
        gone = self._gone()
        if gone and self._was_gone:
            raise WorkerError(LOST)
        self._was_gone = gone
        if gone or self._needs.places():
            self._had_place = time.monotonic()
        elif time.monotonic() - self._had_place > PATIENCE_S:
            raise WorkerError(
                f"the nodes that can run a {self._needs.one} have been lost; recorded results are safe: run the same "
                "command again when they are back"
            )

    def _gone(self) -> bool:
        import ray
        from ray.util.client import ray as client

        if not client.is_connected() and not answers(ray.get_runtime_context().gcs_address):
            return True
        return self._node not in {entry["NodeID"] for entry in ray.nodes() if entry["Alive"]}
