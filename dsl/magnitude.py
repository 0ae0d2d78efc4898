"""Bounds on the magnitude of values. An identity that eliminates a value is applied only if the value stays finite.

Inputs have magnitude up to ``2**ORDINARY``; a run has up to ``2**STEPS`` steps. A state variable is bounded if its next
value is a linear recurrence that does not grow: ``m*0.9 + g`` and ``interp(g, m, 0.9)`` are bounded, ``m*2.0 + g`` and
``interp(g, m, 1.5)`` are not. Each value therefore has a linear bound, ``|x| <= sum of gain * |state| + rest``.

A guarded division has a pole at ``-GUARD``. Values that vary continuously miss it. Constants and step functions may hit
it, such as ``clip(g, 1e-8)``, or ``g - 1e-8`` where the gradient is zero. The bound therefore includes the smallest of
these recurring magnitudes, the *atom*. float32 numbers of at least 2e-8 are multiples of twice the unit in the last
place of ``GUARD``, which is odd, so their sums never hit the pole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from optsearch.dsl.functions import FUNCTIONS, GUARD, ODD
from optsearch.dsl.program import LR, G, W

ORDINARY = 8.0
STEPS = 17.0
PARAMETERS = 20.0

TAME = 88.0
"""Reach up to which a value may be eliminated; the margin to float32's maximum leaves room for a coefficient."""

LARGEST = 127.0
"""Reach up to which a value is finite; a value with a larger reach may be infinite."""

OVERFLOW = 130.0
"""Reach of all larger values that can become infinite only by overflow; an infinite reach means possibly undefined."""

STATE = (16.0, 43.0, math.inf)
"""Levels of state variables, by their maximum reach; at the last level they may become infinite."""

POLE = 2e-8
"""Atoms smaller than this may add up to ``-GUARD``."""

_LEAST_COSINE = 3e-8
"""Smallest nonzero magnitude of a cosine of float32 numbers of ordinary magnitude."""

_INVERSE, _FARTHEST_INVERSE = 27.0, 51.0
"""Reach of a guarded reciprocal: of a nonnegative operand; of an operand as near to the pole as float32 allows."""

Interval = tuple[float, float]
Operands = Sequence[tuple[float, int]]


def reach(name: str, operands: Operands, below: Sequence[float]) -> float:
    """Binary logarithm of the largest finite magnitude of a call in standard form, for any evaluation order.

    A tiny constant counts like its reciprocal, because products with it may underflow in some orders only.

    Args:
        name: as in ``Nodes.names``.
        operands: pairs of coefficient and node; of exponent and node for a product.
        below: reach of each operand's node.

    Returns:
        The reach; infinity if the call or an operand may be undefined. Poles are not considered.
    """
    if name == "product":
        total, factors = 0.0, 0.0
        for (exponent, _), far in zip(operands, below, strict=True):
            total += exponent * far if far > 0.0 else 0.0
            factors += exponent
        # infinity times 0 occurs once two of three factors, or one of two, overflow
        undefined = (total if factors > 2.0 else max(below)) > LARGEST
        return math.inf if undefined else _capped(total)
    sizes = [
        far if coefficient in (1.0, -1.0) else far + (_log2(coefficient) if far else abs(_log2(coefficient)))
        for (coefficient, _), far in zip(operands, below, strict=True)
    ]
    if name in ("sum", "addition"):
        total = max(sizes) + len(sizes).bit_length()
        return math.inf if sum(size > LARGEST for size in sizes) > 1 else _capped(total)  # infinity - infinity
    if name == "rounding":
        return sizes[0]
    if name == "scale":
        return _capped(below[1] + abs(_log2(operands[0][0])) + _log2(operands[1][0]))
    if math.inf in below or name not in _TOTAL:
        return math.inf
    rule = _REACH.get(name)
    total = rule(*sizes) if rule else _BOUNDED.get(name, math.inf)
    if name in _UNDEFINED_AT_INFINITY and max(total, *sizes) > LARGEST:
        return math.inf
    if name in _SUMS_SQUARES and 2.0 * max(sizes) + PARAMETERS > LARGEST:
        return math.inf if name == "cosine_sim" else OVERFLOW
    return _capped(total)


def _log2(factor: float) -> float:
    return math.log2(abs(factor)) if factor else 0.0


def _capped(far: float) -> float:
    return far if far < OVERFLOW or far == math.inf else OVERFLOW


_UNDEFINED_AT_INFINITY = frozenset({"interp", "dot", "sin", "cos", "tan", "clip_by_global_norm", "orthogonalize"})
"""Functions that give NaN if an operand, or an intermediate result, is infinite."""

