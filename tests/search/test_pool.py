"""Pools return the result of every call once, with its number.

These tests have a separate file because a pool on Ray waits for cores while an evaluator holds them.
"""

import os
import signal
import statistics
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from optsearch.proxy_tasks.machine import made_on
from optsearch.search.pool import Here, in_order
from optsearch.search.workers.ray_pool import RayPool, WorkerPool

VALUES = [[1.0, 3.0], [4.0], [9.0, 0.0]]


def test_calls_here_are_made_when_they_are_asked_for() -> None:
    made: list[int] = []
    pool = Here(made.append)
    for number in (7, 3):
        pool.submit(number, 10 * number)
    assert made == []
    assert [pool.collect(), pool.collect()] == [(7, None), (3, None)]
    assert made == [70, 30]


def test_results_in_order_whatever_the_pool() -> None:
    class Backwards(Here[list[float], float]):
        def collect(self) -> tuple[int, float]:
            self._queue.rotate(1)
            return super().collect()

    for pool in (Here(statistics.fmean), Backwards(statistics.fmean)):
        assert list(in_order(pool, VALUES)) == [2.0, 4.0, 4.5]
        assert list(in_order(pool, [])) == []


def test_on_ray(local_ray: Any) -> None:
    check(RayPool(statistics.fmean, 2))


def test_on_workers_that_stay(local_ray: Any) -> None:
    """Here without a GPU; one that dies is replaced, and its call is repeated."""

    def dies_once(folder: str) -> int:
        Path(folder, str(len(os.listdir(folder)))).touch()
        if len(os.listdir(folder)) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return len(os.listdir(folder)) - 1

    pool = WorkerPool(statistics.fmean, 2, gpus=0.0)
    assert pool.machine() == made_on()
    check(pool)
    pool.close()
    pool = WorkerPool(dies_once, 1, gpus=0.0)
    with TemporaryDirectory() as folder:
        assert list(in_order(pool, [folder, folder])) == [1, 2]
    assert pool.statistics.replaced == 1
    pool.close()


def check(pool: RayPool[list[float], float] | WorkerPool[list[float], float]) -> None:
    assert pool.room >= 2
    for number, value in enumerate(VALUES):
        pool.submit(number + 5, value)
    assert sorted(pool.collect() for _ in VALUES) == [(5, 2.0), (6, 4.0), (7, 4.5)]
    assert list(in_order(pool, VALUES)) == [2.0, 4.0, 4.5]
    with pytest.raises(statistics.StatisticsError):
        list(in_order(pool, [[]]))
