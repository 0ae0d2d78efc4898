"""The store of values: every distinct call once, with its content and what is known of its size.

A value is a number times a node, ``(coefficient, node)``; a constant is a multiple of the node ``ONE``. This file knows
sums, constant factors and bounds; ``numbering`` knows what all other functions do to each other, and ``magnitude`` how
large a node can become.

Nodes are remembered across programs, since children share most of their values with their parents. This changes the
speed alone: everything that is decided by comparing nodes compares their content.
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
"""Factors are combined only within this range, far from float32's overflow and underflow."""

CANCELLATION = 2.0**-6
"""``a*x + b*x`` becomes ``(a+b)*x`` unless ``|a+b|`` is below this share of ``max(|a|, |b|)``: then rounding rules.

So ``(x + y) - x`` is not y, which loses the digits that x has more of; but what cancels as a whole is zero.
"""

MAX_TERMS = 16

NORMAL = float(np.finfo(np.float32).tiny)
"""Least constant that is folded; hardware may take smaller ones for zero."""

LARGEST = float(np.finfo(np.float32).max)

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


def float32(value: float) -> float:
    """The nearest float32; infinite where that is too large."""
    try:
        return _FLOAT.unpack(_FLOAT.pack(value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


def constant(value: float) -> Value | None:
    """The constant that float32 rounds a number to; None where that is not finite, or neither zero nor normal."""
    value = float32(value)
    if value == 0.0:
        return ZERO
    return (value, ONE) if NORMAL <= abs(value) < math.inf else None


class Nodes:
    """Nodes by number; the fields are lists over them.

    Attributes:
        names: the function's name, or the name of an input; ``sum``, ``product``; ``addition`` and ``scale`` are a sum
            of two and a product with a constant that are not combined with others.
        operands: the values a node is called with; for a product pairs of exponent and factor.
        digests: content, with every state variable labelled alike.
        states: a bit for each state variable that is below the node.
        reach: how large its finite values are; see ``magnitude.reach``.
        zero_at_start: whether it is zero when every state variable is.
        relied: bits of the state variables whose bounds were relied on since this was last set to 0.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.operands: list[tuple[Value, ...]] = []
        self.digests: list[bytes] = []
        self.states: list[int] = []
        self.reach: list[float] = []
        self.zero_at_start: list[bool] = []
        self.relied = 0
        self._index: dict[tuple[str, tuple[Value, ...]], int] = {}
        self._state: dict[tuple[int, int], Value] = {}
        self._bounds: dict[int, tuple[float, float]] = {}
        self._magnitudes: dict[int, Magnitude] = {}
        self._magnitudes[self._add(("1", ()), b"1", 0, 0.0, zero=False)] = UNIT

    def input(self, name: str) -> Value:
        """An input that holds numbers of ordinary size."""
        node = self._index.get((name, ()))
        if node is None:
            node = self._add((name, ()), name.encode(), 0, ORDINARY, zero=False)
            self._magnitudes[node] = INPUT[name]
        return 1.0, node

    def state(self, position: int, level: int) -> Value:
        """A state variable of a level of ``magnitude.STATE``."""
        value = self._state.get((position, level))
        if value is None:
            node = self._add((f"state {position} {level}", ()), STATE_LABEL, 1 << position, STATE[level], zero=True)
            self._magnitudes[node] = of_state(position, level)
            value = self._state[position, level] = 1.0, node
        return value

    def call(self, name: str, operands: tuple[Value, ...]) -> int:
        """The node of a call in standard form."""
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

    # What is known of a value

    def magnitude(self, node: int) -> Magnitude:
        """How large the node can become; found when it is first asked for, from its operands upwards."""
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
        """Whether the node reaches no further than the limit and is never undefined."""
        return self.reach[node] <= limit and not self.magnitude(node).wild

    def disappears(self, node: int, limit: float = TAME) -> bool:
        """Whether the node stays finite, so that an identity may make it disappear."""
        if not self.stays_finite(node, limit):
            return False
        self.relied |= self.states[node]
        return True

    def levels(self, after: Mapping[int, Value], old: Sequence[int]) -> list[int]:
        """The level that each state variable needs, by its value after a step; see ``magnitude.levels``."""
        return levels({p: scaled(abs(c), self.magnitude(node)) for p, (c, node) in after.items()}, old)

    def starts_at_zero(self, value: Value) -> bool:
        """Whether the value is zero when every state variable is."""
        return value[0] == 0.0 or self.zero_at_start[value[1]]

    def _zero_at_start(self, name: str, operands: tuple[Value, ...]) -> bool:
        zeros = [value[0] == 0.0 or self.zero_at_start[value[1]] for value in operands]
        if True not in zeros:
            return False
        if name in ("sum", "addition", "scale", "maximum", "minimum", "norm", "global_norm"):
            return all(zeros)
        tame = all(self.stays_finite(node) for _, node in operands)
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
            return constant(product) or (1.0, self.call("scale", ((float32(factor), ONE), value)))
        if product == 0.0 and (factor == 0.0 or coefficient == 0.0) and self.disappears(node):
            return ZERO
        if COEFFICIENTS[0] < abs(product) < COEFFICIENTS[1]:
            return product, node
        return 1.0, self.call("scale", ((float32(factor), ONE), value))

    def plus(self, x: Value, y: Value) -> Value:
        """``x + y`` as a flat sum whose first term has the coefficient 1."""
        if x[0] == 0.0:
            return y
        if y[0] == 0.0:
            return x
        if x[1] == y[1] and x[0] == -y[0] and self.disappears(x[1]):
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
            first = 1.0  # no term is first by content
        for _, coefficient, _ in ordered:
            if not COEFFICIENTS[0] < abs(coefficient / first) < COEFFICIENTS[1]:
                first = 1.0  # they are too far apart
        return self.times(first, (1.0, self.call("sum", tuple([(c / first, node) for _, c, node in ordered]))))

    def _addition(self, x: Value, y: Value) -> Value:
        """A sum of two that is not combined with others."""
        return 1.0, self.call("addition", tuple(sorted((x, y), key=self.order)))

    def terms(self, value: Value) -> tuple[Value, ...]:
        """The terms of a sum, or the value itself."""
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
    """Size of a call of constants; infinite where it is not known."""
    function = FUNCTIONS.get(name)
    if function is None or function.scope is not Scope.ELEMENT:
        return math.inf
    with np.errstate(all="ignore"):
        size = abs(float(function.reference(*(np.float32(coefficient) for coefficient, _ in operands))))
    return size if size <= LARGEST else math.inf
