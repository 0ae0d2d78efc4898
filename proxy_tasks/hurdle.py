"""Hurdles: stop a candidate that is far behind long before its last step.

A hurdle is counted in steps, never in seconds, so that the same candidate always stops at the same place.
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
        limits: pairs (step, largest loss): a run stops at the checkpoint ``step`` when the mean training loss since
            the checkpoint before exceeds the limit.
    """

    limits: tuple[tuple[int, float], ...]

    def at(self, checkpoints: Sequence[int]) -> np.ndarray:
        """The limit at every checkpoint.

        Args:
            checkpoints: the task's checkpoints, in steps.

        Returns:
            float32 array [number of checkpoints]; infinity where there is no limit.

        Raises:
            ValueError: a limit is not a number, or stands at a step that is not a checkpoint.
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
