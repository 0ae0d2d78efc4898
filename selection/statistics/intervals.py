"""Means and differences of means with confidence intervals.

The controls of a campaign are compared on paired seeds, which give both contenders the same initial weights and
batches. Optimizers are compared by replicates: independent tunings, each with its own fresh seeds.
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


def difference_interval(first: Sequence[float], second: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Difference of two means, first minus second, with Welch's interval.

    Args:
        first: independent, finite numbers, at least one.
        second: likewise.
        confidence: coverage probability, in (0, 1).

    Returns:
        The interval; without ends if a side has a single number.

    Source: Welch (1947), The generalization of Student's problem when several different population variances are
    involved.
    """
    one, two = mean_interval(first, confidence), mean_interval(second, confidence)
    difference, count = one.mean - two.mean, min(one.count, two.count)
    if count == 1:
        return Interval(difference, None, None, 1, confidence)
    return _interval(difference, [_squared_error(first), _squared_error(second)], [one.count - 1, two.count - 1], count,
                     confidence)  # fmt: skip


def relative_difference(
    pairs: Sequence[tuple[Sequence[float], Sequence[float]]], confidence: float = CONFIDENCE
) -> Interval:
    """Mean over tasks of ``mean(first) / mean(second) - 1``, with an interval that covers the noise of both sides.

    The variance follows from those of all means by the delta method, its degrees of freedom by Satterthwaite's formula.
    The tasks are fixed: the interval says nothing about other tasks.

    Args:
        pairs: for each task the numbers of both sides; independent and finite. Second means differ from 0.
        confidence: coverage probability, in (0, 1).

    Returns:
        The interval; without ends if a side has a single number. A negative mean of the second side keeps the sign of
        the difference.

    Raises:
        ValueError: there are no tasks, or a mean of a second side is 0.
    """
    if not pairs:
        raise ValueError("a relative difference needs at least one task")
    values: list[float] = []
    variances: list[float] = []
    degrees: list[int] = []
    for first, second in pairs:
        mine, theirs = mean_interval(first).mean, mean_interval(second).mean
        if theirs == 0.0:
            raise ValueError("a relative difference needs a reference other than 0")
        values.append((mine - theirs) / abs(theirs))
        if min(len(first), len(second)) > 1:
            variances += [_squared_error(first) / theirs**2, _squared_error(second) * (mine / theirs**2) ** 2]
            degrees += [len(first) - 1, len(second) - 1]
    mean, count = math.fsum(values) / len(values), min(min(map(len, pair)) for pair in pairs)
    if count == 1:
        return Interval(mean, None, None, 1, confidence)
    return _interval(mean, [v / len(values) ** 2 for v in variances], degrees, count, confidence)


def minimum_detectable_difference(
    first: Sequence[float], second: Sequence[float], level: float, power: float = POWER
) -> float:
    """The smallest true difference of means that a two-sample test detects with the given power.

    Args:
        first: independent, finite numbers.
        second: likewise.
        level: two-sided significance level, after correction for multiple tests.
        power: probability of detection.

    Returns:
        The difference; infinity if a side has fewer than two numbers.

    Source: Cohen, Statistical Power Analysis (1988), section 2.4, with the exact noncentral t distribution.
    """
    if min(len(first), len(second)) < 2:
        return math.inf
    squares = [_squared_error(first), _squared_error(second)]
    if sum(squares) == 0.0:
        return 0.0
    from scipy.special import nctdtr

    degrees = _satterthwaite(squares, [len(first) - 1, len(second) - 1])
    limit = _t_quantile(1.0 - level / 2, degrees)
    low, high = 0.0, 4.0 * (limit + 4.0)
    for _ in range(80):
        middle = 0.5 * (low + high)
        found = 1.0 - float(nctdtr(degrees, middle, limit)) >= power
        low, high = (low, middle) if found else (middle, high)
    return high * math.sqrt(sum(squares))


def variances(groups: Sequence[Sequence[float]]) -> tuple[float | None, float | None]:
    """Standard deviations between groups and within groups, by the analysis of variance with one random factor.

    Args:
        groups: finite numbers in groups of equal size: losses of one contender, a group for each replicate.

    Returns:
        The standard deviation of the groups' true means and that within a group; None where there are too few numbers.

    Source: Searle, Casella and McCulloch, Variance Components (1992), section 3.6.
    """
    within = between = None
    if all(len(group) > 1 for group in groups) and groups:
        within = math.sqrt(math.fsum(_squared_error(group) * len(group) for group in groups) / len(groups))
    if len(groups) > 1 and within is not None:
        means = [math.fsum(group) / len(group) for group in groups]
        size = min(map(len, groups))
        between = math.sqrt(max(_squared_error(means) * len(means) - within**2 / size, 0.0))
    return between, within


def _squared_error(values: Sequence[float]) -> float:
    """Estimated variance of the mean of at least two values."""
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values)


def _satterthwaite(squares: Sequence[float], degrees: Sequence[int]) -> float:
    """Degrees of freedom of a sum of independent estimates of variance.

    Source: Satterthwaite (1946), An approximate distribution of estimates of variance components.
    """
    largest = max(squares)
    shares = [square / largest for square in squares]
    return math.fsum(shares) ** 2 / math.fsum(share**2 / n for share, n in zip(shares, degrees, strict=True))


def _interval(mean: float, squares: Sequence[float], degrees: Sequence[int], count: int, confidence: float) -> Interval:
    total = math.fsum(squares)
    if total == 0.0:
        return Interval(mean, mean, mean, count, confidence)
    half = _t_quantile(0.5 + confidence / 2, _satterthwaite(squares, degrees)) * math.sqrt(total)
    return Interval(mean, mean - half, mean + half, count, confidence)


def _t_quantile(probability: float, degrees: float) -> float:
    from scipy.special import stdtrit  # a small part of scipy that imports quickly

    return float(stdtrit(degrees, probability))
