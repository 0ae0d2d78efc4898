"""The map on Ray; in a file of its own, because a map waits for cores while an evaluator holds them."""

import statistics
from typing import Any

import pytest

from search.workers import RayMap


def test_map_gives_results_in_order(local_ray: Any) -> None:
    assert list(RayMap(2)(statistics.fmean, [[1.0, 3.0], [4.0], [9.0, 0.0]])) == [2.0, 4.0, 4.5]
    with pytest.raises(statistics.StatisticsError):
        list(RayMap(2)(statistics.fmean, [[]]))
