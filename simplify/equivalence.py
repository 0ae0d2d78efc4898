"""Whether two programs give the same updates, found out by running both in float64.

What rounding and the guard of divisions can do is measured, not assumed: the first program is also run with every
result slightly off and every divisor moved by a few times the guard. Where these runs agree, the second program has to
agree too. Where a divisor is as small as the guard, and what it divides is not zero, nothing is compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dsl.execute import apply_on_tree
from dsl.functions import GUARD, Function
from dsl.program import OUTPUT, Program
from dsl.walk import Domain, walk

STEPS = 6
"""Optimizer steps of a run."""

RUNS = 4
"""Runs with disturbances."""

ROUNDING = 1e-7
"""Relative size of the disturbance of every result: that of float32."""

SMALL = 1e-6
"""Divisors below this size are ruled by the guard."""

SLACK = 50.0
"""Differences up to this multiple of what the disturbances do are rounding."""

STABLE = 1e-2
"""Results that disturbances change by more than this share say nothing."""

SETTINGS = ((0, 0.5), (1, 1.0), (2, 0.03))
"""Seed of the tree and the gradients, and the learning rate, of each comparison."""

_SHAPES = ((4,), (2, 3), ())


def same_updates(original: Program, rewritten: Program) -> bool:
    """Whether the programs agree wherever the original's updates are well defined.

    Args:
        original: a verified program.
        rewritten: a verified program, with state of its own.

    Returns:
        False when an update differs by more than rounding and the guard can explain.
    """
    for seed, lr in SETTINGS:
        runs = np.array([_run(original, seed, lr, disturbed=number) for number in range(RUNS + 1)])
        result = _run(rewritten, seed, lr, disturbed=0)
        with np.errstate(all="ignore"):
            centre = runs[0]
            spread = np.max(np.abs(runs - centre), axis=0)
            known = np.isfinite(runs).all(axis=0) & (spread <= STABLE * np.abs(centre) + 1e-30)
            known &= np.abs(centre) < 1e30
            agrees = np.abs(result - centre) <= SLACK * spread + ROUNDING * np.abs(centre) + 1e-30
        if not (agrees | ~known).all():
            return False
    return True


def _run(program: Program, seed: int, lr: float, *, disturbed: int) -> np.ndarray:
    """Updates of all steps, one after the other; weights move along those of the undisturbed program's start only."""
    rng = np.random.default_rng(seed)
    domain: Domain[Any] = _Disturbed(np.random.default_rng(1000 * seed + disturbed), disturbed > 0)
    w = [rng.standard_normal(shape) for shape in _SHAPES]
    state: dict[str, Any] = {name: [np.zeros(shape) for shape in _SHAPES] for name in program.state}
    updates: list[np.ndarray] = []
    with np.errstate(all="ignore"):
        for number in range(STEPS):
            g = [_gradient(rng, shape, seed + number) for shape in _SHAPES]
            values: Mapping[str, Any] = walk(program, {"w": w, "g": g, "lr": np.float64(lr), **state}, domain)
            state = {name: values[name] for name in program.state}
            updates += [np.ravel(np.asarray(leaf, np.float64)) for leaf in values[OUTPUT]]
            w = [leaf + 0.1 * rng.standard_normal(leaf.shape) for leaf in w]
            lr *= 0.9
    return np.concatenate(updates)


def _gradient(rng: np.random.Generator, shape: tuple[int, ...], number: int) -> np.ndarray:
    """Normal numbers of several sizes; like dead units, the first of each array is zero in two steps of three."""
    g = rng.standard_normal(shape) * (1.0, 0.1, 3.0)[number % 3]
    if shape and number % 3:
        g.flat[0] = 0.0
    return g


class _Disturbed:
    """The float64 meaning, with results off by rounding and divisors by the guard."""

    def __init__(self, rng: np.random.Generator, active: bool):
        self.rng, self.active = rng, active

    def constant(self, value: float) -> Any:
        return self._rounded(np.float64(value))

    def apply(self, function: Function, operands: list[Any]) -> Any:
        if self.active and function.name in ("divide", "reciprocal"):
            divided = operands[0] if function.arity == 2 else np.float64(1.0)
            operands = [*operands[:-1], apply_on_tree(self._moved, function.scope, [operands[-1], divided])]
        return self._rounded(apply_on_tree(function.reference, function.scope, operands))

    def _rounded(self, x: Any) -> Any:
        if not self.active:
            return x
        if isinstance(x, list):
            return [self._rounded(leaf) for leaf in x]
        return x * (1.0 + ROUNDING * self.rng.uniform(-1.0, 1.0, np.shape(x)))

    def _moved(self, divisor: Any, divided: Any) -> Any:
        moved = divisor + GUARD * self.rng.uniform(-0.9, 9.0, np.shape(divisor))
        return np.where((np.abs(divisor) < SMALL) & (np.asarray(divided) != 0.0), np.nan, moved)
