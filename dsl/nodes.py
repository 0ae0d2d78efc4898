"""Hash-consed store of values: one node per distinct call, with its content hash and bounds.

A value is a coefficient times a node, ``(coefficient, node)``; a constant is a multiple of the node ``ONE``. This
module implements sums, constant factors and bounds. ``numbering`` implements the relations between all other
functions, and ``magnitude`` the bounds on magnitude.

Nodes are kept across programs, because children share most of their values with their parents. This affects only
speed: decisions that compare nodes compare their content.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from struct import Struct

import numpy as np

from optsearch.dsl.functions import FUNCTIONS, ODD, Function, Scope
from optsearch.dsl.magnitude import (
    INPUT,
    ORDINARY,
    STATE,
    TAME,
    UNIT,
    Magnitude,
    levels,
    magnitude,
    of_constant,
    of_state,
    reach,
    scaled,
)

Value = tuple[float, int]
"""Coefficient and node."""

COEFFICIENTS = (1e-12, 1e12)
"""Factors are combined only within this range, well inside float32's range."""

CANCELLATION = 2.0**-6
"""``a*x + b*x`` becomes ``(a+b)*x`` unless ``|a+b|`` is below this share of ``max(|a|, |b|)``: then rounding dominates.

``(x + y) - x`` is therefore not y, which has lost its low digits. If nothing is left, see ``numbering``.
"""

MAX_TERMS = 16

NORMAL = float(np.finfo(np.float32).tiny)
"""Smallest constant that is folded; hardware may flush smaller ones to zero."""

LARGEST = float(np.finfo(np.float32).max)

ONE = 0
ZERO: Value = (0.0, ONE)
STATE_LABEL = b"state"
_FLOAT = Struct("<f")
_UNIT_BYTES = _FLOAT.pack(1.0)


def content(name: str, parts: Sequence[bytes]) -> bytes:
    """Content hash of a call."""
    return blake2b(name.encode() + b"\0" + b"".join(parts), digest_size=16).digest()


def part(coefficient: float, digest: bytes) -> bytes:
    """Content of a term: a coefficient, as float32, and the node that it multiplies."""
    if coefficient == 1.0:
        return _UNIT_BYTES + digest
    try:
        return _FLOAT.pack(coefficient) + digest
    except OverflowError:
        return _FLOAT.pack(math.copysign(math.inf, coefficient)) + digest