_SUMS_SQUARES = frozenset({"norm", "global_norm", "cosine_sim"})
_TOTAL = frozenset(name for name, function in FUNCTIONS.items() if function.laws.total)
_BOUNDED: Mapping[str, float] = {
    name: math.log2(max(map(abs, function.laws.range)))
    for name, function in FUNCTIONS.items()
    if function.laws.bounded and function.arity
}
_REACH: Mapping[str, Callable[..., float]] = {
    **dict.fromkeys(("abs", "sqrt", "cbrt", "arcsinh"), lambda x: max(x, 0.0)),
    **dict.fromkeys(("maximum", "minimum"), max),
    **dict.fromkeys(("clip", "clip_by_global_norm"), min),
    "reciprocal": lambda x: _FARTHEST_INVERSE,
    "tan": lambda x: 40.0,
    "interp": lambda x, y, weight: max(x, y) + max(weight, 0.0) + 2.0,
    "dot": lambda x, y: x + y + PARAMETERS,
    "norm": lambda x: x + 0.5 * PARAMETERS,
    "global_norm": lambda x: x + 0.5 * PARAMETERS,
    "orthogonalize": lambda x: 0.5 * PARAMETERS + 1.0,
}
"""Reach of total unbounded functions; a function that is not listed counts as undefined."""


class Magnitude(NamedTuple):
    """A linear bound on a value's magnitude. The defaults describe a value that may be undefined.

    Attributes:
        gains: coefficient of each state variable in the bound.
        rest: the part that does not depend on state.
        powers: bit mask of the state variables on which ``rest`` depends nonlinearly.
        atom: smallest nonzero magnitude that the value takes repeatedly; infinity if there is none.
    """

    gains: Mapping[int, float] = {}
    rest: float = math.inf
    powers: int = 0
    atom: float = 0.0

    @property
    def wild(self) -> bool:
        """True if the value may be undefined."""
        return self.rest == math.inf

    @property
    def states(self) -> int:
        """Bit mask of the state variables that the bound depends on."""
        bits = self.powers
        for position in self.gains:
            bits |= 1 << position
        return bits


WILD = Magnitude()
UNIT = Magnitude(rest=1.0, atom=1.0)
INPUT: Mapping[str, Magnitude] = {
    W: Magnitude(rest=2.0**ORDINARY, atom=2.0**-10),
    G: Magnitude(rest=2.0**ORDINARY, atom=math.inf),
    LR: Magnitude(rest=2.0**ORDINARY, atom=2.0**-14),
}


def of_state(position: int, level: int) -> Magnitude:
    """The bound of a state variable of the given level."""
    return Magnitude({position: 1.0}, 0.0, atom=2.0**-10) if STATE[level] < math.inf else WILD


def of_constant(size: float) -> Magnitude:
    """The bound of a constant whose last digits are uncertain."""
    return Magnitude(rest=2.0 * size, atom=0.5 * size if size > 2.0 * POLE else 0.0)


def magnitude(
    name: str,
    operands: Operands,
    below: Sequence[Magnitude],
    far: Sequence[float],
    own: float,
    interval: Callable[[int], Interval],
) -> Magnitude:
    """The linear bound of a call in standard form.

    Args:
        name: as in ``Nodes.names``.
        operands: pairs of coefficient and node; of exponent and node for a product.
        below: bounds of the operands' nodes.
        far: reach of the operands' nodes.
        own: reach of the call.
        interval: maps the position of an operand to an interval that contains it.

    Returns:
        The bound; ``WILD`` for a call on constants, which ``of_constant`` describes if it is finite.
    """
    if own == math.inf or all(one is UNIT for one in below) or any(one.wild for one in below):
        return WILD
    if name == "product":
        return _product([exponent for exponent, _ in operands], below, far, own)
    parts = [scaled(abs(coefficient), one) for (coefficient, _), one in zip(operands, below, strict=True)]
    if name in ("sum", "addition"):
        return _sum(parts)
    if name == "rounding":
        return parts[0]._replace(atom=0.0)
    if name == "scale":
        return scaled(abs(operands[0][0]), parts[1])
    first = parts[0]
    if name in _NO_LARGER:
        return first._replace(rest=first.rest + 1.0, atom=0.5 * min(first.atom, 1.0))
    if name == "abs":
        return first
    if name in ("maximum", "minimum"):
        return _largest(parts)
    if name == "reciprocal":
        return _reciprocal(first, far[0] + _log2(operands[0][0]), interval(0))
    if name in ("clip", "clip_by_global_norm"):
        atom = min(first.atom, parts[1].atom) if name == "clip" or first.atom == math.inf else 0.0
        smaller = first if parts[1].states else Magnitude(rest=parts[1].rest)
        return smaller._replace(atom=atom)
    if name == "interp" and not parts[2].states:
        low, high = interval(2)
        weight, atom = parts[2].rest, _finest(parts)
        if low >= 0.0 and high <= 1.0:
            return _largest(parts[:2])._replace(atom=atom)
        return _sum([scaled(1.0 + weight, first), scaled(weight, parts[1])])._replace(atom=atom)
    powers = 0
    for part in parts:
        powers |= part.states
    rest = 2.0**own
    laws = FUNCTIONS[name].laws
    if not laws.bounded:
        return Magnitude(rest=rest, powers=powers, atom=_finest(parts))
    odd = len(parts) == 1 and laws.parity == (ODD,)
    return Magnitude(rest=rest, atom=0.5 * min(first.atom, 1.0) if odd else _LEAST_COSINE)


_NO_LARGER = frozenset({"sqrt", "cbrt", "arcsinh"})
"""Functions whose result is at most ``|x| + 1``."""


def _finest(parts: Sequence[Magnitude]) -> float:
    atom = 1.0
    for part in parts:
        atom *= min(part.atom, 1.0)
    return atom


def scaled(factor: float, one: Magnitude) -> Magnitude:
    """The bound of a value times ``factor``, which is nonnegative."""
    if factor == 1.0 or one.wild:
        return one
    if factor == 0.0:
        return Magnitude(rest=0.0, atom=math.inf)
    gains = {position: factor * gain for position, gain in one.gains.items()}
    return Magnitude(gains, factor * one.rest, one.powers, factor * one.atom)


def _sum(terms: Sequence[Magnitude]) -> Magnitude:
    gains: dict[int, float] = {}
    rest, powers, atom = 0.0, 0, math.inf
    for term in terms:
        rest += term.rest
        powers |= term.powers
        atom = min(atom, term.atom)
        for position, gain in term.gains.items():
            gains[position] = gains.get(position, 0.0) + gain
    return Magnitude(gains, rest, powers, atom)


def _largest(choices: Sequence[Magnitude]) -> Magnitude:
    gains: dict[int, float] = {}
    rest, powers, atom = 0.0, 0, math.inf
    for choice in choices:
        rest = max(rest, choice.rest)
        powers |= choice.powers
        atom = min(atom, choice.atom)
        for position, gain in choice.gains.items():
            gains[position] = max(gains.get(position, 0.0), gain)
    return Magnitude(gains, rest, powers, atom)


def _product(exponents: Sequence[float], factors: Sequence[Magnitude], far: Sequence[float], own: float) -> Magnitude:
    """Linear in the one factor that depends on state, if there is exactly one such factor."""
    atom, others, powers = 1.0, 0.0, 0
    carrier, carriers = UNIT, 0.0
    for exponent, factor, size in zip(exponents, factors, far, strict=True):
        atom = math.inf if math.inf in (atom, factor.atom) else atom * factor.atom**exponent
        states = factor.states
        powers |= states
        if states:
            carrier, carriers = factor, carriers + exponent
        else:
            others += exponent * size
    if carriers == 1.0:
        return scaled(2.0 ** _capped(others), carrier)._replace(atom=atom)
    return Magnitude(rest=2.0**own, powers=powers, atom=atom)


def _reciprocal(divisor: Magnitude, far: float, interval: Interval) -> Magnitude:
    if interval[0] < 0.0 and divisor.atom < POLE:
        return WILD
    rest = 2.0 ** (_INVERSE if interval[0] >= 0.0 else _FARTHEST_INVERSE)
    return Magnitude(rest=rest, atom=0.1 / GUARD if divisor.atom == math.inf else 1.0 / (2.0**far + 1.0))


def levels(after: Mapping[int, Magnitude], old: Sequence[int]) -> list[int]:
    """Computes the level that each state variable needs, from its value after a step.

    Args:
        after: linear bound of the next value of each state variable that does not stay zero, under the old levels.
        old: level of every state variable.

    Returns:
        The levels, none lower than the old one; equal to the old ones if these are valid.
    """
    bounds: dict[int, float] = {position: math.inf for position, one in after.items() if _escapes(position, one)}
    waiting = [position for position in after if position not in bounds]
    while waiting:
        ready = [p for p in waiting if not _feeds_on(after[p], [q for q in waiting if q != p])]
        group = ready[:1] or waiting
        gains = {p: sum([after[p].gains.get(q, 0.0) for q in group]) for p in group}
        grown = [p for p in group if gains[p] > 1.0 or _powers(after[p], group)]
        bound = math.inf
        if not grown:
            rest = max([_rest(after[position], bounds, group) for position in group])
            own = gains[group[0]] if len(group) == 1 else 1.0
            bound = rest * min(2.0**STEPS, 1.0 / (1.0 - own) if own < 1.0 else math.inf)
        for position in grown or group:
            bounds[position] = bound
        waiting = [position for position in waiting if position not in bounds]
    return [
        max(level, next(place for place, far in enumerate(STATE) if bounds.get(position, 0.0) <= 2.0**far))
        for position, level in enumerate(old)
    ]


def _escapes(position: int, one: Magnitude) -> bool:
    """True if the state variable depends on powers of itself, or has atoms that may add up to a pole."""
    return one.wild or bool(one.powers >> position & 1) or one.atom < POLE


def _powers(one: Magnitude, group: Sequence[int]) -> bool:
    return any(one.powers >> position & 1 for position in group)


def _feeds_on(one: Magnitude, group: Sequence[int]) -> bool:
    return _powers(one, group) or any(position in one.gains for position in group)


def _rest(one: Magnitude, bounds: Mapping[int, float], group: Sequence[int]) -> float:
    """The part of a linear bound from outside the group; ``bounds`` holds the bounds of all other variables."""
    return one.rest + sum(gain * bounds[position] for position, gain in one.gains.items() if position not in group)
