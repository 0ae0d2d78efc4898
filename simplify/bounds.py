"""What is known of a value without running anything: an interval that holds it, and how fast it can grow.

A rule may need that an operand is never negative, or that a value which disappears was finite. Both follow from the
function table (``Laws.range``, ``Laws.total``) and a few lines of interval arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from dsl.functions import FUNCTIONS, GUARD, Function
from dsl.program import INPUTS, Program
from dsl.walk import walk

Bounds = tuple[float, float]
"""Least and largest value."""

TAME = 16
"""A value whose size is made of up to this many factors of inputs stays finite for a few steps; others may not."""

WILD = 99
"""Growth of a value that may be infinite or no number."""

ANYTHING: Bounds = (-math.inf, math.inf)


def bounds_of(name: str, operands: Sequence[Bounds]) -> Bounds:
    """Bounds of a call, from bounds of its operands."""
    low, high = FUNCTIONS[name].laws.range
    found = _INTERVALS[name](*operands) if name in _INTERVALS else ANYTHING
    if found[0] <= found[1]:
        return max(low, found[0]), min(high, found[1])
    return low, high  # infinite operands leave no interval


def within(inner: Bounds, outer: Bounds) -> bool:
    """Whether every value of ``inner`` is one of ``outer``."""
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def growth_of(name: str, operands: Sequence[int]) -> int:
    """How many factors of inputs the size of a call is made of; ``WILD`` for what may be infinite or no number."""
    if WILD in operands:
        return WILD
    laws = FUNCTIONS[name].laws
    if not laws.total:
        return WILD
    if laws.bounded or not operands:
        return 0
    grown = _GROWTH[name](*operands) if name in _GROWTH else max(operands)
    return grown if grown <= TAME else WILD


_GUARDED = 4
"""Growth of a guarded reciprocal, which is at most 1e8."""

_GROWTH: Mapping[str, Callable[..., int]] = {
    "multiply": lambda x, y: x + y,
    "dot": lambda x, y: x + y,
    "interp": lambda x, y, weight: max(x, y) + weight,
    "square": lambda x: 2 * x,
    "cube": lambda x: 3 * x,
    "reciprocal": lambda x: _GUARDED if x else 0,
    "divide": lambda x, y: x + (_GUARDED if y else 0),
    "clip": min,
    "clip_by_global_norm": lambda x, limit: limit,
}


def wild_state(program: Program) -> frozenset[str]:
    """State variables that may become infinite within a few steps: those that feed on powers of state."""
    wild: frozenset[str] = frozenset()
    while True:
        start = {name: WILD if name in wild else 1 for name in program.state}
        sizes = walk(program, {**dict.fromkeys(INPUTS, 1), **start}, _Growth())
        feeds = walk(program, {**dict.fromkeys(INPUTS, 0), **start}, _Growth())
        grown = wild.union(name for name in program.state if sizes[name] == WILD or feeds[name] > 1)
        if grown == wild:
            return wild
        wild = grown


def state_bounds(program: Program) -> dict[str, Bounds]:
    """Bounds of every state variable that hold at all steps: not negative where that follows by induction from zero."""
    bounds: dict[str, Bounds] = dict.fromkeys(program.state, (0.0, math.inf))
    while True:
        values = walk(program, {**dict.fromkeys(INPUTS, ANYTHING), **bounds}, _Intervals())
        broken = [name for name in program.state if bounds[name] != ANYTHING and values[name][0] < 0.0]
        if not broken:
            return bounds
        bounds |= dict.fromkeys(broken, ANYTHING)


class _Growth:
    """The domain of the walk that finds growth."""

    def constant(self, value: float) -> int:
        return 0

    def apply(self, function: Function, operands: list[int]) -> int:
        return growth_of(function.name, operands)


class _Intervals:
    """The domain of the walk that finds bounds."""

    def constant(self, value: float) -> Bounds:
        return value, value

    def apply(self, function: Function, operands: list[Bounds]) -> Bounds:
        return bounds_of(function.name, operands)


def _times(x: float, y: float) -> float:
    return 0.0 if x == 0.0 or y == 0.0 else x * y


def _multiply(x: Bounds, y: Bounds) -> Bounds:
    corners = [_times(a, b) for a in x for b in y]
    return min(corners), max(corners)


def _add(x: Bounds, y: Bounds) -> Bounds:
    return x[0] + y[0], x[1] + y[1]


def _negative(x: Bounds) -> Bounds:
    return -x[1], -x[0]


def _magnitude(x: Bounds) -> Bounds:
    size = max(abs(x[0]), abs(x[1]))
    return (0.0, size) if x[0] <= 0.0 <= x[1] else (min(abs(x[0]), abs(x[1])), size)


def _reciprocal(x: Bounds) -> Bounds:
    if x[0] < 0.0:
        return ANYTHING
    return 1.0 / (x[1] + GUARD), 1.0 / (x[0] + GUARD)


def _clip(x: Bounds, limit: Bounds) -> Bounds:
    size = _magnitude(limit)[1]
    return max(min(x[0], size), -size), min(max(x[1], -size), size)


def _interp(x: Bounds, y: Bounds, weight: Bounds) -> Bounds:
    if not within(weight, (0.0, 1.0)):
        return ANYTHING
    return min(x[0], y[0]), max(x[1], y[1])


_INTERVALS: Mapping[str, Callable[..., Bounds]] = {
    "add": _add,
    "subtract": lambda x, y: _add(x, _negative(y)),
    "negative": _negative,
    "multiply": _multiply,
    "square": lambda x: _multiply(_magnitude(x), _magnitude(x)),
    "abs": _magnitude,
    "reciprocal": _reciprocal,
    "divide": lambda x, y: _multiply(x, _reciprocal(y)),
    "maximum": lambda x, y: (max(x[0], y[0]), max(x[1], y[1])),
    "minimum": lambda x, y: (min(x[0], y[0]), min(x[1], y[1])),
    "clip": _clip,
    "interp": _interp,
}
