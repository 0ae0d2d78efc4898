"""Time to a target validation loss, in steps and in work of the optimizer.

A contender that does not reach the target has failed; its time is infinite. Performance profiles compare contenders
over all tasks and seeds: the fraction of runs in which a contender is within a given factor of the fastest.

Source: Dolan and More 2002, Benchmarking optimization software with performance profiles; Dahl et al. 2023
(arXiv:2306.07179), AlgoPerf, whose targets are also validation losses that a tuned reference reaches in three quarters
of the time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

FACTORS = (1.0, 1.1, 1.25, 1.5, 2.0, 4.0)
"""Factors, relative to the fastest, at which profiles are evaluated."""


TARGET_AT = 0.75
"""Fraction of the reference's steps after which its validation loss sets the target; others have time to reach it."""


def target_place(checkpoints: Sequence[int]) -> int:
    """Index of the checkpoint at which the reference sets the target: the first one after `TARGET_AT` of all steps."""
    return next(place for place, step in enumerate(checkpoints) if step >= TARGET_AT * checkpoints[-1])


def steps_to_target(checkpoints: Sequence[int], curve: Sequence[float | None], target: float) -> float:
    """Number of steps until the validation loss reaches a target.

    Args:
        checkpoints: steps at which the loss was recorded.
        curve: loss at each checkpoint, None where it is not finite; shorter if the run failed.
        target: the target loss.

    Returns:
        The step, interpolated linearly between checkpoints with a loss, or the step of the first such checkpoint;
        infinity if the target is not reached.
    """
    before: tuple[int, float] | None = None
    for step, loss in zip(checkpoints, curve, strict=False):
        if loss is not None and loss <= target:
            if before is None:
                return float(step)
            begin, above = before
            return begin + (step - begin) * (above - target) / (above - loss)
        before = None if loss is None else (step, loss)
    return math.inf


def performance_profile(
    times: Mapping[str, Sequence[float]], factors: Sequence[float] = FACTORS
) -> dict[str, list[float]]:
    """For each contender, the fraction of runs in which its time is within a factor of the fastest.

    Args:
        times: time of each contender in every run, in the same order of tasks and seeds; infinity for a failure.
        factors: factors relative to the fastest time.

    Returns:
        For each contender one fraction in [0, 1] per factor. Runs in which all contenders fail count for none.
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
