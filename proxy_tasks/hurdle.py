"""Hurdles: early stopping of candidates whose training loss is too high.

A hurdle is defined in steps, never in seconds, so that a candidate always stops at the same step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Hurdle:
    """Limits on the running training loss.

    Attributes:
        limits: pairs (step, maximum loss). A run stops at checkpoint ``step`` if the mean training loss since the
            previous checkpoint exceeds the limit.
    """

    limits: tuple[tuple[int, float], ...]

    def at(self, checkpoints: Sequence[int]) -> np.ndarray:
        """Returns the limit at every checkpoint.

        Args:
            checkpoints: the task's checkpoints, in steps.

        Returns:
            float32 array [number of checkpoints]; infinity at checkpoints without a limit.

        Raises:
            ValueError: a limit is NaN, or its step is not a checkpoint.
        """
        result = np.full(len(checkpoints), np.inf, np.float32)
        for step, limit in self.limits:
            if math.isnan(limit):
                raise ValueError(f"hurdle at step {step}: the limit is not a number")
            if step not in checkpoints:
                nearest = min(checkpoints, key=lambda checkpoint: abs(checkpoint - step))
                known = ", ".join(map(str, checkpoints))
                raise ValueError(f"hurdle at step {step}: the task's checkpoints are {known}; the nearest is {nearest}")
            result[list(checkpoints).index(step)] = limit
        return result


NO_HURDLE = Hurdle(())
