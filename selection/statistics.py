"""Means and differences with intervals: a single number hides whether it would come back.

Losses of two contenders are compared seed by seed, because one seed gives both the same initial weights and batches:
the noise that they share cancels in the difference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
"""Share of intervals that hold the true mean."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and how well it is known.

    Attributes:
        mean: arithmetic mean.
        low: lower end of the interval; None when there are fewer than two values.
        high: upper end of the interval; None when there are fewer than two values.
        count: number of values.
        confidence: share of such intervals that hold the true mean.
    """

    mean: float
    low: float | None
    high: float | None
    count: int
    confidence: float = CONFIDENCE

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside; False when there is no interval."""
        return self.low is not None and self.high is not None and (self.low > 0.0 or self.high < 0.0)

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.mean:.4g}"
        return f"{self.mean:.4g} [{self.low:.4g}, {self.high:.4g}]"


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Mean with Student's t interval, ``mean +- t * s / sqrt(n)``.

    Args:
        values: finite numbers, at least one.
        confidence: share of intervals that shall hold the true mean, in (0, 1).

    Returns:
        The interval; without ends when there is one value.

    Raises:
        ValueError: no values, a value that is not finite, or a confidence outside (0, 1).
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
    """Mean of ``first - second`` over the seeds that both have.

    Args:
        first: loss for each seed.
        second: loss for each seed.
        confidence: as in `mean_interval`.

    Returns:
        The interval of the difference; None when no seed is in both.
    """
    seeds = sorted(first.keys() & second.keys())
    if not seeds:
        return None
    return mean_interval([first[seed] - second[seed] for seed in seeds], confidence)


def _t_quantile(probability: float, degrees: int) -> float:
    from scipy.special import stdtrit  # a small part of scipy: quick to import

    return float(stdtrit(degrees, probability))
