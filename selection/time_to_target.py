"""How long a contender takes to a training loss that was set beforehand: in steps, and in work of the optimizer.

A contender that never gets there has failed, and a failure is the longest time of all. Performance profiles compare
contenders over all tasks and seeds: the share of runs in which one needs at most so many times what the quickest does.

Source: Dolan and More 2002, Benchmarking optimization software with performance profiles; Dahl et al. 2023
(arXiv:2306.07179), AlgoPerf, whose targets too are what a tuned reference reaches in three quarters of the time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

FACTORS = (1.0, 1.1, 1.25, 1.5, 2.0, 4.0)
"""Multiples of the quickest time at which profiles are stated."""


TARGET_AT = 0.75
"""Share of its steps after which the reference's training loss is the target: every optimizer has time to get there."""


def target_place(checkpoints: Sequence[int]) -> int:
    """Index of the checkpoint at which the reference sets the target: the first after `TARGET_AT` of all steps."""
    return next(place for place, step in enumerate(checkpoints) if step >= TARGET_AT * checkpoints[-1])


def steps_to_target(checkpoints: Sequence[int], curve: Sequence[float], target: float) -> float:
    """Steps until the running training loss has come down to a target.

    Args:
        checkpoints: steps at which the loss was noted.
        curve: the mean loss up to each since the one before; shorter when the run failed.
        target: the loss to reach.

    Returns:
        The step, between two checkpoints by a straight line between their losses; infinite when it is never reached.
    """
    for index, (step, loss) in enumerate(zip(checkpoints, curve, strict=False)):
        if loss <= target:
            if index == 0:
                return float(step)
            before, above = checkpoints[index - 1], curve[index - 1]
            return before + (step - before) * (above - target) / (above - loss)
    return math.inf


def performance_profile(
    times: Mapping[str, Sequence[float]], factors: Sequence[float] = FACTORS
) -> dict[str, list[float]]:
    """For each contender the share of runs in which it needs at most a factor times what the quickest needs.

    Args:
        times: for each contender its time in every run, in the same order of tasks and seeds; infinite for a failure.
        factors: multiples of the quickest time.

    Returns:
        For each contender one share for each factor, in [0, 1]; runs in which all fail count for nobody.
    """
    best = [min(column) for column in zip(*times.values(), strict=True)]
    return {
        name: [
            sum(time <= factor * quickest and time < math.inf for time, quickest in zip(row, best, strict=True))
            / max(len(row), 1)
            for factor in factors
        ]
        for name, row in times.items()
    }
