"""Bootstrap intervals: coverage."""

from __future__ import annotations

import numpy as np
import pytest

from optsearch.selection.statistics.bootstrap import bootstrap_interval
from optsearch.selection.statistics.intervals import mean_interval


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_intervals_of_few_skewed_values_hold_the_mean_as_often_as_they_say(confidence: float) -> None:
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(300):
        interval = bootstrap_interval(rng.gamma(4.0, 1.0, 8).tolist(), confidence)
        assert interval.low is not None
        assert interval.high is not None
        held += interval.low <= 4.0 <= interval.high
    assert abs(held / 300 - confidence) < 0.05


def test_few_or_equal_values_get_students_interval() -> None:
    assert bootstrap_interval([1.0, 2.0, 4.0]) == mean_interval([1.0, 2.0, 4.0])
    assert bootstrap_interval([2.0] * 8) == mean_interval([2.0] * 8)
    assert bootstrap_interval([1.0, 3.0, 2.0, 5.0, 2.5]) == bootstrap_interval([1.0, 3.0, 2.0, 5.0, 2.5])
