"""Bootstrap confidence intervals.

The mean of a few values uses the studentised bootstrap, because percentile intervals of eight values are too narrow.
The random seed is fixed, so that equal results give equal intervals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from optsearch.selection.statistics.intervals import CONFIDENCE, Interval, mean_interval

RESAMPLES = 4000
"""Number of resamples per interval."""

FEWEST = 4
"""Minimum number of values for resampling; with fewer, Student's interval is used."""


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
