"""Aggregates over several tasks, and rank correlation.

Losses of different tasks have different units, so that only their order is used here: the probability of improvement is
robust to single extreme runs.

Source: Agarwal et al. 2021 (arXiv:2108.13264), Deep Reinforcement Learning at the Edge of the Statistical Precipice.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence


def probability_of_improvement(mine: Sequence[float], theirs: Sequence[float]) -> float:
    """Probability that a run of ``mine`` has a lower loss than a run of ``theirs``; ties count half.

    Equals the Mann-Whitney statistic divided by the number of pairs. A failed run has infinite loss.

    Raises:
        ValueError: either side has no runs.
    """
    if not mine or not theirs:
        raise ValueError("a comparison needs runs on both sides")
    wins = sum(1.0 if a < b else 0.5 if a == b else 0.0 for a in mine for b in theirs)
    return wins / (len(mine) * len(theirs))


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Rank correlation: 1 for equal rankings, -1 for reversed ones, near 0 for unrelated ones.

    Args:
        first: one score per item.
        second: another score per item, in the same order.

    Returns:
        Kendall's tau-b, which handles ties; None if all items of one side are tied.

    Source: Kendall (1945), The treatment of ties in ranking problems.
    """
    agree = tied_first = tied_second = pairs = 0
    for (a, x), (b, y) in itertools.combinations(zip(first, second, strict=True), 2):
        left, right = (a > b) - (a < b), (x > y) - (x < y)
        agree += left * right
        tied_first += left == 0
        tied_second += right == 0
        pairs += 1
    scale = math.sqrt((pairs - tied_first) * (pairs - tied_second))
    return agree / scale if scale else None
