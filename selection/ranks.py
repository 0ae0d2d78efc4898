"""What several tasks say together, and whether two rankings agree.

Losses of different tasks have no common unit. So each is first divided by what the reference reached, and then summed
up by statistics that one extreme run cannot decide: the interquartile mean and the probability of improvement.

Source: Agarwal et al. 2021 (arXiv:2108.13264), Deep Reinforcement Learning at the Edge of the Statistical Precipice.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence


def interquartile_mean(values: Sequence[float]) -> float:
    """Mean of the middle half: a quarter of the values (rounded down) is left out at each end.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("a mean needs at least one value")
    cut = len(values) // 4
    middle = sorted(values)[cut : len(values) - cut]
    return math.fsum(middle) / len(middle)


def probability_of_improvement(mine: Sequence[float], theirs: Sequence[float]) -> float:
    """Probability that a run of mine has a lower loss than a run of theirs; equal losses count half.

    It is the Mann-Whitney statistic divided by the number of pairs. A failed run counts as an infinite loss.

    Raises:
        ValueError: one side has no runs.
    """
    if not mine or not theirs:
        raise ValueError("a comparison needs runs on both sides")
    wins = sum(1.0 if a < b else 0.5 if a == b else 0.0 for a in mine for b in theirs)
    return wins / (len(mine) * len(theirs))


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float | None:
    """How far two rankings agree: 1 when they are the same, -1 when reversed, near 0 when unrelated.

    Args:
        first: a score for each item.
        second: another score for each item, in the same order.

    Returns:
        Kendall's tau-b, which allows for ties; None when one side puts all items level.

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
