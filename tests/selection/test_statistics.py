"""Confidence intervals: agreement with scipy, and coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from optsearch.selection.statistics.intervals import (
    Interval,
    difference_interval,
    mean_interval,
    paired_difference,
    relative_difference,
    variances,
)


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


def held(interval: Interval, value: float) -> bool:
    assert interval.low is not None
    assert interval.high is not None
    return interval.low <= value <= interval.high


@pytest.mark.parametrize(("one", "two"), [(2, 2), (3, 5), (8, 8)])
def test_differences_of_means_have_scipys_welch_interval(one: int, two: int) -> None:
    rng = np.random.default_rng(one)
    first, second = rng.normal(1.0, 1.0, one), rng.normal(0.0, 3.0, two)
    found = difference_interval(first.tolist(), second.tolist())
    expected = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    np.testing.assert_allclose(np.array([found.low, found.high], float), [expected.low, expected.high], err_msg="Welch")
    assert difference_interval([1.0], [3.0, 4.0]).low is None
    assert difference_interval([1.0, 1.0], [2.0, 2.0]) == Interval(-1.0, -1.0, -1.0, 2)


@pytest.mark.parametrize("tasks", [1, 7])
@pytest.mark.parametrize("noise", [0.02, 0.2])
def test_relative_differences_cover_the_noise_of_the_reference_too(tasks: int, noise: float) -> None:
    """With the reference's mean taken as fixed the coverage is .83 instead of .95."""
    rng, true = np.random.default_rng(7), 0.9
    found = 0
    for _ in range(1000):
        pairs = [
            ((scale * true * rng.normal(1.0, noise, 5)).tolist(), (scale * rng.normal(1.0, noise, 5)).tolist())
            for scale in 10.0 ** rng.uniform(-2, 2, tasks)
        ]
        found += held(relative_difference(pairs), true - 1.0)
    assert 0.92 <= found / 1000 <= 0.98


@pytest.mark.parametrize("noise", ["skewed", "10 % blow-ups"])
def test_intervals_of_skewed_replicates_cover_nearly_as_often_as_they_say(noise: str) -> None:
    from test_significance import NOISE

    rng, draw = np.random.default_rng(8), NOISE[noise]
    found = sum(held(difference_interval(draw(rng, 5).tolist(), draw(rng, 5).tolist()), 0.0) for _ in range(1000))
    assert found >= 930


def test_tasks_as_the_unit_cover_the_mean_over_further_tasks() -> None:
    rng, found = np.random.default_rng(9), 0
    for _ in range(1000):
        effects = rng.normal(-0.05, 0.1, 7)  # of the tasks of one study
        each = [
            relative_difference([((1 + e + rng.normal(0, 0.02, 5)).tolist(), (1 + rng.normal(0, 0.02, 5)).tolist())])
            for e in effects
        ]
        found += held(mean_interval([interval.mean for interval in each]), -0.05)
    assert 0.93 <= found / 1000 <= 0.97


def test_relative_differences_need_a_reference() -> None:
    assert relative_difference([([1.0], [2.0])]) == Interval(-0.5, None, None, 1)
    assert relative_difference([([-3.0, -3.0], [-2.0, -2.0])]).mean == -0.5, "lower is better, whatever the sign"
    for pairs in ([], [([1.0], [0.0])]):
        with pytest.raises(ValueError, match="a relative difference needs"):
            relative_difference(pairs)


def test_variances_between_and_within_tunings_are_told_apart() -> None:
    rng = np.random.default_rng(10)
    found = [
        variances([(rng.normal(0.0, 3.0) + rng.normal(0.0, 1.0, 8)).tolist() for _ in range(5)]) for _ in range(500)
    ]
    between = np.array([row[0] for row in found], float)
    within = np.array([row[1] for row in found], float)
    assert np.sqrt(np.mean(between**2)) == pytest.approx(3.0, rel=0.1)
    assert np.sqrt(np.mean(within**2)) == pytest.approx(1.0, rel=0.05)
    assert variances([[1.0, 3.0]]) == (None, math.sqrt(2.0))
    assert variances([[1.0], [3.0]]) == (None, None)
    assert variances([]) == (None, None)
