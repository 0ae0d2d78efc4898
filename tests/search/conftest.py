"""Fixtures: the shared trainer and the shared Ray instance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from optsearch.search.scoring.evaluate import Trainers, make_trainer, use_one_cpu_thread

use_one_cpu_thread()  # before anything computes


@pytest.fixture(scope="session")
def ae_trainer() -> Any:
    """The trainer of the search proxy, compiled once, among the trainers of this process."""
    return Trainers(make_trainer("ae"))


@pytest.fixture(scope="session")
def local_ray() -> Iterator[Any]:
    """One local Ray for all tests."""
    import ray

    from optsearch.search.workers.ray_runtime import start_ray

    start_ray(2, None)
    yield ray
    ray.shutdown()
