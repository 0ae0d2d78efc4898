"""Means and paired differences with confidence intervals.

Losses of two contenders are compared by paired seeds. A seed gives both the same initial weights and batches, so that
their shared noise cancels in the difference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
"""Coverage probability of intervals."""

POWER = 0.8
"""Statistical power at which a difference counts as detectable."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its confidence interval.

    Attributes:
        mean: arithmetic mean.
        low: lower end of the interval; None for fewer than two values.
        high: upper end of the interval; None for fewer than two values.
        count: number of values.
        confidence: coverage probability.
    """

    mean: float
    low: float | None
    high: float | None
    count: int
    confidence: float = CONFIDENCE

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.mean:.4g}"
        return f"{self.mean:.4g} [{self.low:.4g}, {self.high:.4g}]"


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Mean with Student's t interval, ``mean +- t * s / sqrt(n)``.

    Args:
        values: finite numbers, at least one.
        confidence: coverage probability, in (0, 1).

    Returns:
        The interval; without ends for a single value.

    Raises:
        ValueError: there are no values, a value is not finite, or the confidence is outside (0, 1).
    """
    if not values:
        raise ValueError("an interval needs at least one value")
    if not all(map(math.isfinite, values)):
        raise ValueError(f"an interval needs finite values, got {list(values)}")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    count = len(values)
    mean = math.fsum(values) / count
    if count == 1:
        return Interval(mean, None, None, 1, confidence)
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    half = _t_quantile(0.5 + confidence / 2, count - 1) * math.sqrt(variance / count)
    return Interval(mean, mean - half, mean + half, count, confidence)


def paired_difference(
    first: Mapping[int, float], second: Mapping[int, float], confidence: float = CONFIDENCE
) -> Interval | None:
    """Mean of ``first - second`` over the common seeds.

    Args:
        first: loss of each seed.
        second: loss of each seed.
        confidence: as in `mean_interval`.

    Returns:
        The interval of the difference; None if there is no common seed.
    """
    seeds = sorted(first.keys() & second.keys())
    if not seeds:
        return None
    return mean_interval([first[seed] - second[seed] for seed in seeds], confidence)


def minimum_detectable_effect(deviation: float, pairs: int, level: float, power: float = POWER) -> float:
    """The smallest true mean difference that a paired test detects with the given power.

    Args:
        deviation: standard deviation of the paired differences.
        pairs: number of pairs.
        level: two-sided significance level, after correction for multiple tests.
        power: probability of detection.

    Returns:
        The difference, in the unit of ``deviation``; infinity for fewer than two pairs.

    Source: Cohen, Statistical Power Analysis (1988), section 2.4, with the exact noncentral t distribution.
    """
    if pairs < 2:
        return math.inf
    if deviation == 0.0:
        return 0.0
    from scipy.special import nctdtr

    degrees, limit = pairs - 1, _t_quantile(1.0 - level / 2, pairs - 1)
    low, high = 0.0, 4.0 * (limit + 4.0)
    for _ in range(80):
        middle = 0.5 * (low + high)
        found = 1.0 - float(nctdtr(degrees, middle, limit)) >= power
        low, high = (low, middle) if found else (middle, high)
    return high * deviation / math.sqrt(pairs)


def _t_quantile(probability: float, degrees: int) -> float:
    from scipy.special import stdtrit  # a small part of scipy that imports quickly

    return float(stdtrit(degrees, probability))
