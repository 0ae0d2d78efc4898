"""The simulated cluster keeps time, and a driver on it searches as one on any other evaluator does."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import pytest

from optsearch.search.scoring.fitness import JobKind
from optsearch.search.workers.ray_evaluator import Parcel

scale: ModuleType = import_module("scale")


def parcels(*tickets: int) -> list[Parcel]:
    return [Parcel(ticket, "text", None, False, JobKind.EVALUATION) for ticket in tickets]


def test_a_wait_skips_to_the_first_result_and_no_further() -> None:
    cluster = scale.Cluster(100.0)
    one, other = scale.Actor(cluster), scale.Actor(cluster)
    first, second = one.evaluate.remote(parcels(1)), one.evaluate.remote(parcels(2, 3))
    third = other.evaluate.remote(parcels(4))
    assert cluster.wait([first, second, third], 3, timeout=0.0) == ([], [])
    assert cluster.skipped == 0.0
    cluster.wait([first, second, third], 1, timeout=7.0)
    assert cluster.skipped == pytest.approx(7.0)
    (early,), _ = cluster.wait([first, second, third], 1, timeout=1000.0)
    assert early is min((first, third), key=lambda reference: reference.due)
    assert second.due - first.due == pytest.approx(200.0, abs=40.0)  # an actor evaluates one after the other
    assert cluster.now == pytest.approx(early.due, abs=1.0)
    assert len(cluster.get(second)) == 2


def test_a_driver_that_waits_most_of_the_time_feeds_all_workers() -> None:
    figures = scale.simulate(60.0, 8, 40, 1)
    assert figures.evaluations >= 40
    assert 0.9 < figures.used <= 1.0
    assert figures.busy < 0.1
    assert figures.fed > 8
    assert figures.rate == pytest.approx(8 / 60.0, rel=0.1)


def test_a_saturated_driver_is_busy_all_the_time() -> None:
    figures = scale.simulate(1e-6, 4, 60, 1)
    assert figures.busy > 0.9
    assert figures.used < 0.1
