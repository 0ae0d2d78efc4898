"""Shares of an accelerator: requested from Ray, with their memory fraction set before JAX is initialised."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from optsearch.search.scoring.evaluate import use_accelerator_share, use_one_cpu_thread
from optsearch.search.scoring.fitness import Setting
from optsearch.search.workers.ray_evaluator import RayEvaluator
from optsearch.search.workers.ray_pool import WorkerPool
from optsearch.search.workers.ray_runtime import Needs, WorkerError


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XLA_PYTHON_CLIENT_MEM_FRACTION", "JAX_PLATFORMS"):
        monkeypatch.setenv(name, "")  # so that what the test sets is taken back
        monkeypatch.delenv(name)


@pytest.mark.parametrize(("share", "fraction"), [(0.25, "0.225"), (1.0, "0.900"), (2.0, "0.900")])
@pytest.mark.usefixtures("environment")
def test_a_share_is_that_of_the_memory(share: float, fraction: str) -> None:
    use_accelerator_share(share)
    use_one_cpu_thread()  # as a trainer does that is made later
    assert os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"] == fraction
    assert os.environ["JAX_PLATFORMS"] == ""


@pytest.mark.usefixtures("environment")
def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.5")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    use_accelerator_share(0.25)
    assert os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.5"
    assert os.environ["JAX_PLATFORMS"] == "cpu"


def test_jax_starts_with_a_share() -> None:
    """Here without an accelerator, so that it falls back to the CPU."""
    code = "from optsearch.search.scoring.evaluate import use_accelerator_share as use; use(0.5)\n"
    code += "from optsearch.proxy_tasks.machine import accelerator; print(accelerator())"
    environment = {name: value for name, value in os.environ.items() if name != "JAX_PLATFORMS"}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.strip()


def test_a_share_of_nothing_is_refused(local_ray: Any) -> None:
    if local_ray.cluster_resources().get("GPU", 0):
        pytest.skip("there is a GPU here")
    with pytest.raises(WorkerError, match=r"each worker requests 1 GPUs, and no node has more than 0"):
        WorkerPool(abs, 1, gpus=1.0)
    with pytest.raises(
        WorkerError, match=r"each worker requests 0\.5 GPUs, and no node has more than 0: --gpus-per-worker"
    ):
        RayEvaluator(Setting("ae", (0,)), 1, gpus=0.5)


@pytest.mark.parametrize(("share", "workers"), [(1.5, None), (-1.0, 2), (float("nan"), 2), (1e-5, 2), (0.5, 0)])
def test_what_no_worker_can_have_is_refused_before_ray_starts(share: float, workers: int | None) -> None:
    with pytest.raises(WorkerError, match=r"use a whole number|no share of a GPU"):
        WorkerPool(abs, workers, gpus=share)


@pytest.mark.parametrize(
    ("needs", "places"),
    [
        (Needs(), 7),
        (Needs(cpus=2), 3),
        (Needs(gpus=1.0), 3),
        (Needs(gpus=2.0), 1),
        (Needs(gpus=0.5), 6),
        (Needs(gpus=0.1), 7),
        (Needs(gpus=0.7), 3),
        (Needs(gpus=4.0), 0),
    ],
)
def test_workers_have_the_places_of_single_nodes(needs: Needs, places: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node has the cores and GPUs of a worker, and a share is one of a single GPU."""
    nodes = [{"CPU": 4.0, "GPU": 2.0}, {"CPU": 3.0, "GPU": 1.0}, {}]
    monkeypatch.setattr("optsearch.search.workers.ray_runtime._nodes", lambda: nodes)
    assert needs.places() == places
    if places:
        needs.check()
    else:
        with pytest.raises(WorkerError, match="each worker requests 4 GPUs, and no node has more than 2"):
            needs.check()
