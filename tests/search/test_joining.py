"""Before a cluster is joined, and when one falls silent, somebody has to answer at its address."""

from __future__ import annotations

import socket

import pytest

from search.cluster import answers
from search.workers import WorkerError, start_ray


def test_who_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert answers(address)
    assert not answers(address)
    assert all(answers(name) for name in ("auto", "local", "ray://127.0.0.1:1"))


def test_a_cluster_that_is_not_there_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)  # by another test of this process
    with pytest.raises(WorkerError, match=r"cluster at 127\.0\.0\.1:1 cannot be joined: nobody answers there: check"):
        start_ray(1, "127.0.0.1:1")
