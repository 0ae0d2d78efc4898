"""Confidence intervals: agreement with scipy, and coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from optsearch.selection.statistics import mean_interval, paired_difference


@pytest.mark.parametrize("count", [2, 3, 8, 50])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_interval_is_scipys(count: int, confidence: float) -> None:
    values = np.random.default_rng(count).normal(3.0, 2.0, count)
    interval = mean_interval(values.tolist(), confidence)
    low, high = stats.t.interval(confidence, count - 1, loc=values.mean(), scale=stats.sem(values))
    np.testing.assert_allclose(
        np.array([interval.mean, interval.low, interval.high], float), [values.mean(), low, high]
    )
    assert interval.count == count


def test_paired_difference_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=10), rng.normal(size=10)
    interval = paired_difference(dict(enumerate(first)), dict(enumerate(second)))
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert interval is not None
    np.testing.assert_allclose(np.array([interval.low, interval.high], float), [expected.low, expected.high])


def test_pairs_are_matched_by_seed_and_seeds_of_one_side_are_left_out() -> None:
    interval = paired_difference({1: 5.0, 2: 7.0, 9: 100.0}, {2: 6.0, 1: 3.0, 8: -100.0})
    assert interval is not None
    assert (interval.mean, interval.count) == (1.5, 2)
    assert paired_difference({1: 0.0}, {2: 0.0}) is None


def test_one_value_has_no_interval() -> None:
    interval = mean_interval([2.0])
    assert (interval.mean, interval.low, interval.high) == (2.0, None, None)


def test_intervals_hold_the_true_mean_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(2000):
        interval = mean_interval(rng.normal(1.0, 3.0, 5).tolist(), 0.9)
        assert interval.low is not None
        assert interval.high is not None
        held += interval.low <= 1.0 <= interval.high
    assert abs(held / 2000 - 0.9) < 0.02


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_values_must_be_finite_and_there(values: list[float]) -> None:
    with pytest.raises(ValueError, match="an interval needs"):
        mean_interval(values)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_confidence_is_a_share(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        mean_interval([1.0, 2.0], confidence)
