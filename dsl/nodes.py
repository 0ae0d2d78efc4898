"""The store of values: every distinct call once, with its content and what is known of its size.

A value is a number times a node, ``(coefficient, node)``; a constant is a multiple of the node ``ONE``. This file knows
sums, constant factors and bounds; ``numbering`` knows what all other functions do to each other.

Nodes are remembered across programs, since children share most of their values with their parents. This changes the
speed alone: everything that is decided by comparing nodes compares their content.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b
from struct import Struct

import numpy as np

from dsl.functions import FUNCTIONS, ODD, Function, Scope

Value = tuple[float, int]
"""Coefficient and node."""

COEFFICIENTS = (1e-12, 1e12)
"""Factors are combined only within this range, far from float32's overflow and underflow."""

CANCELLATION = 1e-3
"""``a*x + b*x`` becomes ``(a+b)*x`` unless ``|a+b|`` is below this share of ``max(|a|, |b|)``: then rounding rules."""

ROUNDING = 1e-12
"""... unless it is below this share of it: then it is zero."""

MAX_TERMS = 16

TAME = 16
"""Values of growth up to this many factors can disappear; ``WILD`` ones, which may be NaN or infinite, never do."""

WILD = 99

ONE = 0
ZERO: Value = (0.0, ONE)
STATE_LABEL = b"state"
_FLOAT = Struct("<f")
_UNIT_BYTES = _FLOAT.pack(1.0)


def content(name: str, parts: Sequence[bytes]) -> bytes:
    """A name for a call by its content."""
    return blake2b(name.encode() + b"\0" + b"".join(parts), digest_size=16).digest()


def part(coefficient: float, digest: bytes) -> bytes:
    """A coefficient, as float32, and what it multiplies."""
    if coefficient == 1.0:
        return _UNIT_BYTES + digest
    try:
        return _FLOAT.pack(coefficient) + digest
    except OverflowError:
        return _FLOAT.pack(math.copysign(math.inf, coefficient)) + digest


def constant(value: float) -> Value | None:
    """A constant, if float32 holds it; tiny ones are zero."""
    if abs(value) < 1e-45:
        return ZERO
    return (value, ONE) if abs(value) < 3.4e38 else None


class Nodes:
    """Nodes by number; the fields are lists over them.

    Attributes:
        names: the function's name, or the name of an input; ``sum``, ``product``; ``addition`` and ``scale`` are a sum
            of two and a product with a constant that are not combined with others.
        operands: the values a node is called with; for a product pairs of exponent and factor.
        digests: content, with every state variable labelled alike.
        states: a bit for each state variable that is below the node.
        growth: how many factors of inputs its magnitude is made of, or ``WILD``.
        turnover: the same of state variables alone.
        zero_at_start: whether it is zero when every state variable is.
        relied: bits of the state variables that were taken for tame since this was last set to 0.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.operands: list[tuple[Value, ...]] = []
        self.digests: list[bytes] = []
        self.states: list[int] = []
        self.growth: list[int] = []
        self.turnover: list[int] = []
        self.zero_at_start: list[bool] = []
        self.relied = 0
        self._index: dict[tuple[str, tuple[Value, ...]], int] = {}
        self._state: dict[tuple[int, bool], Value] = {}
        self._bounds: dict[int, tuple[float, float]] = {}
        self._add(("1", ()), b"1", 0, 0, 0, zero=False)

    def input(self, name: str) -> Value:
        """An input that holds numbers of ordinary size."""
        node = self._index.get((name, ()))
        return 1.0, self._add((name, ()), name.encode(), 0, 1, 0, zero=False) if node is None else node

    def state(self, position: int, *, tame: bool) -> Value:
        """A state variable; ``tame`` if it stays finite."""
        value = self._state.get((position, tame))
        if value is None:
            key = f"{'state' if tame else 'wild'} {position}", ()
            node = self._add(key, STATE_LABEL, 1 << position, 1 if tame else WILD, 1, zero=True)
            value = self._state[position, tame] = 1.0, node
        return value

    def call(self, name: str, operands: tuple[Value, ...]) -> int:
        """The node of a call in standard form."""
        key = name, operands
        node = self._index.get(key)
        if node is not None:
            return node
        digests, bits, growths = self.digests, self.states, self.growth
        parts: list[bytes] = []
        below: list[int] = []
        states = 0
        for coefficient, operand in operands:
            parts.append(_UNIT_BYTES + digests[operand] if coefficient == 1.0 else part(coefficient, digests[operand]))
            below.append(growths[operand])
            states |= bits[operand]
        growth, turnover, zero = _growth(name, operands, below, inputs=True), 0, False
        if states:
            turnover = _growth(name, operands, [self.turnover[operand] for _, operand in operands], inputs=False)
            zero = self._zero_at_start(name, operands)
        return self._add(key, content(name, parts), states, growth, turnover, zero=zero)

    def _add(
        self, key: tuple[str, tuple[Value, ...]], digest: bytes, states: int, growth: int, turnover: int, *, zero: bool
    ) -> int:
        node = self._index[key] = len(self.names)
        name, operands = key
        self.names.append(name)
        self.operands.append(operands)
        self.digests.append(digest)
        self.states.append(states)
        self.growth.append(growth)
        self.turnover.append(turnover)
        self.zero_at_start.append(zero)
        return node

    # What is known of a value

    def disappears(self, node: int) -> bool:
        """Whether the node stays finite, so that an identity may make it disappear."""
        if self.growth[node] > TAME:
            return False
        self.relied |= self.states[node]
        return True

    def tame(self, value: Value) -> bool:
        """Whether the value stays finite from step to step when it is the next value of a state variable."""
        return self.growth[value[1]] <= TAME and self.turnover[value[1]] <= 1

    def starts_at_zero(self, value: Value) -> bool:
        """Whether the value is zero when every state variable is."""
        return value[0] == 0.0 or self.zero_at_start[value[1]]

    def _zero_at_start(self, name: str, operands: tuple[Value, ...]) -> bool:
        zeros = [value[0] == 0.0 or self.zero_at_start[value[1]] for value in operands]
        if True not in zeros:
            return False
        if name in ("sum", "addition", "scale", "maximum", "minimum", "norm", "global_norm"):
            return all(zeros)
        tame = all(self.growth[node] <= TAME for _, node in operands)
        if name == "interp":
            return zeros[0] and zeros[1] and tame
        if name == "product":
            return tame
        function = FUNCTIONS[name]
        if function.arity == 1:
            return name in _ZERO_AT_ZERO
        return tame and any(zero and parity == ODD for zero, parity in zip(zeros, function.laws.parity, strict=True))

    def bounds(self, value: Value) -> tuple[float, float]:
        """Numbers between which the value lies, as far as its last functions tell."""
        coefficient, node = value
        known = self._bounds.get(node)
        low, high = known or self._node_bounds(node)
        if coefficient < 0.0:
            low, high = high, low
        return (low * coefficient if low else 0.0), (high * coefficient if high else 0.0)

    def _node_bounds(self, node: int) -> tuple[float, float]:
        name, operands = self.names[node], self.operands[node]
        low, high = -math.inf, math.inf
        if node == ONE:
            low = high = 1.0
        elif name == "product":
            if all(exponent % 2.0 == 0.0 or self.bounds((1.0, factor))[0] >= 0.0 for exponent, factor in operands):
                low = 0.0
        elif name == "clip" and operands[1][1] == ONE:
            high = abs(operands[1][0])
            low = -high
        elif name == "reciprocal":
            low = 0.0 if self.bounds(operands[0])[0] >= 0.0 else low
        elif name in FUNCTIONS:
            low, high = FUNCTIONS[name].laws.range
        self._bounds[node] = low, high
        return low, high

    def positive(self, node: int) -> bool:
        """Whether the node is above zero: a hyperbolic cosine, or a guarded reciprocal of what is not negative."""
        if self.names[node] == "reciprocal":
            return self.bounds(self.operands[node][0])[0] >= 0.0
        return self.names[node] == "cosh"

    def order(self, value: Value) -> tuple[bytes, float, int]:
        """Key that sorts values by content."""
        return self.digests[value[1]], value[0], value[1]

    # Constant factors and sums

    def times(self, factor: float, value: Value) -> Value:
        """``factor * value``; an extreme factor is not combined."""
        coefficient, node = value
        product = factor * coefficient
        if node == ONE:
            return constant(product) or (1.0, self.call("scale", ((factor, ONE), value)))
        if product == 0.0 and (factor == 0.0 or coefficient == 0.0) and self.disappears(node):
            return ZERO
        if COEFFICIENTS[0] < abs(product) < COEFFICIENTS[1]:
            return product, node
        return 1.0, self.call("scale", ((factor, ONE), value))

    def plus(self, x: Value, y: Value) -> Value:
        """``x + y`` as a flat sum whose first term has the coefficient 1."""
        if x[0] == 0.0:
            return y
        if y[0] == 0.0:
            return x
        terms = {node: coefficient for coefficient, node in self.terms(x)}
        for coefficient, node in self.terms(y):
            old = terms.get(node, 0.0)
            total = old + coefficient
            size = max(abs(old), abs(coefficient))
            if abs(total) <= ROUNDING * size and self.disappears(node):
                del terms[node]
            elif abs(total) < CANCELLATION * size:
                return 1.0, self.call("addition", tuple(sorted((x, y), key=self.order)))
            else:
                terms[node] = total
        if not terms:
            return ZERO
        if len(terms) == 1:
            ((node, coefficient),) = terms.items()
            return self.times(coefficient, (1.0, node))
        if len(terms) > MAX_TERMS:
            return 1.0, self.call("addition", tuple(sorted((x, y), key=self.order)))
        digests = self.digests
        ordered = sorted([(digests[node], coefficient, node) for node, coefficient in terms.items()])
        first = ordered[0][1]
        if ordered[0][0] == ordered[1][0]:
            first = 1.0  # no term is first by content
        for _, coefficient, _ in ordered:
            if not COEFFICIENTS[0] < abs(coefficient / first) < COEFFICIENTS[1]:
                first = 1.0  # they are too far apart
        return self.times(first, (1.0, self.call("sum", tuple([(c / first, node) for _, c, node in ordered]))))

    def terms(self, value: Value) -> tuple[Value, ...]:
        """The terms of a sum, or the value itself."""
        coefficient, node = value
        if self.names[node] != "sum":
            return (value,)
        if coefficient == 1.0:
            return self.operands[node]
        return tuple((coefficient * inner, below) for inner, below in self.operands[node])


def _growth(name: str, operands: tuple[Value, ...], below: list[int], *, inputs: bool) -> int:
    """Growth of a call from that of its operands."""
    if name == "product":
        total = 0
        for (exponent, _), growth in zip(operands, below, strict=True):
            total += growth if exponent == 1.0 else int(exponent) * growth
        return total if total < WILD else WILD
    if name in ("sum", "addition", "scale"):
        return max(below)
    if WILD in below or name not in _TOTAL:
        return WILD
    if name in _BOUNDED:
        return 0
    if name == "clip":
        return min(below)
    if name == "clip_by_global_norm":
        return below[1]
    if name == "reciprocal":
        return 4 if inputs or below[0] else 0
    return sum(below) if name in ("dot", "interp") else max(below)


def _is_zero_at_zero(function: Function) -> bool:
    with np.errstate(all="ignore"):
        return function.scope is Scope.ELEMENT and function.arity == 1 and float(function.reference(0.0)) == 0.0


_TOTAL = frozenset(name for name, function in FUNCTIONS.items() if function.laws.total)
_BOUNDED = frozenset(name for name, function in FUNCTIONS.items() if function.laws.bounded)
_ZERO_AT_ZERO = frozenset(name for name, function in FUNCTIONS.items() if _is_zero_at_zero(function))
