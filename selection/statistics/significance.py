"""Significance of differences between replicates, and correction for multiple comparisons.

A replicate is one independent tuning, measured on its own fresh seeds. Under the null hypothesis that two contenders
are equal, their replicates are exchangeable, so that the test permutes them between the two, on every task separately.
The statistic is studentised: the test is exact if the distributions are equal, however skewed they are, and
approximately valid if only their means are. No test of a few replicates sees what happens in one of ten: a contender
that fails rarely and badly looks better than its mean. Holm's correction, in the form for discrete tests, bounds the
family-wise error rate over all contenders and tasks by the significance level.

Source: Janssen 1997, Studentized permutation tests for non-i.i.d. hypotheses; Chung and Romano 2013, Exact and
asymptotically robust permutation tests.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

EXACT = 20_000
"""Maximum number of permutations for the exact test; above it, a fixed random sample is used."""

PERMUTATIONS = 50_000
"""Number of random permutations: sufficient for p < 0.05 after correction for more than a thousand comparisons."""

_TIE = 1e-10

Sides = tuple[Sequence[float], Sequence[float]]
"""The replicates of two contenders on a task: one finite loss for each replicate."""


def permutation_test(tasks: Sequence[Sides]) -> float:
    """Two-sided p-value of the studentised permutation test, stratified by task.

    The statistic is the sum over tasks of the difference of means in units of the task's mean loss, divided by its
    standard error.

    Args:
        tasks: for each task the replicates of both contenders, at least two of each.

    Returns:
        The p-value in (0, 1], at least `smallest_p_value`; 1 if both sides are equal and constant.

    Raises:
        ValueError: there are no tasks, a side has fewer than two replicates, or a loss is not finite.
    """
    if not tasks or any(len(side) < 2 for sides in tasks for side in sides):
        raise ValueError("a test needs at least one task, and at least two replicates of both contenders")
    pooled = [np.asarray([*first, *second], float) for first, second in tasks]
    if not all(np.isfinite(values).all() for values in pooled):
        raise ValueError("a test needs finite losses")
    counts = [len(first) for first, _ in tasks]
    exact = _patterns_of(tasks) <= EXACT
    differences, errors = np.zeros(1), np.zeros(1)
    for place, (values, count) in enumerate(zip(pooled, counts, strict=True)):
        scale = abs(float(values.mean())) or 1.0
        orders = _all_orders(len(values), count) if exact else _random_orders(len(values), place)
        gaps, squares = _moments(values / scale, orders, count)
        if exact:  # every combination of the permutations of all tasks
            differences = (differences[:, None] + gaps).ravel()
            errors = (errors[:, None] + squares).ravel()
        else:
            differences, errors = differences + gaps, errors + squares
    floor = _TIE * max(float(errors.max()), 1e-300)
    statistics = np.abs(differences) / np.sqrt(errors + floor)
    return float(np.mean(statistics >= statistics[0] * (1.0 - _TIE)))


def smallest_p_value(replicates: int, tasks: int = 1) -> float:
    """The smallest p-value of `permutation_test` for a number of replicates of both contenders on each task."""
    if replicates < 2:
        return 1.0
    patterns = math.comb(2 * replicates, replicates) ** tasks
    return 2.0 / patterns if patterns <= EXACT else max(2.0 / patterns, 1.0 / (1 + PERMUTATIONS))


def replicates_needed(level: float) -> int:
    """The smallest number of replicates for which the test on one task can reach a significance level.

    Raises:
        ValueError: no number can.
    """
    if level * (1 + PERMUTATIONS) < 1.0:
        raise ValueError(f"a level of {level:g} is below the smallest p-value of {PERMUTATIONS:,} permutations")
    return next(count for count in range(2, 100) if smallest_p_value(count) <= level)


def _patterns_of(tasks: Sequence[Sides]) -> float:
    return math.prod(float(math.comb(len(first) + len(second), len(first))) for first, second in tasks)


def _moments(values: np.ndarray, orders: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Difference of means and its squared standard error, for each order of the values [permutations, values]."""
    shuffled = (values - values.mean())[orders]
    first, second = shuffled[:, :count], shuffled[:, count:]
    squares = first.var(axis=1, ddof=1) / count + second.var(axis=1, ddof=1) / second.shape[1]
    return first.mean(axis=1) - second.mean(axis=1), squares


@lru_cache(maxsize=32)
def _all_orders(total: int, count: int) -> np.ndarray:
    """One order for each choice of ``count`` values for the first side; the first is the observed one."""
    chosen = [frozenset(choice) for choice in itertools.combinations(range(total), count)]
    return np.array([[*sorted(choice), *(set(range(total)) - choice)] for choice in chosen])


@lru_cache(maxsize=32)
def _random_orders(total: int, task: int) -> np.ndarray:
    """The observed order, and random orders, equal for all tests with this number of values on this task."""
    drawn = np.argsort(np.random.default_rng([total, task]).random((PERMUTATIONS, total)), axis=1)
    return np.concatenate([np.arange(total)[None], drawn])


def holm(p_values: Sequence[float], least: Sequence[float] | None = None) -> list[float]:
    """Holm's correction: p-values adjusted so that the family-wise error rate is at most the significance level.

    A permutation test of a few replicates takes only multiples of its smallest p-value. Below a level it is at most as
    probable as the largest multiple below that level, and impossible below the smallest. A test that cannot reach the
    p-value of another one therefore does not count against it.

    Args:
        p_values: any number of p-values, with arbitrary dependence.
        least: the smallest p-value of each test, of which its p-values are multiples; None for tests that can take any.

    Returns:
        The corrected p-values, at most 1, in the order given.

    Source: Holm (1979), A simple sequentially rejective multiple test procedure; for discrete tests Westfall and
    Wolfinger (1997), Multiple tests with discrete distributions, here with the bound of Bonferroni.
    """
    steps = np.zeros(len(p_values)) if least is None else np.asarray(least, float)
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected = [1.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        mine, left = p_values[index], steps[order[rank:]]
        with np.errstate(divide="ignore", invalid="ignore"):
            reached = np.where(left > 0.0, np.floor(mine / left * (1.0 + _TIE)) * left, mine)
        largest = max(largest, min(1.0, float(np.minimum(reached, mine).sum())))
        corrected[index] = largest
    return corrected
