"""Whether a difference is more than chance, and which differences still are when many were looked for.

Seeds are paired: if two contenders are equal, the difference on a seed is as likely to have the other sign, whatever
its distribution. So the test flips signs, which assumes nothing about the noise, and Holm's correction holds the chance
of any false winner, over all contenders and tasks together, below the level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

EXACT = 14
"""Pairs up to which all sign patterns are looked at; above, a fixed random sample of them."""

PATTERNS = 200_000
"""Random sign patterns above that: enough for p < 0.01 after correction for more than a thousand comparisons."""

_TIE = 1e-10


def permutation_test(differences: Sequence[float]) -> float:
    """Two-sided p-value of the paired permutation test.

    It is the share of sign patterns whose mean is at least as far from 0 as the observed one.

    Args:
        differences: first minus second contender, one finite number for each seed.

    Returns:
        The p-value in (0, 1]; 1 when there are no differences. With n pairs it is at least ``2 / 2**n``.

    Source: Fisher, The Design of Experiments (1935), section 21; the sample counts the observed pattern too (Phipson
    and Smyth 2010), so that its p-values are valid.
    """
    values = np.asarray(differences, float)
    if not np.isfinite(values).all():
        raise ValueError(f"a test needs finite differences, got {list(differences)}")
    count = len(values)
    if count == 0:
        return 1.0
    observed = abs(math.fsum(values)) * (1.0 - _TIE)
    if count <= EXACT:
        signs = 1 - 2 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
        return float(np.mean(np.abs(signs @ values) >= observed))
    return float((1 + np.count_nonzero(np.abs(_patterns(count) @ values) >= observed)) / (1 + PATTERNS))


@lru_cache(maxsize=2)
def _patterns(count: int) -> np.ndarray:
    """The same random signs for every test of so many pairs, ``(PATTERNS, count)``."""
    return np.random.default_rng(count).choice([-1.0, 1.0], size=(PATTERNS, count))


def smallest_p_value(pairs: int) -> float:
    """The smallest p-value that `permutation_test` can give for a number of pairs."""
    return max(2.0 ** (1 - pairs), 1.0 / (1 + PATTERNS)) if pairs else 1.0


def pairs_needed(level: float) -> int:
    """The fewest pairs with which `permutation_test` can come down to a level."""
    return math.ceil(1.0 - math.log2(max(level, 2.0 / PATTERNS)))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number, so that the chance of any false rejection is at most the level.

    Args:
        p_values: any number of them, however they depend on each other.

    Returns:
        For each the corrected p-value, at most 1, in the order given.

    Source: Holm (1979), A simple sequentially rejective multiple test procedure.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected = [1.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected
