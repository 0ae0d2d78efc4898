"""Value numbering: a normal form for every value that a program computes, in which equal values coincide.

The laws of the table bring a call to normal form: sums become flat lists of terms, products become flat lists of
factors with exponents, coefficients and signs move out where degree and parity allow, constants fold, and operands of
commutative functions are sorted by content. Relations between functions, which one row cannot express, are rules in
this module.

All constants, including folded ones, are float32 numbers.

Identities hold for real numbers, so that values of one normal form may differ by rounding. ``x - x`` is therefore zero
only if both are computed by the same statements; another difference of equal values is a node of its own, since
``sign`` or a division makes a step of its rounding errors.

Identities hold for finite values. An identity that eliminates a value (``x - x``, ``0 * x``) is applied only if the
value stays finite over a whole run, according to ``magnitude``. A sum in which larger terms cancel keeps its order,
because it loses digits. Underflow of products and rounding differences between orders of a sum are ignored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from optsearch.dsl.functions import FUNCTIONS, GUARD, ODD, Function, Scope
from optsearch.dsl.magnitude import TAME
from optsearch.dsl.nodes import COEFFICIENTS, MAX_TERMS, ONE, ZERO, Nodes, Value, constant, content, float32, part
from optsearch.dsl.program import Statement
from optsearch.dsl.rows import Operation

MAX_EXPONENT = 16.0

MIXING = 10.0
"""``interp(x, x, weight)`` is x for weights within this reach; larger weights cancel and lose digits."""

_UNIT: Value = (1.0, ONE)
_GUARD = float32(GUARD)
_SIGN, _ABS, _SQRT = FUNCTIONS["sign"], FUNCTIONS["abs"], FUNCTIONS["sqrt"]


class _History(NamedTuple):
    """How a value is computed: values with one history are rounded alike.

    Attributes:
        statements: hash of the statements and inputs that it depends on, except for a sign.
        negated: True if the value is minus that.
    """

    statements: bytes
    negated: bool = False

    @classmethod
    def of(cls, name: str, below: Sequence[_History]) -> _History:
        """The history of a call; signs move out of products, where they change no rounding."""
        if name == "negative":
            return below[0]._replace(negated=not below[0].negated)
        moves = name == "multiply"
        parts = [one.statements + (b"-" if one.negated and not moves else b"") for one in below]
        if FUNCTIONS[name].laws.commutative:
            parts.sort()
        return cls(content(name, parts), moves and below[0].negated != below[1].negated)

    def cancels(self, other: _History, name: str) -> bool:
        """True if a sum or difference with a value of the other history is exactly zero."""
        return self == (other if name == "subtract" else other._replace(negated=not other.negated))


class Numbering(Nodes):
    """The domain of the walk that maps each value to its normal form; calls are memoised across programs."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: dict[tuple[str, tuple[Value, ...]], tuple[Value, int, bool]] = {}

    def run(self, body: Sequence[Statement], values: dict[str, Value]) -> None:
        """``walk`` specialised to this domain, with the memo inlined because it dominates the speed of a search.

        Args:
            body: the statements.
            values: value of each input; updated in place to the last value of every variable.
        """
        calls, relied, start = self._calls, self.relied, values.copy()
        for target, name, args in body:
            operands = tuple([values[arg] if isinstance(arg, str) else (arg, ONE) for arg in args])
            known = calls.get((name, operands))
            if known is None:
                known = self._remember(FUNCTIONS[name], operands)
            if known[2]:
                values.update(start)
                self._run_exactly(body, values)
                return
            values[target] = known[0]
            relied |= known[1]
        self.relied = relied

    def _run_exactly(self, body: Sequence[Statement], values: dict[str, Value]) -> None:
        """``run`` for a program in which equal values cancel: the result is zero only if they are rounded alike."""
        histories = {name: _History(part(c, self.names[node].encode())) for name, (c, node) in values.items()}
        for target, name, args in body:
            operands = tuple([values[arg] if isinstance(arg, str) else (arg, ONE) for arg in args])
            below = [histories[arg] if isinstance(arg, str) else _History(part(arg, b"1")) for arg in args]
            value, relied, cancels = self._calls.get((name, operands)) or self._remember(FUNCTIONS[name], operands)
            history = _History.of(name, below)
            if cancels and not (name in ("add", "subtract") and below[0].cancels(below[1], name)):
                value = self.rounding(operands[0], history.statements)
            histories[target] = history
            values[target] = value
            self.relied |= relied

    def apply(self, function: Function, operands: list[Value]) -> Value:
        """The value of a call."""
        key = function.name, tuple(operands)
        value, relied, _ = self._calls.get(key) or self._remember(function, key[1])
        self.relied |= relied
        return value

    def _remember(self, function: Function, operands: tuple[Value, ...]) -> tuple[Value, int, bool]:
        """Memoises a call: its value, the bounds it relies on, and whether equal values cancel in it."""
        before, self.relied, self.cancelled = self.relied, 0, False
        value = self._apply(function, operands)
        known = self._calls[function.name, operands] = value, self.relied, self.cancelled
        self.relied = before
        return known

    def _apply(self, function: Function, operands: tuple[Value, ...]) -> Value:
        folds = function.scope is Scope.ELEMENT
        rounded: list[Value] = []
        for coefficient, node in operands:
            if node == ONE:
                coefficient = float32(coefficient)
            else:
                folds = False
            rounded.append((coefficient, node))
        operands = tuple(rounded)
        if folds:
            folded = _fold(function, operands)
            if folded is not None:
                return folded
        rule = _RULES.get(function.name)
        value = None if rule is None else rule(self, *operands)
        return self._call(function, operands) if value is None else value

    def _call(self, function: Function, operands: tuple[Value, ...]) -> Value:
        """Normalises a call by the laws of its row."""
        laws, factor = function.laws, 1.0
        reduced: list[Value] = []
        for (coefficient, node), parity, degree in zip(operands, laws.parity, laws.degree, strict=True):
            if coefficient == 0.0 and parity == ODD and all(self.disappears(other) for _, other in operands):
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
            reduced.sort(key=self.order)
        return self.times(factor, (1.0, self.call(function.name, tuple(reduced))))

    # Products

    def multiply(self, x: Value, y: Value) -> Value:
        """``x * y`` as a coefficient and a flat list of factors."""
        if x[1] == ONE:
            return self.times(x[0], y)
        if y[1] == ONE:
            return self.times(y[0], x)
        names, (_, one), (_, other) = self.names, x, y
        exponents = {node: n for n, node in self.operands[one]} if names[one] == "product" else {one: 1.0}
        for n, node in self.operands[other] if names[other] == "product" else ((1.0, other),):
            exponents[node] = exponents.get(node, 0.0) + n
        coefficient = x[0] * y[0]
        too_many = max(exponents.values()) > MAX_EXPONENT or len(exponents) > MAX_TERMS
        if too_many or self.reach[one] + self.reach[other] > TAME:  # another order may stay finite
            node = self.call("product", tuple(sorted(((1.0, x[1]), (1.0, y[1])), key=self.order)))
            return self.times(coefficient, (1.0, node))
        return self.times(coefficient, self._product(exponents))

    def _product(self, exponents: dict[int, float]) -> Value:
        """A product of powers as a value, after applying the rules for roots, signs and absolute values."""
        for node, exponent in list(exponents.items()):
            name = self.names[node]
            if name not in _ABSORBED or node not in exponents:
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
        ordered = sorted([(self.digests[node], exponent, node) for node, exponent in exponents.items()])
        return 1.0, self.call("product", tuple([(exponent, node) for _, exponent, node in ordered]))

    def _with(self, exponents: dict[int, float], value: Value) -> Value:
        return self.multiply(self._product(exponents), value) if exponents else value

    def _power(self, value: Value, exponent: float) -> Value:
        result = value
        for _ in range(int(exponent) - 1):
            result = self.multiply(result, value)
        return result

    def _abs(self, value: Value) -> Value:
        return self.apply(_ABS, [value])

    # Rules

    def _repeats(self, name: str, value: Value) -> bool:
        return value[0] == 1.0 and self.names[value[1]] == name

    def absolute(self, x: Value) -> Value | None:
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

    def sqrt(self, x: Value) -> Value | None:
        coefficient, node = x
        if self.names[node] != "product" or self.reach[node] > TAME:
            return None
        result: Value = (math.sqrt(abs(coefficient)), ONE)
        for exponent, factor in self.operands[node]:
            whole, half = divmod(exponent, 2.0)
            if whole:
                result = self.multiply(result, self._power(self._abs((1.0, factor)), whole))
            if half:
                result = self.multiply(result, self.apply(_SQRT, [(1.0, factor)]))
        return result

    def sign(self, x: Value) -> Value | None:
        coefficient, node = x
        name, operands = self.names[node], self.operands[node]
        if node == ONE or coefficient == 0.0:
            return None
        sign = math.copysign(1.0, coefficient)
        if name == "product" and sum(exponent for exponent, _ in operands) <= 4.0 and self.reach[node] <= TAME:
            result: Value = (sign, ONE)
            for exponent, factor in operands:
                if not (self.positive(factor) and self.disappears(factor)):
                    result = self.multiply(result, self._power(self.apply(_SIGN, [(1.0, factor)]), exponent))
            return result
        odd = name in FUNCTIONS and FUNCTIONS[name].laws.keeps_sign and name != "sign"
        if odd or (name == "clip" and operands[1][1] == ONE and operands[1][0] != 0.0):
            return self.apply(_SIGN, [self.times(sign, operands[0])])
        return None

    def clip(self, x: Value, limit: Value) -> Value | None:
        coefficient, node = x
        if x[1] == limit[1] and abs(coefficient) <= abs(limit[0]):
            return x
        if limit[0] == 0.0:
            return ZERO if self.disappears(node) else None
        if coefficient == 0.0:
            return ZERO if self.disappears(limit[1]) else None
        bound = abs(limit[0] / coefficient)
        if node == ONE or not COEFFICIENTS[0] < bound < COEFFICIENTS[1]:
            return None
        if limit[1] == ONE:
            low, high = self.bounds((1.0, node))
            if -bound <= low and high <= bound:
                return x
            if self.names[node] == "clip" and self.operands[node][1][1] == ONE:
                inner, tighter = self.operands[node]
                return self.times(coefficient, self.clip(inner, (min(bound, abs(tighter[0])), ONE)) or (1.0, node))
        return self.times(coefficient, (1.0, self.call("clip", ((1.0, node), (bound, limit[1])))))

    def extreme(self, x: Value, y: Value, name: str) -> Value | None:
        """Maximum or minimum of a flat set of values with at most one constant."""
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
                self.disappears(node) for node in values
            ):
                return constant, ONE
            if not any((low >= constant) if name == "maximum" else (high <= constant) for low, high in others):
                values[ONE] = {constant}
        flat = [(c, n) for n, cs in values.items() for c in cs]
        if len(flat) == 1:
            return flat[0]
        return (1.0, self.call(name, tuple(sorted(flat, key=self.order)))) if len(flat) <= MAX_TERMS else None

    def divide(self, x: Value, y: Value) -> Value | None:
        if y[1] == ONE:
            divisor = float32(y[0] + _GUARD)
            return self.times(1.0 / divisor, x) if divisor else (1.0, self.call("divide", (x, y)))
        inverse = self.call("reciprocal", (y,))
        if x[0] == 0.0:
            return ZERO if self.disappears(inverse) else (1.0, self.call("divide", (x, y)))
        return self.multiply(x, (1.0, inverse))

    def interp(self, x: Value, y: Value, weight: Value) -> Value | None:
        if weight[1] == ONE:
            return self.plus(self.times(float32(1.0 - weight[0]), x), self.times(weight[0], y))
        limit = MIXING - math.log2(max(abs(weight[0]), 1.0))
        return x if x == y and self.disappears(x[1]) and self.disappears(weight[1], limit) else None

    def integer_power(self, x: Value, y: Value) -> Value | None:
        if y[1] != ONE or y[0] not in (0.0, 1.0, 2.0, 3.0, 4.0):
            return None
        return self._power(x, y[0]) if y[0] else _UNIT


