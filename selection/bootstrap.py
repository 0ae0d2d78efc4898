"""Intervals by resampling: what the numbers themselves say about how far a mean could have come out elsewhere.

For the mean of few paired differences the resampled means are studentised, because plain percentiles of eight values
are too narrow. Statistics over several tasks are resampled within each task. Every draw comes from a fixed seed, so
that the same results give the same interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from optsearch.selection.statistics import CONFIDENCE, Interval, mean_interval

RESAMPLES = 4000
"""Resamples of an interval."""

FEWEST = 4
"""Values below which resampling says nothing; Student's interval is used instead."""

Strata = Sequence[Sequence[float]]
"""For each task one number for each seed."""


def bootstrap_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Mean with its bootstrap-t interval.

    Args:
        values: finite numbers, at least one; independent of each other.
        confidence: share of intervals that shall hold the true mean, in (0, 1).

    Returns:
        The interval; Student's for fewer than `FEWEST` values, or when hardly a resample varies.

    Raises:
        ValueError: as `mean_interval`.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 12.5.
    """
    plain = mean_interval(values, confidence)
    count = len(values)
    if count < FEWEST:
        return plain
    data = np.asarray(values, float)
    drawn = data[np.random.default_rng(count).integers(count, size=(RESAMPLES, count))]
    spread = drawn.std(axis=1, ddof=1)
    varies = spread > 1e-12 * max(float(np.abs(data).max()), 1e-300)
    if np.count_nonzero(varies) < RESAMPLES // 2:
        return plain
    ratios = (drawn.mean(axis=1) - plain.mean)[varies] / (spread[varies] / math.sqrt(count))
    tail = 0.5 * (1.0 - confidence)
    low, high = np.quantile(ratios, [1.0 - tail, tail])
    error = float(data.std(ddof=1)) / math.sqrt(count)
    return Interval(plain.mean, float(plain.mean - low * error), float(plain.mean - high * error), count, confidence)


def stratified_interval(
    statistic: Callable[[Strata], float], strata: Strata, confidence: float = CONFIDENCE
) -> Interval:
    """A statistic over several tasks with its percentile interval, resampling the seeds of each task by themselves.

    Args:
        statistic: takes the strata, gives a number.
        strata: for each task at least one finite number.
        confidence: share of intervals that shall hold the true value.

    Returns:
        The statistic and its interval; without ends when no task has two numbers.

    Source: Agarwal et al. 2021 (arXiv:2108.13264), section 4.
    """
    arrays = [np.asarray(stratum, float) for stratum in strata]
    value, count = statistic(strata), sum(map(len, arrays))
    if all(len(array) < 2 for array in arrays):
        return Interval(value, None, None, count, confidence)
    rng = np.random.default_rng(count)
    drawn = [
        statistic([array[rng.integers(len(array), size=len(array))].tolist() for array in arrays])
        for _ in range(RESAMPLES // 4)
    ]
    tail = 0.5 * (1.0 - confidence)
    low, high = np.quantile(drawn, [tail, 1.0 - tail])
    return Interval(value, float(low), float(high), count, confidence)
