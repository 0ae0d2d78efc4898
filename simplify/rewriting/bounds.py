"""Interval analysis of a program's values, without running it.

A rule may require that an operand is nonnegative. This is derived from the function table (``Laws.range``) and interval
arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from optsearch.dsl.functions import FUNCTIONS, GUARD, Function
from optsearch.dsl.program import INPUTS, Program
from optsearch.dsl.types import KINDS, Kind
from optsearch.dsl.verify import input_kinds, result_kind
from optsearch.dsl.walk import walk

Bounds = tuple[float, float]
"""Smallest and largest value."""

ANYTHING: Bounds = (-math.inf, math.inf)


def bounds_of(name: str, operands: Sequence[Bounds]) -> Bounds:
    """Bounds of a call, from bounds of its operands."""
    low, high = FUNCTIONS[name].laws.range
    found = _INTERVALS[name](*operands) if name in _INTERVALS else ANYTHING
    if found[0] <= found[1]:
        return max(low, found[0]), min(high, found[1])
    return low, high  # infinite operands give an empty interval


def within(inner: Bounds, outer: Bounds) -> bool:
    """True if the interval ``inner`` is contained in ``outer``."""
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def state_bounds(program: Program) -> dict[str, Bounds]:
    """Bounds of every state variable at all steps: nonnegative if this follows by induction from zero."""
    bounds: dict[str, Bounds] = dict.fromkeys(program.state, (0.0, math.inf))
    while True:
        values = walk(program, {**dict.fromkeys(INPUTS, ANYTHING), **bounds}, _Intervals())
        broken = [name for name in program.state if bounds[name] != ANYTHING and values[name][0] < 0.0]
        if not broken:
            return bounds
        bounds |= dict.fromkeys(broken, ANYTHING)


def state_variation(program: Program) -> dict[str, Kind]:
    """The smallest kind of every state variable's values at all steps, whatever the memory that they take."""
    kinds = dict.fromkeys(program.state, Kind.SCALAR)
    while True:
        values = walk(program, {**input_kinds(program), **kinds}, _Kinds())
        after = {name: KINDS[kind | values[name]] for name, kind in kinds.items()}
        if after == kinds:
            return kinds
        kinds = after


class _Kinds:
    """The domain of the walk that finds kinds."""

    def constant(self, value: float) -> Kind:
        return Kind.SCALAR

    def apply(self, function: Function, operands: list[Kind]) -> Kind:
        return result_kind(function, operands)


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
    "row_mean": lambda x: x,
    "column_mean": lambda x: x,
}
