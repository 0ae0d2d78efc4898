"""Ray must answer before and while a cluster is used; a local Ray instance accepts only this process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from typing import Any
from unittest.mock import Mock

import pytest

from optsearch.search.workers.cluster import answers
from optsearch.search.workers.ray_runtime import WorkerError, start_ray


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optsearch.search.workers.cluster.ANSWER_S", 0.5)


def test_who_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert not answers(address)  # it takes connections and says nothing
    assert not answers(address)
    assert not answers("ray://127.0.0.1:1")
    assert not answers("no such host:1")
    assert all(answers(name) for name in ("auto", "local", "127.0.0.1:99999"))


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n"])
def test_what_is_not_ray_does_not_answer(reply: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        assert not answers(f"127.0.0.1:{server.getsockname()[1]}")
        thread.join()


def test_local_ray_answers_with_a_token_of_its_own(local_ray: Any) -> None:
    address = local_ray.get_runtime_context().gcs_address
    assert answers(address)

    @local_ray.remote
    def environment() -> dict[str, str]:
        return dict(os.environ)

    inside = local_ray.get(environment.remote())
    assert inside["RAY_AUTH_MODE"] == "token"
    assert len(inside["RAY_AUTH_TOKEN"]) == 64
    assert os.environ.get("RAY_AUTH_TOKEN") != inside["RAY_AUTH_TOKEN"]


JOIN = """
import sys, ray
ray.init(address=sys.argv[1], logging_level="ERROR")
print("joined", ray.get(ray.remote(lambda: 5).remote()))
"""


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}])
def test_local_ray_refuses_others(local_ray: Any, settings: dict[str, str], tmp_path: Any) -> None:
    """With no token, and with another one. The same holds for the oldest Ray that is allowed."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    command = [sys.executable, "-c", JOIN, local_ray.get_runtime_context().gcs_address]
    environment = {**outside, "HOME": str(tmp_path), **settings}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert "joined" not in done.stdout
    assert "uthenticat" in done.stderr or "ConnectionError" in done.stderr


def test_a_cluster_that_is_not_there_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)  # by another test of this process
    with pytest.raises(WorkerError, match=r"cluster at 127\.0\.0\.1:1 cannot be joined: Ray does not respond; check"):
        start_ray(1, "127.0.0.1:1")


KILL = """
import os, signal, subprocess, sys, time
from optsearch.dsl.library import LIBRARY
from optsearch.search.scoring.fitness import Job, Setting
from optsearch.search.workers.ray_runtime import WorkerError
from optsearch.search.workers.ray_evaluator import RayEvaluator

evaluator = RayEvaluator(Setting("ae", (0,)), 1)
children = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())], capture_output=True, text=True).stdout
(service,) = (int(line.split()[0]) for line in children.splitlines() if "gcs_server" in line)
results, killed = 0, None
try:
    for ticket in range(10_000):
        evaluator.submit([Job(ticket, LIBRARY["adamw"])])
        while not (found := evaluator.collect(0.25)):
            pass
        results += len(found)
        if killed is None:
            os.kill(service, signal.SIGKILL)
            killed = time.monotonic()
except WorkerError as error:
    print(results > 1, time.monotonic() - killed < 30, error)
"""


@pytest.mark.slow
def test_a_lost_control_service_is_said_before_ray_ends_the_process() -> None:
    """Results go on arriving; Ray alone would end the process after a minute, with words of its own."""
    done = subprocess.run([sys.executable, "-c", KILL], capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("True True Ray has died"), done.stdout + done.stderr


class Rude:
    """A Ray whose `init` replaces the handler of SIGTERM, as the real one does."""

    is_initialized = staticmethod(lambda: False)

    @staticmethod
    def init(**options: Any) -> None:
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(number))


def test_a_search_keeps_its_handler_of_sigterm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise SIGTERM, which SLURM sends before a time limit, ends a search with workers at once, with code 15."""
    monkeypatch.setitem(sys.modules, "ray", Rude)
    monkeypatch.setitem(sys.modules, "ray._raylet", Mock())

    def mine(number: int, frame: object) -> None: ...

    before = signal.signal(signal.SIGTERM, mine)
    try:
        assert start_ray(1, None)
        assert signal.getsignal(signal.SIGTERM) is mine
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        assert start_ray(1, None)
        assert callable(signal.getsignal(signal.SIGTERM)), "without an own handler, that of Ray ends its processes"
    finally:
        signal.signal(signal.SIGTERM, before)
