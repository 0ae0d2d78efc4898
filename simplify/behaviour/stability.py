"""Bounds on an optimizer's updates and weights: bounded updates, weight decay, stable learning rates.

If updates without decay are bounded by U and decay removes the fraction r of the weights at every step, the weights
converge into ``max |w| <= U / r`` and stay there. For Lion, U is the learning rate and r the learning rate times
lambda, so the bound is 1 / lambda.

Source: the bound is that of Lion-K (Chen, Liu et al. 2023, arXiv:2310.05898); stability on quadratics follows Harrison
et al. 2022 (arXiv:2209.11208).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from optsearch.dsl.functions import Function
from optsearch.dsl.program import LR, OUTPUT, G, Program, W
from optsearch.dsl.walk import walk
from optsearch.simplify.behaviour.simulation import Array, simulate
from optsearch.simplify.behaviour.weights import DecayKind, decay_of, fixed_weights
from optsearch.simplify.rewriting.bounds import ANYTHING, Bounds, bounds_of, state_bounds

CURVATURES = tuple(10.0**power for power in range(-3, 4))
"""Curvatures of the quadratics."""

RATES = tuple(10.0 ** (power / 4) for power in range(-24, 33))
"""Learning rates of the initial grid, as values of the schedule."""

QUADRATIC_STEPS = 200
"""Number of steps on a quadratic; a run is stable if it is never further from the minimum than at the start."""

_ROUNDS, _HALVINGS = 2, 4
"""Rounds of bisection, and halvings in each: all rates that a round can try are simulated side by side."""


@dataclass(frozen=True, slots=True)
class Restraint:
    """Bounds on the updates and the weights, with the schedule at 1.

    Attributes:
        largest: largest observed update, for constant, spiking and random gradients of up to 1e6.
        bounded: True if updates stop growing as the gradient grows.
        proved: bound on the update derived from the ranges of the functions; None if there is none.
        decay: ``decoupled`` if every step removes the same fraction of the weights regardless of the gradients.
        share: that fraction; None unless decay is decoupled.
        weight_bound: resulting bound on the weights; None without bounded updates and decoupled decay.
        reached: largest weight relative to that bound under gradients that push outward; None if not tested.
        says: summary in sentences.
    """

    largest: float | None
    bounded: bool
    proved: float | None
    decay: DecayKind
    share: float | None
    weight_bound: float | None
    reached: float | None
    says: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stability:
    """Largest stable learning rates on quadratics ``curvature / 2 * w^2`` from ``w = 1``.

    Attributes:
        curvatures: the curvatures.
        rates: largest value of the schedule at which the weight ends no further from the minimum than it started; None
            if all tested rates are stable or none is.
        exponent: p of ``rate ~ curvature^p``; None if no power law holds.
        says: summary in one sentence.
    """

    curvatures: tuple[float, ...]
    rates: tuple[float | None, ...]
    exponent: float | None
    says: str


@lru_cache(maxsize=256)
def restraint(program: Program) -> Restraint:
    """Bounds on a program's updates and weights.

    Args:
        program: a verified program.
    """
    largest, bounded = _largest_update(program)
    proved = _proved_bound(program)
    decay, share = decay_of(program)
    fixed = fixed_weights(program)
    says = [fixed.says] if fixed.says else []
    says.append(_update_words(largest, bounded, proved))
    bound = reached = None
    if decay == "none":
        says.append("There is no weight decay: the update does not depend on the weights.")
    elif decay == "coupled":
        says.append("The weights enter the update in a way that depends on the gradients: no decoupled weight decay.")
    elif share is not None:
        says.append(f"Weight decay is decoupled: each step removes {_plain(share)} of the weights, for all gradients.")
        limit = proved if proved is not None else largest if bounded else None
        if limit and share > 0.0:
            bound = min(limit / share, sys.float_info.max)
            reached = _reached(program)
            ground = "hence" if proved is not None else "as far as the probes show,"
            tried = "" if reached is None else f"; under constant outward gradients they reached {reached:.3f} of it"
            says.append(f"Bounded update, decoupled decay: {ground} max |w| <= {_plain(bound, 4)}{tried}.")
    return Restraint(largest, bounded or proved is not None, proved, decay, share, bound, reached, tuple(says))


@lru_cache(maxsize=256)
def stability(program: Program) -> Stability:
    """Largest stable learning rates against curvature.

    Args:
        program: a verified program.
    """
    low, high = [0.0] * len(CURVATURES), [math.inf] * len(CURVATURES)
    pairs = [(h, rate) for h in CURVATURES for rate in RATES]
    stable = _is_stable(program, pairs).reshape(len(CURVATURES), len(RATES))
    for place, row in enumerate(stable):
        first = int(np.argmin(row)) if not row.all() else len(RATES)
        low[place] = RATES[first - 1] if first else 0.0
        high[place] = RATES[first] if first < len(RATES) else math.inf
    open_ = [place for place in range(len(CURVATURES)) if low[place] > 0.0 and high[place] < math.inf]
    for _ in range(_ROUNDS if open_ else 0):
        grids = [_midpoints(low[place], high[place]) for place in open_]
        pairs = [(CURVATURES[place], rate) for place, grid in zip(open_, grids, strict=True) for rate in grid[1:-1]]
        stable = _is_stable(program, pairs).reshape(len(open_), -1)
        for place, grid, row in zip(open_, grids, stable, strict=True):
            low[place], high[place] = _bisected(grid, row.tolist())
    rates = tuple(low[place] if place in open_ else None for place in range(len(CURVATURES)))
    return _law(rates)


def _midpoints(low: float, high: float) -> list[float]:
    """All rates that bisection between two rates can try, in ascending order, with both ends."""
    grid = [low, high]
    for _ in range(_HALVINGS):
        middle = [math.sqrt(left * right) for left, right in pairwise(grid)]
        grid = [rate for pair in zip(grid, middle, strict=False) for rate in pair] + grid[-1:]
    return grid


def _bisected(grid: Sequence[float], stable: Sequence[bool]) -> tuple[float, float]:
    """Bisects a grid by the stability of its inner rates: a stable rate and the next one, which is unstable."""
    left, right = 0, len(grid) - 1
    while right - left > 1:
        middle = (left + right) // 2
        left, right = (middle, right) if stable[middle - 1] else (left, middle)
    return grid[left], grid[right]


def _is_stable(program: Program, pairs: list[tuple[float, float]]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    curvature = np.array([[h] for h, _ in pairs])
    lr = np.array([[rate] for _, rate in pairs])
    start = np.ones_like(curvature)
    updates, _ = simulate(program, lambda _, w: curvature * w, start, QUADRATIC_STEPS, lr=lr, move=True)
    with np.errstate(all="ignore"):
        path = 1.0 - np.cumsum(updates[:, :, 0], axis=0)
        return np.asarray((np.abs(path) <= 1.0 + 1e-6).all(axis=0))  # NaN counts as unstable


def _law(rates: tuple[float | None, ...]) -> Stability:
    known = [(h, rate) for h, rate in zip(CURVATURES, rates, strict=True) if rate is not None]
    if len(known) < 3:
        says = "The largest stable learning rate is outside the tested range for most curvatures."
        return Stability(CURVATURES, rates, None, says)
    x, y = np.log10([h for h, _ in known]), np.log10([rate for _, rate in known])
    slope = float(np.polyfit(x, y, 1)[0])
    if np.max(np.abs(y - np.polyval(np.polyfit(x, y, 1), x))) > 0.15:
        low, high = _plain(min(10**y)), _plain(max(10**y))
        says = f"The largest stable learning rate runs from {low} to {high} over the curvatures."
        return Stability(CURVATURES, rates, None, says)
    if abs(slope) < 0.05:
        says = f"The largest stable learning rate is about {_plain(10 ** float(np.mean(y)))} for every curvature."
    elif abs(slope + 1.0) < 0.05:
        at_one = 10 ** float(np.mean(x + y))
        says = f"The largest stable learning rate is {_plain(at_one)} / curvature, as for gradient descent."
    else:
        says = f"The largest stable learning rate is proportional to the power {slope:.2g} of the curvature."
    return Stability(CURVATURES, rates, slope, says)


def _largest_update(program: Program) -> tuple[float | None, bool]:
    """The largest observed update, None if not finite, and a flag: True if it stops growing with the gradient."""
    sizes = [10.0**power for power in range(-2, 7)]
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((120, 8))
    factors = np.array(sizes)[:, None]

    def gradient(t: int, _: Array) -> Array:
        constant = np.ones((len(sizes), 8)) * factors
        spike = noise[t] * (factors if t == 60 else np.full_like(factors, 0.01))
        return np.concatenate([constant, spike, noise[t] * factors])

    updates, _ = simulate(program, gradient, np.full((3 * len(sizes), 8), fixed_weights(program).weight), len(noise))
    with np.errstate(all="ignore"):
        largest = np.max(np.abs(updates), axis=(0, 2)).reshape(3, len(sizes))
    if not np.isfinite(largest).all():
        return None, False
    grows = bool((largest[:, -1] > 1.02 * largest[:, -3]).any())
    return float(np.max(largest)), not grows


def _proved_bound(program: Program) -> float | None:
    """Bound on the update from the ranges of the functions, with fixed weights and the schedule at 1."""
    rest = fixed_weights(program).weight
    known: Mapping[str, Bounds] = {W: (rest, rest), G: ANYTHING, LR: (1.0, 1.0), **state_bounds(program)}
    low, high = walk(program, known, _Ranges())[OUTPUT]
    bound = max(abs(low), abs(high))
    return bound if math.isfinite(bound) else None


class _Ranges:
    """The domain of the walk that bounds the update."""

    def constant(self, value: float) -> Bounds:
        return value, value

    def apply(self, function: Function, operands: list[Bounds]) -> Bounds:
        return bounds_of(function.name, operands)


def _reached(program: Program) -> float | None:
    """Final weights under steady gradients, from inside and outside the bound, in units of the bound.

    The schedule is raised until decay removes about 2 % per step, so that few steps suffice.
    """
    lr = 1.0
    for _ in range(4):
        _, share = decay_of(program, lr)
        if share is None or share <= 0.0:
            return None
        if 0.005 <= share <= 0.05:
            break
        lr *= 0.02 / share
    else:
        return None
    rest = fixed_weights(program).weight
    known: Mapping[str, Bounds] = {W: (rest, rest), G: ANYTHING, LR: (lr, lr), **state_bounds(program)}
    low, high = walk(program, known, _Ranges())[OUTPUT]
    limit = max(abs(low), abs(high)) / share
    if not math.isfinite(limit):
        limit = (
            float(np.max(np.abs(simulate(program, lambda *_: -np.ones((1, 1)), np.zeros((1, 1)), 120, lr=lr)[0])))
            / share
        )
    if limit == 0.0 or not math.isfinite(limit):
        return None  # no bound can be reached if the gradients have no effect
    start = np.array([[0.0, 0.0], [3.0 * limit, -3.0 * limit]])
    away = np.array([[-1.0, 1.0], [-1.0, 1.0]])
    _, end = simulate(program, lambda *_: away, start, math.ceil(10.0 / share), lr=lr, move=True)
    largest = float(np.max(np.abs(end))) / limit
    return largest if math.isfinite(largest) else None


def _update_words(largest: float | None, bounded: bool, proved: float | None) -> str:
    if proved is not None:
        return f"The update is bounded: at most {_plain(proved, 4)} times the schedule, for all gradients."
    if largest is None:
        return "Large gradients give updates that are not finite."
    if bounded:
        return f"The update is bounded as far as the probes show: it stayed below {_plain(largest, 4)}."
    return "The update is not bounded: it grows with the gradient."


def _plain(value: float, digits: int = 3) -> str:
    """Formats a number for people: without a power of ten, unless it would have many zeros."""
    number = Decimal(f"{value:.{digits}g}")
    return f"{number:,f}" if number == 0 or 1e-7 < abs(number) < 1e9 else f"{value:.{digits}g}"
