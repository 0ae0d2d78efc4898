"""Value numbering: every value that a program computes in a standard form, so that equal values meet.

A value is a number times a node, ``(coefficient, node)``; a constant is a multiple of the node ``ONE``. Nodes are kept
once each. The laws of the table bring a call to its standard form: a sum is a flat list of terms, a product a flat list
of factors with exponents; coefficients and signs move out where degree and parity allow; constants fold; operands of
commutative functions are sorted by content.

Identities hold for finite values. One that makes a value disappear (``x - x``, ``0 * x``) is used only where the value
stays finite: nothing below it leaves its domain or overflows in a few steps. Products that underflow are not considered.

Nodes and calls are remembered across programs, since children share most of their values with their parents. This
changes the speed alone: everything that is decided by comparing nodes compares their content.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from hashlib import blake2b
from struct import Struct

import numpy as np

from dsl.functions import FUNCTIONS, GUARD, ODD, Function, Scope

Value = tuple[float, int]
"""Coefficient and node."""

COEFFICIENTS = (1e-12, 1e12)
"""Factors are combined only within this range, far from float32's overflow and underflow."""

CANCELLATION = 1e-3
"""``a*x + b*x`` becomes ``(a+b)*x`` unless ``|a+b|`` is below this share of ``max(|a|, |b|)``: that is mostly rounding."""

ROUNDING = 1e-12
"""... unless it is below this share of it: then it is zero."""

MAX_TERMS = 16
MAX_EXPONENT = 16.0

TAME = 16
"""Values of growth up to this many factors can disappear; ``WILD`` ones, which may be NaN or infinite, never do."""

WILD = 99

ONE = 0
ZERO: Value = (0.0, ONE)
_UNIT: Value = (1.0, ONE)
STATE_LABEL = b"state"
_FLOAT = Struct("<f")
_UNIT_BYTES = _FLOAT.pack(1.0)


def content(name: str, parts: list[bytes]) -> bytes:
    """A name for a call by its content."""
    return blake2b(b"%s\0%s" % (name.encode(), b"".join(parts)), digest_size=16).digest()


def part(coefficient: float, digest: bytes) -> bytes:
    """A coefficient, as float32, and what it multiplies."""
    if coefficient == 1.0:
        return _UNIT_BYTES + digest
    try:
        return _FLOAT.pack(coefficient) + digest
    except OverflowError:
        return _FLOAT.pack(math.copysign(math.inf, coefficient)) + digest


