"""Numerical equivalence of two programs: compares their updates in float64 within the range of float32.

The effects of rounding and of the guard of divisions are measured by perturbation: both programs are also run with
every result perturbed and every divisor shifted by a few times the guard. Where the runs of the first program agree,
the second must agree too; where rounding decides the first, it must decide the second. Both must stay finite, or
neither, for as many steps as a training run. Where a divisor is as small as the guard, and its dividend is not zero,
only finiteness is compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from optsearch.dsl.execute import apply_on_tree
from optsearch.dsl.functions import GUARD, Function
from optsearch.dsl.program import LR, OUTPUT, G, Program, W
from optsearch.dsl.walk import Domain, walk

STEPS = 6
"""Number of optimizer steps whose updates are compared."""

LONG = 200
"""Number of optimizer steps after which a program counts as staying finite."""

RUNS, ROUNDED_RUNS = 4, 2
"""Number of perturbed runs, and of runs perturbed by rounding only."""

ROUNDING = 1e-7
"""Relative perturbation of every result: the rounding of float32."""

SMALL = 1e-6
"""Divisors below this magnitude are dominated by the guard."""

SLACK = 50.0
"""Differences up to this multiple of the perturbations' effect count as rounding."""

SMALLEST, LARGEST = 1e-5, 1e3
"""Range of gradient magnitudes for which a rewritten program is guaranteed to give the same updates."""

ASSUMES = f"for gradients of size {SMALLEST:g} to {LARGEST:g}, finite over {LONG} steps"
"""Assumptions of the claim that two programs give the same updates."""

STABLE = 1e-2
"""Relative effect of perturbations above which a result is not informative."""

SETTINGS = ((0, 0.5, 1.0), (1, 1.0, 1.0), (2, 0.03, 1.0), (3, 0.03, SMALLEST), (4, 0.03, LARGEST))
"""Seed of tree and gradients, learning rate, and gradient magnitude of each comparison."""

TINY, HUGE = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
"""Results with smaller magnitude become 0, with larger magnitude infinite."""

_SHAPES = ((4,), (2, 3), ())


def same_updates(original: Program, rewritten: Program) -> bool:
    """Returns True if the programs agree wherever the original's updates are well defined.

    Args:
        original: a verified program.
        rewritten: a verified program, possibly with different state.

    Returns:
        False if an update differs by more than rounding and the guard can explain, if rounding decides an update of the
        original alone, or if only one of the programs stays finite.
    """
    if not all(_agree(original, rewritten, *setting) for setting in SETTINGS):
        return False
    # without state, every step is like the first ones
    return not (original.state or rewritten.state) or _lasts(original) == _lasts(rewritten)


def _agree(original: Program, rewritten: Program, seed: int, lr: float, size: float) -> bool:
    def runs(program: Program, count: int, guard: bool) -> np.ndarray:
        return np.array([_run(program, seed, lr, size, disturbed=n, guard=guard) for n in range(count + 1)])

    moved = runs(original, RUNS, guard=True)
    rounded, others = (runs(program, ROUNDED_RUNS, guard=False) for program in (original, rewritten))
    with np.errstate(all="ignore"):
        centre, result = moved[0], others[0]
        if (np.isfinite(centre) != np.isfinite(result)).any():
            return False
        spread, by_rounding = (np.max(np.abs(found - centre), axis=0) for found in (moved, rounded))
        other = np.max(np.abs(others - result), axis=0)
        known = np.isfinite(moved).all(axis=0) & (spread <= STABLE * np.abs(centre) + 1e-30)
        alike = np.abs(result - centre) <= SLACK * spread + ROUNDING * np.abs(centre) + 1e-30
        open_ = np.isfinite(rounded).all(axis=0) & (by_rounding > STABLE * np.abs(centre) + 1e-30)
        also_open = SLACK * other >= by_rounding
    return bool((alike | ~known).all() and (also_open | ~open_).all())


def _lasts(program: Program) -> bool:
    return bool(np.isfinite(_run(program, *SETTINGS[0], disturbed=0, guard=False, steps=LONG)).all())


def _run(
    program: Program, seed: int, lr: float, size: float, *, disturbed: int, guard: bool, steps: int = STEPS
) -> np.ndarray:
    """Updates of all steps, one after the other; weights move along those of the undisturbed program's start only."""
    rng = np.random.default_rng(seed)
    domain: Domain[Any] = _Disturbed(np.random.default_rng(1000 * seed + disturbed), disturbed > 0, guard)
    w = [rng.standard_normal(shape) for shape in _SHAPES]
    state: dict[str, Any] = {name: [np.zeros(shape) for shape in _SHAPES] for name in program.state}
    updates: list[np.ndarray] = []
    with np.errstate(all="ignore"):
        for number in range(steps):
            g = [size * _gradient(rng, shape, seed + number) for shape in _SHAPES]
            values: Mapping[str, Any] = walk(program, {W: w, G: g, LR: np.float64(lr), **state}, domain)
            state = {name: values[name] for name in program.state}
            updates += [np.ravel(np.asarray(leaf, np.float64)) for leaf in values[OUTPUT]]
            w = [leaf + 0.1 * rng.standard_normal(leaf.shape) for leaf in w]
            lr *= 0.9
    return np.concatenate(updates)


def _gradient(rng: np.random.Generator, shape: tuple[int, ...], number: int) -> np.ndarray:
    """Normal numbers of several magnitudes; the first of each array is zero in two of three steps, like a dead unit."""
    g = rng.standard_normal(shape) * (1.0, 0.1, 3.0)[number % 3]
    if shape and number % 3:
        g.flat[0] = 0.0
    return g


class _Disturbed:
    """The float64 meaning within the range of float32; if active, with rounding, and on demand with the guard moved."""

    def __init__(self, rng: np.random.Generator, active: bool, guard: bool):
        self.rng, self.active, self.guard = rng, active, active and guard

    def constant(self, value: float) -> Any:
        return self._rounded(np.float64(value))

    def apply(self, function: Function, operands: list[Any]) -> Any:
        if self.guard and function.name in ("divide", "reciprocal"):
            divided = operands[0] if function.arity == 2 else np.float64(1.0)
            operands = [*operands[:-1], apply_on_tree(self._moved, function.scope, [operands[-1], divided])]
        return self._rounded(apply_on_tree(function.reference, function.scope, operands))

    def _rounded(self, x: Any) -> Any:
        if isinstance(x, list):
            return [self._rounded(leaf) for leaf in x]
        size = np.abs(x)
        x = np.where(size < TINY, 0.0, np.where(size > HUGE, np.copysign(np.inf, x), x))
        return x if not self.active else x * (1.0 + ROUNDING * self.rng.uniform(-1.0, 1.0, np.shape(x)))

    def _moved(self, divisor: Any, divided: Any) -> Any:
        moved = divisor + GUARD * self.rng.uniform(-0.9, 9.0, np.shape(divisor))
        return np.where((np.abs(divisor) < SMALL) & (np.asarray(divided) != 0.0), np.nan, moved)
