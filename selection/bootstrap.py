"""Bootstrap confidence intervals.

The mean of a few paired differences uses the studentised bootstrap, because percentile intervals of eight values are
too narrow. Statistics over several tasks are resampled within each task. The random seed is fixed, so that equal
results give equal intervals.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from optsearch.selection.statistics import CONFIDENCE, Interval, mean_interval

RESAMPLES = 4000
"""Number of resamples per interval."""

FEWEST = 4
"""Minimum number of values for resampling; with fewer, Student's interval is used."""

Strata = Sequence[Sequence[float]]
"""For each task, one number per seed."""


def bootstrap_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Mean with its bootstrap-t interval.

    Args:
        values: finite, independent numbers, at least one.
        confidence: coverage probability, in (0, 1).

    Returns:
        The interval; Student's interval for fewer than `FEWEST` values, or if almost all resamples are constant.

    Raises:
        ValueError: as in `mean_interval`.

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
    """A statistic over several tasks with its percentile interval, by stratified resampling of the seeds of each task.

    Args:
        statistic: maps the strata to a number.
        strata: at least one finite number per task.
        confidence: coverage probability, in (0, 1).

    Returns:
        The statistic and its interval; without ends if no task has two numbers.

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