class Numbering:
    """The domain of the walk: makes values.

    Attributes:
        names: for each node the function's name, ``sum``, ``product``, ``scale`` (a product with a constant that is not
            combined), or the name of an input.
        operands: for each node the values it is called with; for a product pairs of exponent and factor.
        digests: content of each node, with every state variable labelled alike.
        states: for each node a bit for each state variable that is below it.
        growth: how many factors of inputs a node's magnitude is made of, or ``WILD``.
        turnover: the same of state variables alone.
        zero_at_start: whether a node is zero when every state variable is.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.operands: list[tuple[Value, ...]] = []
        self.digests: list[bytes] = []
        self.states: list[int] = []
        self.growth: list[int] = []
        self.turnover: list[int] = []
        self.zero_at_start: list[bool] = []
        self._index: dict[tuple[str, tuple[Value, ...]], int] = {}
        self._calls: dict[tuple[str, tuple[Value, ...]], Value] = {}
        self._node("1", (), b"1")

    def input(self, name: str) -> Value:
        """An input that holds numbers of ordinary size."""
        return 1.0, self._leaf(name, name.encode(), 0, growth=1)

    def state(self, position: int, *, tame: bool) -> Value:
        """A state variable; ``tame`` if it stays finite."""
        name = f"{'state' if tame else 'wild'} {position}"
        return 1.0, self._leaf(name, STATE_LABEL, 1 << position, growth=1 if tame else WILD)

    def constant(self, value: float) -> Value:
        """A constant of the program."""
        return value, ONE

    def apply(self, function: Function, operands: list[Value]) -> Value:
        """The value of a call."""
        key = function.name, tuple(operands)
        value = self._calls.get(key)
        if value is None:
            value = self._calls[key] = self._apply(function, operands)
        return value

    def tame(self, value: Value) -> bool:
        """Whether the value stays finite from step to step when it is the next value of a state variable."""
        return self.growth[value[1]] <= TAME and self.turnover[value[1]] <= 1

    def starts_at_zero(self, value: Value) -> bool:
        """Whether the value is zero when every state variable is."""
        return value[0] == 0.0 or self.zero_at_start[value[1]]

    # Nodes

    def _leaf(self, name: str, label: bytes, states: int, growth: int) -> int:
        node = self._index.get((name, ()))
        if node is None:
            node = self._node(name, (), label)
            self.states[node], self.growth[node] = states, growth
            self.turnover[node], self.zero_at_start[node] = int(states != 0), states != 0
        return node

    def _node(self, name: str, operands: tuple[Value, ...], digest: bytes) -> int:
        self._index[name, operands] = len(self.names)
        self.names.append(name)
        self.operands.append(operands)
        self.digests.append(digest)
        self.states.append(0)
        self.growth.append(0)
        self.turnover.append(0)
        self.zero_at_start.append(False)
        return len(self.names) - 1

    def call(self, name: str, operands: tuple[Value, ...]) -> int:
        """The node of a call in standard form."""
        node = self._index.get((name, operands))
        if node is not None:
            return node
        digests, states = self.digests, 0
        parts: list[bytes] = []
        for coefficient, below in operands:
            parts.append(part(coefficient, digests[below]))
            states |= self.states[below]
        node = self._node(name, operands, content(name, parts))
        self.states[node] = states
        self.growth[node] = self._growth(self.growth, name, operands)
        if states:
            self.turnover[node] = self._growth(self.turnover, name, operands)
            self.zero_at_start[node] = self._zero_at_start(name, operands)
        return node

    def _growth(self, growth: list[int], name: str, operands: tuple[Value, ...]) -> int:
        below = [growth[node] for _, node in operands]
        if WILD in below:
            return WILD
        if name == "product":
            return sum(int(exponent) * n for (exponent, _), n in zip(operands, below, strict=True))
        if name in ("sum", "scale"):
            return max(below)
        function = FUNCTIONS[name]
        laws = function.laws
        if not laws.total:
            return WILD
        if laws.bounded:
            return 0
        if name in ("clip", "clip_by_global_norm"):
            return min(below) if name == "clip" else below[1]
        if name == "reciprocal":
            return 4 if growth is self.growth or below[0] else 0
        return sum(below) if name in ("dot", "interp") else max(below)

    def _zero_at_start(self, name: str, operands: tuple[Value, ...]) -> bool:
        zeros = [self.starts_at_zero(value) for value in operands]
        if name in ("sum", "scale", "maximum", "minimum", "norm", "global_norm"):
            return all(zeros)
        if name == "interp":
            return zeros[0] and zeros[1] and self._tame(operands[2][1])
        if name == "product":
            return any(zeros) and all(self._tame(node) for _, node in operands)
        function = FUNCTIONS[name]
        if function.arity == 1:
            return zeros[0] and name in _ZERO_AT_ZERO
        odd = any(zero and parity == ODD for zero, parity in zip(zeros, function.laws.parity, strict=True))
        return odd and all(self._tame(node) for _, node in operands)

    def _tame(self, node: int) -> bool:
        return self.growth[node] <= TAME

    def _order(self, value: Value) -> tuple[bytes, float, int]:
        return self.digests[value[1]], value[0], value[1]

    # Standard forms

    def times(self, factor: float, value: Value) -> Value:
        """``factor * value``; an extreme factor is not combined."""
        coefficient, node = value
        product = factor * coefficient
        if node == ONE:
            return _constant(product) or (1.0, self.call("scale", ((factor, ONE), value)))
        if product == 0.0 and (factor == 0.0 or coefficient == 0.0) and self._tame(node):
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
        terms = {node: coefficient for coefficient, node in self._terms(x)}
        for coefficient, node in self._terms(y):
            old = terms.get(node, 0.0)
            total = old + coefficient
            size = max(abs(old), abs(coefficient))
            if abs(total) <= ROUNDING * size and self._tame(node):
                del terms[node]
            elif abs(total) < CANCELLATION * size:
                return 1.0, self.call("sum", tuple(sorted((x, y), key=self._order)))
            else:
                terms[node] = total
        if not terms:
            return ZERO
        if len(terms) == 1:
            ((node, coefficient),) = terms.items()
            return self.times(coefficient, (1.0, node))
        if len(terms) > MAX_TERMS:
            return 1.0, self.call("sum", tuple(sorted((x, y), key=self._order)))
        digests = self.digests
        ordered = sorted((digests[node], coefficient, node) for node, coefficient in terms.items())
        first = ordered[0][1]
        if ordered[0][0] == ordered[1][0] or not all(
            COEFFICIENTS[0] < abs(coefficient / first) < COEFFICIENTS[1] for _, coefficient, _ in ordered
        ):
            first = 1.0  # no term is first by content, or they are too far apart
        return self.times(first, (1.0, self.call("sum", tuple((c / first, node) for _, c, node in ordered))))

    def _terms(self, value: Value) -> tuple[Value, ...]:
        coefficient, node = value
        if self.names[node] != "sum":
            return (value,)
        if coefficient == 1.0:
            return self.operands[node]
        return tuple((coefficient * inner, below) for inner, below in self.operands[node])

    def multiply(self, x: Value, y: Value) -> Value:
        """``x * y`` as a coefficient and a flat list of factors."""
        if x[1] == ONE:
            return self.times(x[0], y)
        if y[1] == ONE:
            return self.times(y[0], x)
        exponents: dict[int, float] = {}
        for value in (x, y):
            node = value[1]
            for exponent, factor in self.operands[node] if self.names[node] == "product" else ((1.0, node),):
                exponents[factor] = exponents.get(factor, 0.0) + exponent
        coefficient = x[0] * y[0]
        if any(exponent > MAX_EXPONENT for exponent in exponents.values()) or len(exponents) > MAX_TERMS:
            node = self.call("product", tuple(sorted(((1.0, x[1]), (1.0, y[1])), key=self._order)))
            return self.times(coefficient, (1.0, node))
        return self.times(coefficient, self._product(exponents))

    def _product(self, exponents: dict[int, float]) -> Value:
        """Factors with exponents as a value, after what roots, signs and absolute values do to each other."""
        for node, exponent in list(exponents.items()):
            name = self.names[node]
            if name not in ("abs", "sqrt", "sign") or node not in exponents:
                continue
            inner = self.operands[node][0]
            if name == "sign":
                if exponent > 2.0:
                    exponents[node] = 2.0 - exponent % 2.0
                if exponent == 1.0 and inner[0] == 1.0 and exponents.get(inner[1]) == 1.0:  # x * sign(x)
                    del exponents[node], exponents[inner[1]]
                    return self._with(exponents, self._abs(inner))
            elif exponent >= 2.0:
                exponents[node] = exponent % 2.0
                if not exponents[node]:
                    del exponents[node]
                whole = (
                    self._power(inner, exponent // 2.0 * 2.0)
                    if name == "abs"
                    else self._power(self._abs(inner), exponent // 2.0)
                )
                return self._with(exponents, whole)
        if len(exponents) == 1:
            ((node, exponent),) = exponents.items()
            if exponent == 1.0:
                return 1.0, node
        ordered = sorted((self.digests[node], exponent, node) for node, exponent in exponents.items())
        return 1.0, self.call("product", tuple((exponent, node) for _, exponent, node in ordered))

    def _with(self, exponents: dict[int, float], value: Value) -> Value:
        return self.multiply(self._product(exponents), value) if exponents else value

    def _power(self, value: Value, exponent: float) -> Value:
        result = value
        for _ in range(int(exponent) - 1):
            result = self.multiply(result, value)
        return result

    def _abs(self, value: Value) -> Value:
        return self.apply(FUNCTIONS["abs"], [value])

    def bounds(self, value: Value) -> tuple[float, float]:
        """Numbers between which the value lies, as far as its last function tells."""
        coefficient, node = value
        name = self.names[node]
        if node == ONE:
            low = high = 1.0
        elif name == "product":
            low, high = -math.inf, math.inf
            if all(e % 2.0 == 0.0 or self.bounds((1.0, n))[0] >= 0.0 for e, n in self.operands[node]):
                low = 0.0
        elif name == "clip" and self.operands[node][1][1] == ONE:
            high = abs(self.operands[node][1][0])
            low = -high
        elif name == "reciprocal":
            inside = self.bounds(self.operands[node][0])
            low, high = (0.0, math.inf) if inside[0] >= 0.0 else (-math.inf, math.inf)
        elif name in FUNCTIONS:
            low, high = FUNCTIONS[name].laws.range
        else:
            low, high = -math.inf, math.inf
        if coefficient < 0.0:
            low, high = high, low
        return (low * coefficient if low else 0.0), (high * coefficient if high else 0.0)

    def _positive(self, node: int) -> bool:
        """Whether the node is above zero: a hyperbolic cosine, or a guarded reciprocal of what is not negative."""
        if self.names[node] == "reciprocal":
            return self.bounds(self.operands[node][0])[0] >= 0.0
        return self.names[node] == "cosh"

    # Calls

    def _apply(self, function: Function, operands: list[Value]) -> Value:
        if function.scope is Scope.ELEMENT and all(node == ONE for _, node in operands):
            folded = _fold(function, operands)
            if folded is not None:
                return folded
        rule = _RULES.get(function.name)
        value = None if rule is None else rule(self, *operands)
        return self._call(function, operands) if value is None else value

    def _call(self, function: Function, operands: list[Value]) -> Value:
        """A call by the laws of its row."""
        laws, factor = function.laws, 1.0
        reduced: list[Value] = []
        for (coefficient, node), parity, degree in zip(operands, laws.parity, laws.degree, strict=True):
            if coefficient == 0.0 and parity == ODD and all(self._tame(other) for _, other in operands):
                return ZERO
            if coefficient not in (0.0, 1.0):
                if coefficient < 0.0 and parity:
                    factor = -factor if parity == ODD else factor
                    coefficient = -coefficient
                if degree is not None:
                    factor *= abs(coefficient) ** degree
                    coefficient = math.copysign(1.0, coefficient)
            reduced.append((coefficient, node))
        if laws.identity is not None and reduced[1] == (laws.identity, ONE):
            return self.times(factor, reduced[0])
        if laws.idempotent and len(reduced) == 1 and self._repeats(function.name, reduced[0]):
            return self.times(factor, reduced[0])
        if laws.commutative:
            reduced.sort(key=self._order)
        return self.times(factor, (1.0, self.call(function.name, tuple(reduced))))

    def _repeats(self, name: str, value: Value) -> bool:
        return value[0] == 1.0 and self.names[value[1]] == name

    def _absolute(self, x: Value) -> Value | None:
        coefficient, node = x
        if self.bounds((1.0, node))[0] >= 0.0:
            return self.times(abs(coefficient), (1.0, node))
        if self.names[node] != "product":
            return None
        result: Value = (abs(coefficient), ONE)
        for exponent, factor in self.operands[node]:
            value = (1.0, factor)
            result = self.multiply(result, self._power(value if exponent % 2.0 == 0.0 else self._abs(value), exponent))
        return result

    def _sqrt(self, x: Value) -> Value | None:
        coefficient, node = x
        if self.names[node] != "product":
            return None
        result: Value = (math.sqrt(abs(coefficient)), ONE)
        for exponent, factor in self.operands[node]:
            whole, half = divmod(exponent, 2.0)
            if whole:
                result = self.multiply(result, self._power(self._abs((1.0, factor)), whole))
            if half:
                result = self.multiply(result, self.apply(FUNCTIONS["sqrt"], [(1.0, factor)]))
        return result

    def _sign(self, x: Value) -> Value | None:
        coefficient, node = x
        name, operands = self.names[node], self.operands[node]
        if node == ONE or coefficient == 0.0:
            return None
        sign = math.copysign(1.0, coefficient)
        if name == "product" and sum(exponent for exponent, _ in operands) <= 4.0:
            result: Value = (sign, ONE)
            for exponent, factor in operands:
                if not self._positive(factor):
                    result = self.multiply(result, self._power(self.apply(_SIGN, [(1.0, factor)]), exponent))
            return result
        odd = name in FUNCTIONS and FUNCTIONS[name].laws.keeps_sign and name != "sign"
        if odd or (name == "clip" and operands[1][1] == ONE):
            return self.apply(_SIGN, [self.times(sign, operands[0])])
        return None

    def _clip(self, x: Value, limit: Value) -> Value | None:
        coefficient, node = x
        if x[1] == limit[1] and abs(coefficient) <= abs(limit[0]):
            return x
        if limit[0] == 0.0:
            return ZERO if self._tame(node) else None
        if coefficient == 0.0:
            return ZERO if self._tame(limit[1]) else None
        bound = abs(limit[0] / coefficient)
        if node == ONE or not COEFFICIENTS[0] < bound < COEFFICIENTS[1]:
            return None
        if limit[1] == ONE:
            low, high = self.bounds((1.0, node))
            if -bound <= low and high <= bound:
                return x
            if self.names[node] == "clip" and self.operands[node][1][1] == ONE:
                inner, tighter = self.operands[node]
                return self.times(coefficient, self._clip(inner, (min(bound, abs(tighter[0])), ONE)) or (1.0, node))
        return self.times(coefficient, (1.0, self.call("clip", ((1.0, node), (bound, limit[1])))))

    def _extreme(self, x: Value, y: Value, name: str) -> Value | None:
        """Maximum or minimum of a flat set of values, with at most one constant."""
        best = max if name == "maximum" else min
        values: dict[int, set[float]] = {}
        for value in (x, y):
            coefficient, node = value
            for c, n in self.operands[node] if self.names[node] == name and coefficient == 1.0 else (value,):
                values.setdefault(n, set()).add(c)
        if ONE in values:
            constant = best(values.pop(ONE))
            others = [self.bounds((c, n)) for n, cs in values.items() for c in cs]
            if all((high <= constant) if name == "maximum" else (low >= constant) for low, high in others) and all(
                self._tame(node) for node in values
            ):
                return constant, ONE
            if not any((low >= constant) if name == "maximum" else (high <= constant) for low, high in others):
                values[ONE] = {constant}
        flat = [(c, n) for n, cs in values.items() for c in cs]
        if len(flat) == 1:
            return flat[0]
        return (1.0, self.call(name, tuple(sorted(flat, key=self._order)))) if len(flat) <= MAX_TERMS else None

    def _divide(self, x: Value, y: Value) -> Value | None:
        if y[1] == ONE:
            divisor = y[0] + GUARD
            return self.times(1.0 / divisor, x) if divisor else None
        if x[0] == 0.0:
            return ZERO if self._tame(y[1]) else None
        return self.multiply(x, (1.0, self.call("reciprocal", (y,))))

    def _interp(self, x: Value, y: Value, weight: Value) -> Value | None:
        if weight[1] == ONE:
            return self.plus(self.times(1.0 - weight[0], x), self.times(weight[0], y))
        return x if x == y and self._tame(weight[1]) else None

    def _integer_power(self, x: Value, y: Value) -> Value | None:
        if y[1] != ONE or y[0] not in (0.0, 1.0, 2.0, 3.0, 4.0):
            return None
        return self._power(x, y[0]) if y[0] else _UNIT


_SIGN = FUNCTIONS["sign"]

_RULES: dict[str, Callable[..., Value | None]] = {
    "add": Numbering.plus,
    "subtract": lambda n, x, y: n.plus(x, n.times(-1.0, y)),
    "negative": lambda n, x: n.times(-1.0, x),
    "multiply": Numbering.multiply,
    "square": lambda n, x: n.multiply(x, x),
    "cube": lambda n, x: n.multiply(x, n.multiply(x, x)),
    "divide": Numbering._divide,
    "reciprocal": lambda n, x: n._divide(_UNIT, x),
    "interp": Numbering._interp,
    "power": Numbering._integer_power,
    "abs": Numbering._absolute,
    "sqrt": Numbering._sqrt,
    "sign": Numbering._sign,
    "clip": Numbering._clip,
    "maximum": lambda n, x, y: n._extreme(x, y, "maximum"),
    "minimum": lambda n, x, y: n._extreme(x, y, "minimum"),
}
"""What the laws of one row cannot say: relations between functions. None means: no rule applies."""


def _constant(value: float) -> Value | None:
    """A constant, if float32 holds it; tiny ones are zero."""
    if abs(value) < 1e-45:
        return ZERO
    return (value, ONE) if abs(value) < 3.4e38 else None


def _fold(function: Function, operands: list[Value]) -> Value | None:
    """A call on constants as a constant; None where the result is not a finite float32."""
    with np.errstate(all="ignore"):
        return _constant(float(function.reference(*(np.float64(coefficient) for coefficient, _ in operands))))


def _is_zero_at_zero(function: Function) -> bool:
    with np.errstate(all="ignore"):
        return function.scope is Scope.ELEMENT and function.arity == 1 and float(function.reference(0.0)) == 0.0


_ZERO_AT_ZERO = frozenset(name for name, function in FUNCTIONS.items() if _is_zero_at_zero(function))