def float32(value: float) -> float:
    """The nearest float32; infinity on overflow."""
    try:
        return _FLOAT.unpack(_FLOAT.pack(value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


def constant(value: float) -> Value | None:
    """The constant after rounding to float32; None if it is not finite, or is subnormal."""
    value = float32(value)
    if value == 0.0:
        return ZERO
    return (value, ONE) if NORMAL <= abs(value) < math.inf else None


class Nodes:
    """The store; the attributes are lists indexed by node.

    Attributes:
        names: name of the function or input; ``sum`` and ``product`` are flat; ``addition`` and ``scale`` are a sum of
            two and a product with a constant that are not combined further; ``rounding`` is a difference of equal
            values.
        operands: operand values; for a product, pairs of exponent and factor.
        digests: content hash, in which all state variables have one label.
        states: bit mask of the state variables below the node.
        reach: bound on its finite values; see ``magnitude.reach``.
        zero_at_start: True if the node is zero when every state variable is zero.
        relied: bit mask of the state variables whose bounds were used since this was last set to 0.
        cancelled: True if equal values have cancelled since this was last set to False.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.operands: list[tuple[Value, ...]] = []
        self.digests: list[bytes] = []
        self.states: list[int] = []
        self.reach: list[float] = []
        self.zero_at_start: list[bool] = []
        self.relied = 0
        self.cancelled = False
        self._index: dict[tuple[str, tuple[Value, ...]], int] = {}
        self._state: dict[tuple[int, int], Value] = {}
        self._bounds: dict[int, tuple[float, float]] = {}
        self._magnitudes: dict[int, Magnitude] = {}
        self._magnitudes[self._add(("1", ()), b"1", 0, 0.0, zero=False)] = UNIT

    def input(self, name: str) -> Value:
        """An input, with values of ordinary magnitude."""
        node = self._index.get((name, ()))
        if node is None:
            node = self._add((name, ()), name.encode(), 0, ORDINARY, zero=False)
            self._magnitudes[node] = INPUT[name]
        return 1.0, node

    def state(self, position: int, level: int) -> Value:
        """A state variable of one of the levels in ``magnitude.STATE``."""
        value = self._state.get((position, level))
        if value is None:
            node = self._add((f"state {position} {level}", ()), STATE_LABEL, 1 << position, STATE[level], zero=True)
            self._magnitudes[node] = of_state(position, level)
            value = self._state[position, level] = 1.0, node
        return value

    def call(self, name: str, operands: tuple[Value, ...]) -> int:
        """Returns the node of a call in standard form, new or existing."""
        key = name, operands
        node = self._index.get(key)
        if node is not None:
            return node
        digests, bits, reaches = self.digests, self.states, self.reach
        parts: list[bytes] = []
        below: list[float] = []
        states = 0
        for coefficient, operand in operands:
            parts.append(_UNIT_BYTES + digests[operand] if coefficient == 1.0 else part(coefficient, digests[operand]))
            below.append(reaches[operand])
            states |= bits[operand]
        zero = bool(states) and self._zero_at_start(name, operands)
        size = _size(name, operands) if operands and all(operand == ONE for _, operand in operands) else math.inf
        if NORMAL <= size < math.inf:
            node = self._add(key, content(name, parts), states, max(0.0, math.log2(size) + 1.0), zero=zero)
            self._magnitudes[node] = of_constant(size)
            return node
        return self._add(key, content(name, parts), states, reach(name, operands, below), zero=zero)

    def _add(self, key: tuple[str, tuple[Value, ...]], digest: bytes, states: int, far: float, *, zero: bool) -> int:
        node = self._index[key] = len(self.names)
        name, operands = key
        self.names.append(name)
        self.operands.append(operands)
        self.digests.append(digest)
        self.states.append(states)
        self.reach.append(far)
        self.zero_at_start.append(zero)
        return node

    # Bounds and other properties of values

    def magnitude(self, node: int) -> Magnitude:
        """Bound on the node's magnitude, computed lazily from its operands upwards."""
        known, waiting = self._magnitudes, [node]
        while waiting:
            top = waiting[-1]
            operands = self.operands[top]
            missing = [below for _, below in operands if below not in known]
            if missing:
                waiting += missing
                continue
            waiting.pop()
            if top not in known:
                below = [known[operand] for _, operand in operands]
                far = [self.reach[operand] for _, operand in operands]
                interval = self._interval(operands)
                known[top] = magnitude(self.names[top], operands, below, far, self.reach[top], interval)
        return known[node]

    def _interval(self, operands: Sequence[Value]) -> Callable[[int], tuple[float, float]]:
        return lambda position: self.bounds(operands[position])

    def stays_finite(self, node: int, limit: float = TAME) -> bool:
        """True if the node's reach is within the limit and the node is never undefined."""
        return self.reach[node] <= limit and not self.magnitude(node).wild

    def disappears(self, node: int, limit: float = TAME) -> bool:
        """True if the node stays finite, so that an identity may eliminate it; records the bounds it relies on."""
        if not self.stays_finite(node, limit):
            return False
        self.relied |= self.states[node]
        return True

    def levels(self, after: Mapping[int, Value], old: Sequence[int]) -> list[int]:
        """The level that each state variable needs, from its value after a step; see ``magnitude.levels``."""
        return levels({p: scaled(abs(c), self.magnitude(node)) for p, (c, node) in after.items()}, old)

    def starts_at_zero(self, value: Value) -> bool:
        """True if the value is zero when every state variable is zero."""
        return value[0] == 0.0 or self.zero_at_start[value[1]]

    def _zero_at_start(self, name: str, operands: tuple[Value, ...]) -> bool:
        zeros = [value[0] == 0.0 or self.zero_at_start[value[1]] for value in operands]
        if True not in zeros:
            return False
        if name in ("sum", "addition", "scale", "maximum", "minimum", "norm", "global_norm", "orthogonalize"):
            return all(zeros)
        tame = all(self.stays_finite(node) for _, node in operands)
        if name == "rounding":
            return False
        if name == "interp":
            return zeros[0] and zeros[1] and tame
        if name == "product":
            return tame
        function = FUNCTIONS[name]
        if function.arity == 1:
            return name in _ZERO_AT_ZERO
        return tame and any(zero and parity == ODD for zero, parity in zip(zeros, function.laws.parity, strict=True))

    def bounds(self, value: Value) -> tuple[float, float]:
        """An interval that contains the value, derived from its outermost functions."""
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
        elif name == "sum":
            low, high = (sum(ends) for ends in zip(*[self.bounds(term) for term in operands], strict=True))
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
        """True if the node is positive: a hyperbolic cosine, or a guarded reciprocal of a nonnegative value."""
        if self.names[node] == "reciprocal":
            return self.bounds(self.operands[node][0])[0] >= 0.0
        return self.names[node] == "cosh"

    def order(self, value: Value) -> tuple[bytes, float, int]:
        """Sort key of values, by content."""
        return self.digests[value[1]], value[0], value[1]

    # Constant factors and sums

    def times(self, factor: float, value: Value) -> Value:
        """``factor * value``; extreme factors are not combined."""
        coefficient, node = value
        product = factor * coefficient
        if node == ONE:
            return constant(product) or (1.0, self.call("scale", ((float32(factor), ONE), value)))
        if product == 0.0 and (factor == 0.0 or coefficient == 0.0) and self.disappears(node):
            return ZERO
        if COEFFICIENTS[0] < abs(product) < COEFFICIENTS[1]:
            return product, node
        return 1.0, self.call("scale", ((float32(factor), ONE), value))

    def plus(self, x: Value, y: Value) -> Value:
        """``x + y`` as a flat sum whose first term has coefficient 1."""
        if x[0] == 0.0:
            return y
        if y[0] == 0.0:
            return x
        if x[1] == y[1] and x[0] == -y[0] and self.disappears(x[1]):
            self.cancelled = True
            return ZERO
        terms = {node: coefficient for coefficient, node in self.terms(x)}
        for coefficient, node in self.terms(y):
            old = terms.get(node, 0.0)
            terms[node] = total = old + coefficient
            cancels = old * coefficient < 0.0 and not self.disappears(node)  # infinity - infinity
            if cancels or abs(total) < CANCELLATION * max(abs(old), abs(coefficient)):
                return self._addition(x, y)
        if len(terms) > MAX_TERMS:
            return self._addition(x, y)
        if len(terms) == 1:
            ((node, coefficient),) = terms.items()
            return self.times(coefficient, (1.0, node))
        digests = self.digests
        ordered = sorted([(digests[node], coefficient, node) for node, coefficient in terms.items()])
        first = ordered[0][1]
        if ordered[0][0] == ordered[1][0]:
            first = 1.0  # the first term is not unique by content
        for _, coefficient, _ in ordered:
            if not COEFFICIENTS[0] < abs(coefficient / first) < COEFFICIENTS[1]:
                first = 1.0  # the coefficients are too far apart
        return self.times(first, (1.0, self.call("sum", tuple([(c / first, node) for _, c, node in ordered]))))

    def rounding(self, x: Value, computed: bytes) -> Value:
        """The difference of two values equal to x up to rounding.

        Args:
            x: the value.
            computed: hash of the statements that compute the difference.
        """
        key = f"computed {computed.hex()}", ()
        node = self._index.get(key)
        if node is None:
            node = self._add(key, computed, 0, 0.0, zero=False)
            self._magnitudes[node] = UNIT
        return 1.0, self.call("rounding", (x, (1.0, node)))

    def _addition(self, x: Value, y: Value) -> Value:
        """A sum of two values that is not combined further."""
        return 1.0, self.call("addition", tuple(sorted((x, y), key=self.order)))

    def terms(self, value: Value) -> tuple[Value, ...]:
        """The terms of a sum; for another node, the value itself."""
        coefficient, node = value
        if self.names[node] != "sum":
            return (value,)
        if coefficient == 1.0:
            return self.operands[node]
        return tuple((coefficient * inner, below) for inner, below in self.operands[node])


def _is_zero_at_zero(function: Function) -> bool:
    with np.errstate(all="ignore"):
        return function.scope is Scope.ELEMENT and function.arity == 1 and float(function.reference(0.0)) == 0.0


_ZERO_AT_ZERO = frozenset(name for name, function in FUNCTIONS.items() if _is_zero_at_zero(function))


def _size(name: str, operands: Sequence[Value]) -> float:
    """Magnitude of a call on constants; infinity if unknown."""
    function = FUNCTIONS.get(name)
    if function is None or function.scope is not Scope.ELEMENT:
        return math.inf
    with np.errstate(all="ignore"):
        size = abs(float(function.reference(*(np.float32(coefficient) for coefficient, _ in operands))))
    return size if size <= LARGEST else math.inf
