"""Significance of paired differences, and correction for multiple comparisons.

Seeds are paired. Under the null hypothesis that two contenders are equal, the difference on a seed has a symmetric
distribution. The test permutes signs and makes no further assumption about the noise. Holm's correction bounds the
family-wise error rate over all contenders and tasks by the significance level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

EXACT = 14
"""Maximum number of pairs for the exact test; above it, a fixed random sample of sign patterns is used."""

PATTERNS = 200_000
"""Number of random sign patterns: sufficient for p < 0.01 after correction for more than a thousand comparisons."""

_TIE = 1e-10


def permutation_test(differences: Sequence[float]) -> float:
    """Two-sided p-value of the paired permutation test.

    The p-value is the fraction of sign patterns whose mean is at least as far from 0 as the observed mean.

    Args:
        differences: first minus second contender, one finite number per seed.

    Returns:
        The p-value in (0, 1]; 1 if there are no differences. With n pairs it is at least ``2 / 2**n``.

    Source: Fisher, The Design of Experiments (1935), section 21; the sample includes the observed pattern (Phipson and
    Smyth 2010), so that its p-values are valid.
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
    """Random signs ``(PATTERNS, count)``, equal for all tests with this number of pairs."""
    return np.random.default_rng(count).choice([-1.0, 1.0], size=(PATTERNS, count))


def smallest_p_value(pairs: int) -> float:
    """The smallest p-value of `permutation_test` for a number of pairs."""
    return max(2.0 ** (1 - pairs), 1.0 / (1 + PATTERNS)) if pairs else 1.0


def pairs_needed(level: float) -> int:
    """The smallest number of pairs for which `permutation_test` can reach a significance level."""
    return math.ceil(1.0 - math.log2(max(level, 2.0 / PATTERNS)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction: p-values adjusted so that the family-wise error rate is at most the significance level.

    Args:
        p_values: any number of p-values, with arbitrary dependence.

    Returns:
        The corrected p-values, at most 1, in the order given.

    Source: Holm (1979), A simple sequentially rejective multiple test procedure.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected = [1.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected
