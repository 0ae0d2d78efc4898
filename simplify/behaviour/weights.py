"""Dependence of the updates on the weights: decay, weights at which the update is singular, and weights for probes.

Probes of gradients hold the weights fixed. Weights of zero disable weight decay, but some programs divide by a function
of the weight, so that their updates at zero are many orders of magnitude larger than at any other weight; others scale
their steps by the weight and do nothing there. Such programs are probed at another weight, and the statements say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from optsearch.dsl.program import Program
from optsearch.simplify.behaviour.simulation import Array, simulate

DecayKind = Literal["none", "decoupled", "coupled"]

TRIED = (0.0, 1.0, 0.1, -0.1, -1.0)
"""Weights that are tried; probes use the first one at which the update is neither singular nor zero."""

BESIDE = 1e-4
"""Distance of the neighbours with which the updates at a weight are compared."""

JUMP = 3.0
"""Ratio to the larger of the updates at both neighbours above which a weight is singular."""


@dataclass(frozen=True, slots=True)
class FixedWeights:
    """Weights for probes of gradients.

    Attributes:
        weight: value at which gradients are probed.
        others: the other tried values at which the update is neither singular nor zero.
        singular: tried values at which the update is not finite, or far larger than beside them.
        stuck: True if weights of zero stay zero.
    """

    weight: float
    others: tuple[float, ...]
    singular: tuple[float, ...]
    stuck: bool

    @property
    def says(self) -> str:
        """The consequence for statements about gradients, in a sentence; empty if they hold at weights of 0."""
        if self.stuck:
            return (
                f"Its steps are scaled by the weight: a weight of 0 stays 0, and statements about gradients hold at "
                f"weights of {self.weight:g}."
            )
        if not self.singular:
            return ""
        named = ", ".join(f"{weight:g}" for weight in self.singular)
        if self.weight in self.singular:
            return f"The update is singular at all tried weights ({named}): no statement about gradients is reliable."
        return (
            f"The update is singular at weights of {named}, where it is far larger than beside them or not finite; "
            f"statements about gradients hold at weights of {self.weight:g}."
        )


@lru_cache(maxsize=256)
def fixed_weights(program: Program) -> FixedWeights:
    """Tries weights and chooses those for probes of gradients.

    Args:
        program: a verified program.
    """
    noise = np.random.default_rng(4).standard_normal((8, 1, 4))
    lanes = np.array([weight + beside for weight in TRIED for beside in (0.0, -BESIDE, BESIDE)])
    weights = np.repeat(lanes[:, None], noise.shape[2], axis=1)
    updates, _ = simulate(program, lambda t, _: np.broadcast_to(noise[t], weights.shape), weights, len(noise))
    with np.errstate(all="ignore"):
        size = np.max(np.abs(updates), axis=(0, 2)).reshape(len(TRIED), 3)
        jumps = ~np.isfinite(size[:, 0]) | (size[:, 0] > JUMP * np.max(size[:, 1:], axis=1))
    singular = tuple(weight for weight, jump in zip(TRIED, jumps, strict=True) if jump)
    moving = [weight for weight, row in zip(TRIED, size, strict=True) if row[0] > 0.0 and weight not in singular]
    stuck = bool(size[0, 0] == 0.0)
    first = moving[0] if moving else float(stuck)
    return FixedWeights(first, tuple(moving[1:]), singular, stuck)


@lru_cache(maxsize=256)
def decay_of(program: Program, lr: float = 1.0) -> tuple[DecayKind, float | None]:
    """Classifies the dependence of the update on the weights, from differences over weights, scales and steps.

    Args:
        program: a verified program.
        lr: value of the learning-rate schedule.

    Returns:
        The kind, and for decoupled decay the fraction of the weights that every step removes.
    """
    rng = np.random.default_rng(4)
    noise = rng.standard_normal((40, 8))
    weights = rng.standard_normal((3, 8)) * np.array([[0.3], [1.0], [3.0]])
    scales = np.repeat([0.1, 1.0, 10.0], 6)[:, None]
    start = np.tile(np.concatenate([np.zeros((3, 8)), weights]), (3, 1))
    updates, _ = simulate(program, lambda t, _: noise[t] * scales, start, len(noise), lr=lr)
    by_scale: Array = updates[-10:].reshape(10, 3, 2, 3, 8)
    with np.errstate(all="ignore"):
        difference = by_scale[:, :, 1] - by_scale[:, :, 0]
        shares = difference / weights
        if np.max(np.abs(difference)) <= 1e-12 * np.max(np.abs(updates)):
            return "none", None
        share = float(np.median(shares))
        # differences of large updates are rounded: the tolerance allows for this rounding
        rounding = 1e-14 * np.max(np.abs(updates)) / np.abs(weights)
        if np.isfinite(shares).all() and (np.abs(shares - share) <= 0.01 * abs(share) + rounding).all():
            return "decoupled", share
    return "coupled", None
