"""Distances between the behaviours of programs, from their updates on the same inputs.

Learning rates are tuned before any comparison, so only directions count. There are two distances, both between 0 for
equal directions and 2 for opposite ones:

`step_distance`      mean cosine distance of the updates of each step. Invariant to a positive factor for every step, so
                     it ignores warm-up and decay of the step size. It describes which rule a program resembles.
`sequence_distance`  Euclidean distance of the normalised sequences. Invariant to one positive factor for all steps, so
                     step sizes relative to each other count. It decides which programs have equal behaviour.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]


def step_directions(updates: Array) -> Array | None:
    """Normalises the update of each step.

    Args:
        updates: the updates, ``(steps, parameters)``.

    Returns:
        Unit vectors, ``(steps, parameters)``; None if an update is zero or not finite.
    """
    return _normalised(updates, axis=1)


def sequence_direction(updates: Array) -> Array | None:
    """Normalises a sequence of updates as a whole.

    Args:
        updates: all updates in one vector, ``(steps * parameters,)``.

    Returns:
        A unit vector of the same shape; None if all updates are zero or one is not finite.
    """
    return _normalised(updates, axis=None)


def step_distance(first: Array, second: Array) -> float:
    """Computes the mean cosine distance of two results of `step_directions`; 1 for unrelated directions."""
    return float(1.0 - np.mean(np.sum(first * second, axis=1)))


def sequence_distance(first: Array, second: Array) -> float:
    """Computes the Euclidean distance of two results of `sequence_direction`; the square root of 2 if orthogonal."""
    return float(np.linalg.norm(first - second))


def _normalised(updates: Array, axis: int | None) -> Array | None:
    with np.errstate(all="ignore"):
        length = np.linalg.norm(updates, axis=axis, keepdims=True)
        return updates / length if np.isfinite(length).all() and (length > 0.0).all() else None
