"""Magnitude analysis of a program's values, so that a rule is applied only where it holds in float32.

Algebraically ``cbrt(cube(x))`` equals ``x``. In float32 the cube of a small number is 0, and that of a large number is
infinite. Each value therefore has a size: a range for its nonzero magnitudes, for inputs with the sizes in ``ASSUMED``.
The analysis assumes that sums do not cancel below their smaller term, and that state does not fall below its first
value. Conclusions from these assumptions are recorded, and the rewritten program is checked by running it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from optsearch.dsl.functions import FUNCTIONS, GUARD, Function
from optsearch.dsl.program import INPUTS, LR, G, Program, W
from optsearch.dsl.walk import walk
from optsearch.simplify.rewriting.bounds import ANYTHING, Bounds, bounds_of, state_bounds, within

Size = tuple[float, float]
"""Smallest nonzero magnitude, and largest magnitude; 0 and infinity if unknown."""

ZERO: Size = (math.inf, 0.0)
UNKNOWN: Size = (0.0, math.inf)
"""The size of a value without known bounds."""

TINY, HUGE = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
NORMAL: Size = (TINY, HUGE)
"""Magnitudes of float32 numbers."""

ASSUMED: Mapping[str, Size] = {W: (1e-5, 1e3), G: (1e-5, 1e3), LR: (1e-6, 10.0)}
"""Sizes of the inputs."""

DRIFT = 1e3
"""Maximum assumed growth factor of a state variable after the first steps."""

STEPS = 64
"""Number of steps over which the size of state is tracked."""

POLYNOMIAL = 10.0
"""Growth factor of state in the second half of these steps above which it is not assumed to stay finite."""

PARAMETERS = 2.0**20
"""Maximum assumed number of parameters in a sum over arrays."""


def size_of(name: str, sizes: Sequence[Size], bounds: Sequence[Bounds]) -> Size:
    """The size of a call.

    Args:
        name: name of the function.
        sizes: sizes of its operands.
        bounds: intervals that contain its operands.

    Returns:
        The size, which may exceed float32's range; ``UNKNOWN`` if an operand may be infinite.
    """
    laws = FUNCTIONS[name].laws
    if not sizes:
        return of_constant(laws.range[0])
    if not laws.total or any(size[1] > HUGE for size in sizes):
        return UNKNOWN
    if name == "interp":
        least, largest = _interp(sizes[0], sizes[1], sizes[2], bounds[2])
    elif name in _SIZES:
        least, largest = _SIZES[name](*sizes)
    else:
        least = 0.5 * min(sizes[0][0], 1.0) if laws.keeps_sign else 0.0
        largest = max(map(abs, laws.range)) if laws.bounded else max(size[1] for size in sizes)
    return least, largest


def state_sizes(program: Program) -> dict[str, Size]:
    """Size of every state variable over a training run; ``UNKNOWN`` for one that may not stay finite."""
    bounds = state_bounds(program)
    sizes = dict.fromkeys(program.state, ZERO)
    first, half = dict(sizes), dict(sizes)
    for step in range(1, STEPS + 1):
        inputs = {name: (ANYTHING, ASSUMED[name]) for name in INPUTS}
        values = walk(program, {**inputs, **{n: (bounds[n], sizes[n]) for n in program.state}}, _Sizes())
        sizes = {name: values[name][1] for name in program.state}
        first = {name: sizes[name] if first[name] == ZERO else first[name] for name in program.state}
        if step == STEPS // 2:
            half = sizes
    found: dict[str, Size] = {}
    for name, (_, largest) in sizes.items():
        grows = largest > POLYNOMIAL * half[name][1]
        found[name] = UNKNOWN if grows or largest * DRIFT > HUGE else (first[name][0], largest * DRIFT)
    return found


class _Sizes:
    """The domain of the walk that computes sizes, together with bounds."""

    def constant(self, value: float) -> tuple[Bounds, Size]:
        return (value, value), of_constant(value)

    def apply(self, function: Function, operands: list[tuple[Bounds, Size]]) -> tuple[Bounds, Size]:
        bounds, sizes = [bounds for bounds, _ in operands], [size for _, size in operands]
        return bounds_of(function.name, bounds), size_of(function.name, sizes, bounds)


def of_constant(value: float) -> Size:
    """The size of a constant."""
    return (abs(value), abs(value)) if value else ZERO


def _times(x: Size, y: Size) -> Size:
    if ZERO in (x, y):
        return ZERO
    return x[0] * y[0], x[1] * y[1]


def _sum(x: Size, y: Size) -> Size:
    return min(x[0], y[0]), x[1] + y[1]


def _power(exponent: float) -> Callable[[Size], Size]:
    return lambda x: ZERO if x == ZERO else (x[0] ** exponent, x[1] ** exponent)


def _reciprocal(x: Size) -> Size:
    return 1.0 / (x[1] + GUARD), 1.0 / GUARD


def _interp(x: Size, y: Size, weight: Size, interval: Bounds) -> Size:
    low, high = interval
    if not within(interval, (0.0, 1.0)):
        return 0.0, x[1] * (1.0 + weight[1]) + y[1] * weight[1]
    kept = ZERO if x == ZERO or low == 1.0 else (x[0] * (1.0 - high), x[1])
    return min(kept[0], _times(y, weight)[0]), max(x[1], y[1])


_SIZES: Mapping[str, Callable[..., Size]] = {
    "add": _sum,
    "subtract": _sum,
    "multiply": _times,
    "divide": lambda x, y: _times(x, _reciprocal(y)),
    "reciprocal": _reciprocal,
    "negative": lambda x: x,
    "abs": lambda x: x,
    "square": _power(2.0),
    "cube": _power(3.0),
    "sqrt": _power(0.5),
    "cbrt": _power(1.0 / 3.0),
    "sign": lambda x: ZERO if x == ZERO else (1.0, 1.0),
    "maximum": lambda x, y: (min(x[0], y[0]), max(x[1], y[1])),
    "minimum": lambda x, y: (min(x[0], y[0]), max(x[1], y[1])),
    "clip": lambda x, limit: (min(x[0], limit[0]), min(x[1], limit[1])),
    "tan": lambda x: UNKNOWN,
    "clip_by_global_norm": lambda x, limit: (0.0, min(x[1], limit[1])),
    "dot": lambda x, y: (0.0, x[1] * y[1] * PARAMETERS),
    "norm": lambda x: (x[0], x[1] * math.sqrt(PARAMETERS)),
    "global_norm": lambda x: (x[0], x[1] * math.sqrt(PARAMETERS)),
    "row_norm": lambda x: (x[0], x[1] * math.sqrt(PARAMETERS)),
    "column_norm": lambda x: (x[0], x[1] * math.sqrt(PARAMETERS)),
    "orthogonalize": lambda x: ZERO if x == ZERO else (0.0, 2.0 * math.sqrt(PARAMETERS)),
}