_ABSORBED = frozenset({"abs", "sqrt", "sign"})
"""Functions that simplify under a power, or when multiplied by their operand."""

_RULES: dict[str, Callable[..., Value | None]] = {
    "add": Numbering.plus,
    "subtract": lambda n, x, y: n.plus(x, n.times(-1.0, y)),
    "negative": lambda n, x: n.times(-1.0, x),
    "multiply": Numbering.multiply,
    "square": lambda n, x: n.multiply(x, x),
    "cube": lambda n, x: n.multiply(x, n.multiply(x, x)),
    "divide": Numbering.divide,
    "reciprocal": lambda n, x: n.divide(_UNIT, x),
    "interp": Numbering.interp,
    "power": Numbering.integer_power,
    "abs": Numbering.absolute,
    "sqrt": Numbering.sqrt,
    "sign": Numbering.sign,
    "clip": Numbering.clip,
    "maximum": lambda n, x, y: n.extreme(x, y, "maximum"),
    "minimum": lambda n, x, y: n.extreme(x, y, "minimum"),
}
"""Rules for relations between functions, which one row cannot express; None means that the rule does not apply."""


def _fold(function: Function, operands: tuple[Value, ...]) -> Value | None:
    """Folds a call on constants, in float32.

    Returns None if ``constant`` does, or if libraries may differ in the last digit, which a later function may amplify
    (such as ``arccosh`` near 1). A transcendental function therefore folds only for operands and results of 0, 1 or -1.
    """
    with np.errstate(all="ignore"):
        result = float(function.reference(*(np.float32(coefficient) for coefficient, _ in operands)))
    if function.operation is Operation.TRANSCENDENTAL:
        exact = result in _WHOLE and all(coefficient in _WHOLE for coefficient, _ in operands)
        return constant(result) if exact else None
    return constant(result)


_WHOLE = (0.0, 1.0, -1.0)
