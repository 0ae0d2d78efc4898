"""Rewrite rules, one row each, with their domains and exactness.

Most rules follow from the laws of the function table (``lawful_rules``); the others relate different functions. A rule
states its domain: the intervals (``where``), magnitudes (``sizes``) and kinds for which it holds in float32. A value
that occurs only on the left side must be finite, which is checked for every rule automatically. In a rule, ``a`` to
``d`` are constants and all other names are arbitrary values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from optsearch.dsl.functions import FUNCTIONS, GUARD, Scope
from optsearch.dsl.laws import EVEN, NONE, ODD
from optsearch.dsl.rows import Function
from optsearch.dsl.types import KINDS, Kind
from optsearch.simplify.rewriting.bounds import Bounds
from optsearch.simplify.rewriting.patterns import Call, Pattern, names, pattern
from optsearch.simplify.rewriting.sizes import NORMAL, Size

POSITIVE: Bounds = (1e-30, math.inf)
NEGATIVE: Bounds = (-math.inf, -1e-30)
NONNEGATIVE: Bounds = (0.0, math.inf)
BEYOND_GUARD: Bounds = (100.0 * math.sqrt(GUARD), math.inf)
"""Divisors for which the guard is negligible in float32: its relative effect is at most 1e-6."""


class Exactness(IntEnum):
    """Exactness of a rewritten program, relative to the original."""

    EXACT = 0
    ROUNDING = 1
    GUARD = 2
    EMPIRICAL = 3

    @property
    def words(self) -> str:
        """Description for users."""
        return _WORDS[self]


_WORDS = {
    Exactness.EXACT: "exact",
    Exactness.ROUNDING: "equal up to rounding",
    Exactness.GUARD: "equal up to rounding and the guard 1e-8 of divisions",
    Exactness.EMPIRICAL: "trains as well",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rewrite rule.

    Attributes:
        name: name in the record of a rewriting.
        left: pattern to match, as text.
        right: equal expression, as text.
        exact: exactness of the equality on the rule's domain.
        where: required interval of values (names, or expressions of constants).
        simplifies: True if the right side is simpler; such rules are applied first, and further when space runs out.
        sizes: required range of nonzero magnitudes of values (names or expressions).
        kinds: the largest kind of values, such as one number for each array for ``PER_LEAF``.
        unless: names of rules that must not have produced the matched form; prevents rules from feeding each other
            indefinitely.
    """

    name: str
    left: str
    right: str
    exact: Exactness = Exactness.ROUNDING
    where: tuple[tuple[str, Bounds], ...] = ()
    simplifies: bool = True
    unless: frozenset[str] = frozenset()
    sizes: tuple[tuple[str, Size], ...] = ()
    kinds: tuple[tuple[str, Kind], ...] = ()

    @property
    def assumes(self) -> tuple[str, ...]:
        """Assumptions of the rule, one phrase each, such as ``|x| <= 1000``; empty if there are none.

        They follow from the assumed sizes of the inputs. The intervals of ``where`` are proven, not assumed.
        """
        sizes = tuple(_between(f"|{text}|", *size) for text, size in self.sizes)
        return (*sizes, *(f"{name} is finite" for name in sorted(self.lost)))

    @property
    def form(self) -> Call:
        """The left side."""
        form = pattern(self.left)
        if not isinstance(form, Call):
            raise ValueError(f"the left side of '{self.name}' is no call")
        return form

    @property
    def result(self) -> Pattern:
        """The right side."""
        return pattern(self.right)

    @property
    def lost(self) -> frozenset[str]:
        """Names of values that occur only on the left side."""
        kept = {name.name for name in names(self.result)}
        return frozenset(name.name for name in names(self.form) if name.name not in kept and not name.constant)


def lawful_rules() -> Iterator[Rule]:
    """The rules that follow from the laws of one function. Commutativity is built into the e-graph."""
    for function in FUNCTIONS.values():
        yield from _of_operands(function)
        yield from _of_arrays(function)
        if function.scope is Scope.ELEMENT and function.arity == 1:
            yield from _of_one_operand(function)


def _of_operands(function: Function) -> Iterator[Rule]:
    name, laws = function.name, function.laws
    exact, rounding = Exactness.EXACT, Exactness.ROUNDING
    if laws.associative:
        yield Rule(
            f"{name} is associative", f"{name}({name}(x, y), z)", f"{name}(x, {name}(y, z))", rounding, (), False
        )
    if laws.identity is not None:
        yield Rule(f"identity of {name}", f"{name}(x, {laws.identity!r})", "x", rounding)
    if laws.absorbing is not None:
        yield Rule(f"{name} with {laws.absorbing:g}", f"{name}(x, {laws.absorbing!r})", repr(laws.absorbing), exact)
    if laws.cancels is not None:
        yield Rule(f"{name} of equals", f"{name}(x, x)", repr(laws.cancels), exact)
    if laws.idempotent:
        same = f"{name}({name}(x))" if function.arity == 1 else f"{name}(x, x)"
        where = (("x", NONNEGATIVE),) if name == "clip" else ()
        yield Rule(f"{name} is idempotent", same, f"{name}(x)" if function.arity == 1 else "x", exact, where)
    others = "xyz"
    for position, (parity, degree) in enumerate(zip(laws.parity, laws.degree, strict=True)):
        if name == "multiply":
            continue  # covered by associativity
        plain = list(others[: function.arity])
        scaled, turned = plain.copy(), plain.copy()
        scaled[position] = f"a * {plain[position]}"
        call, inner = f"{name}({', '.join(plain)})", f"{name}({', '.join(scaled)})"
        turned[position] = f"(-1 * a) * {plain[position]}"
        if degree is not None:
            power = "1" if degree == 0.0 else "a" if degree == 1.0 else f"power(a, {degree!r})"
            size = () if degree in (0.0, 1.0) else ((inner, NORMAL), (scaled[position], NORMAL))
            yield Rule(f"factor out of {name}", inner, f"{power} * {call}", where=(("a", POSITIVE),), sizes=size)
        if parity != NONE:
            sign = "-1 * " if parity == ODD else ""
            words = "odd" if parity == ODD else "even"
            yield Rule(f"{name} is {words}", inner, f"{sign}{name}({', '.join(turned)})", rounding, (("a", NEGATIVE),))
        if parity == EVEN and name != "abs":
            absolute = plain.copy()
            absolute[position] = f"abs({plain[position]})"
            yield Rule(f"{name} is even", f"{name}({', '.join(absolute)})", call, exact)


def _of_arrays(function: Function) -> Iterator[Rule]:
    """Factors with one number for all numbers that a result is computed from, such as one for each row."""
    name, laws, others = function.name, function.laws, "xyz"
    if function.scope is Scope.ELEMENT:
        return
    kind = KINDS[Kind.LEAF & ~function.removes] if function.removes else Kind.PER_LEAF
    kind = Kind.SCALAR if function.scope is Scope.TREE else kind
    for position, (parity, degree) in enumerate(zip(laws.parity, laws.degree, strict=True)):
        if degree not in (0.0, 1.0):
            continue
        product = f"{others[position]} * s"
        operands = [product if place == position else others[place] for place in range(function.arity)]
        factor = "sign(s)" if degree == 0.0 else "s" if parity == ODD else "abs(s)"
        call, inner = f"{name}({', '.join(others[: function.arity])})", f"{name}({', '.join(operands)})"
        size = ((product, NORMAL),) if degree == 0.0 else ((inner, NORMAL), (product, NORMAL))
        yield Rule(f"array's factor out of {name}", inner, f"{factor} * {call}", sizes=size, kinds=(("s", kind),))


def _of_one_operand(function: Function) -> Iterator[Rule]:
    name, laws = function.name, function.laws
    if laws.keeps_sign and name != "sign":
        yield Rule(f"{name} keeps signs", f"sign({name}(x))", "sign(x)", Exactness.EXACT)
    if laws.parity != (NONE,) and laws.degree[0] is not None and float(function.reference(1.0)) == 1.0:
        if name not in ("square", "cube"):
            yield Rule(
                f"{name} of a product", f"{name}(x * y)", f"{name}(x) * {name}(y)", simplifies=False, sizes=_PRODUCT
            )
        yield Rule(
            f"product of two {name}", f"{name}(x) * {name}(y)", f"{name}(x * y)", simplifies=False, sizes=_PRODUCT
        )
    if laws.inverse is not None and name != "negative":
        everywhere = laws.keeps_sign and laws.total and FUNCTIONS[laws.inverse].laws.total
        where = () if everywhere else (("x", function.domain[0]),)
        size = ("x", (0.0, _FLAT)) if laws.bounded else (f"{name}(x)", NORMAL)
        yield Rule(f"{laws.inverse} undoes {name}", f"{laws.inverse}({name}(x))", "x", where=where, sizes=(size,))


_PRODUCT = (("x * y", NORMAL),)
_SQUARE = (("x * x", NORMAL),)

_FLAT = 1e3
"""Magnitude beyond which a bounded function is so flat that its float32 value does not determine the operand."""


def _short(value: float) -> str:
    return f"{value:g}" if 1e-3 <= abs(value) < 1e4 else f"{value:.3g}"


def _between(text: str, low: float, high: float) -> str:
    return f"{text} <= {_short(high)}" if low == 0.0 else f"{_short(low)} <= {text} <= {_short(high)}"


def _both(name: str, left: str, right: str, exact: Exactness = Exactness.ROUNDING) -> tuple[Rule, Rule]:
    """Rules in both directions between two forms, neither of which is simpler."""
    return Rule(name, left, right, exact, (), False), Rule(name, right, left, exact, (), False)


def _of_means(mean: str, kind: Kind) -> tuple[Rule, ...]:
    """Rules for the mean of rows or of columns, which does not change values of the given kind."""
    return (
        Rule(f"sum of {mean}", f"{mean}(x) + {mean}(y)", f"{mean}(x + y)"),
        Rule(f"difference of {mean}", f"{mean}(x) - {mean}(y)", f"{mean}(x - y)"),
        Rule(f"shift out of {mean}", f"{mean}(x + s)", f"{mean}(x) + s", kinds=(("s", kind),)),
    )


_GUARD, _EXACT = Exactness.GUARD, Exactness.EXACT

_BALANCED = (0.02, 0.98)
"""Interpolation weights for which ``1 - a`` keeps nearly all digits of ``a``."""

_KEEPS_DIGITS = (0.0, 2e-6)
"""Allowed relative error of the complement of a weight when the weight is stored as a float32 number."""

_TERMS = frozenset({"terms of interp", "interp from scaled terms", "common factor"})
"""Rules that invert each other with new constants each time, without termination."""

_RELATIONS = (
    # Differences, products and quotients in one form
    *_both("difference as a sum", "x - y", "x + -1 * y", _EXACT),
    *_both("negative as a product", "negative(x)", "-1 * x", _EXACT),
    *_both("square as a product", "square(x)", "x * x", _EXACT),
    *_both("cube as a product", "cube(x)", "x * square(x)"),
    *_both("reciprocal as a quotient", "reciprocal(x)", "1 / x", _EXACT),
    *_both("quotient as a product", "x / y", "x * reciprocal(y)"),
    *_both("product over a divisor", "(x * y) / z", "x * (y / z)"),
    Rule("constant divisor", "x / a", "x * reciprocal(a)"),
    Rule("factor out of a divisor", "x / (a * y)", "ratio(1, a) * (x / y)", _GUARD, (("a", (0.1, 10.0)),)),
    Rule("sign out of a divisor", "x / (-1 * y)", "-1 * (x / y)", _GUARD),
    Rule("quotient of equals", "x / x", "1", _GUARD, (("x", BEYOND_GUARD),)),
    # Signs and absolute values
    Rule("root of a square", "sqrt(x * x)", "abs(x)", sizes=_SQUARE),
    Rule("square of a root", "sqrt(x) * sqrt(x)", "abs(x)"),
    Rule("value over its size", "x / abs(x)", "sign(x)", _GUARD),
    Rule("size over its value", "abs(x) / x", "sign(x)", _GUARD),
    Rule("quotient by a positive value", "sign(x / y)", "sign(x)", _EXACT, (("y", NONNEGATIVE),)),
    Rule("value times its sign", "x * sign(x)", "abs(x)", _EXACT),
    Rule("size times sign", "abs(x) * sign(x)", "x", _EXACT),
    Rule("product of sizes", "abs(x) * abs(x)", "x * x", _EXACT),
    Rule("size of a value that is not negative", "abs(x)", "x", _EXACT, (("x", NONNEGATIVE),)),
    Rule("size of a value that is not positive", "abs(x)", "-1 * x", _EXACT, (("x", (-math.inf, 0.0)),)),
    Rule("sign of a positive value", "sign(x)", "1", _EXACT, (("x", BEYOND_GUARD),)),
    # Sums
    *_both("common factor", "x * y + x * z", "x * (y + z)"),
    *_both("common divisor", "x / z + y / z", "(x + y) / z"),
    Rule("like terms", "a * x + b * x", "(a + b) * x"),
    Rule("like terms", "x + a * x", "(1 + a) * x"),
    Rule("like terms", "x + x", "2 * x"),
    # Interpolation
    Rule("interp from its terms", "a * y + (1 - a) * x", "interp(x, y, a)", where=(("loss(1 - a)", _KEEPS_DIGITS),)),
    Rule("interp from scaled terms", "a * x + b * y", "(a + b) * interp(x, y, ratio(b, a + b))",
        where=(("a", POSITIVE), ("b", POSITIVE), ("ratio(b, a + b)", _BALANCED),), unless=_TERMS),
    Rule("interp from scaled terms", "a * x + b * y", "(a + b) * interp(x, y, ratio(b, a + b))",
        where=(("a", NEGATIVE), ("b", NEGATIVE), ("ratio(b, a + b)", _BALANCED),), unless=_TERMS),
    Rule("terms of interp", "interp(x, y, a)", "(1 - a) * x + a * y", simplifies=False),
    Rule("interp turned round", "interp(x, y, a)", "interp(y, x, 1 - a)", where=(("loss(a)", _KEEPS_DIGITS),),
        simplifies=False),
    Rule("interp of interp", "interp(x, interp(x, y, a), b)", "interp(x, y, a * b)"),
    Rule("interp of equals", "interp(x, x, y)", "x"),
    Rule("interp at 0", "interp(x, y, 0)", "x"),
    Rule("interp at 1", "interp(x, y, 1)", "y"),
    Rule("interp from 0", "interp(0, x, y)", "x * y"),
    Rule("interp from difference", "x + a * (y - x)", "interp(x, y, a)"),
    Rule("factor out of interp", "interp(x * y, x * z, a)", "x * interp(y, z, a)"),
    Rule("divisor out of interp", "interp(x / z, y / z, a)", "interp(x, y, a) / z"),
    # Limits
    Rule("clip beyond the bounds", "clip(x, a)", "x", _EXACT, (("x", (-1.0, 1.0)), ("a", (1.0, math.inf)),)),
    Rule("factor out of clip", "clip(a * x, b)", "a * clip(x, ratio(b, a))", where=(("a", POSITIVE), ("b", POSITIVE),)),
    Rule("product clipped at a factor", "clip(x * y, y)", "y * clip(x, 1)"),
    Rule("sign of a clipped value", "sign(clip(x, a))", "sign(x)", _EXACT, (("a", POSITIVE),)),
    Rule("larger of opposites", "maximum(x, -1 * x)", "abs(x)", _EXACT),
    Rule("larger than 0", "maximum(x, 0)", "x", _EXACT, (("x", NONNEGATIVE),)),
    Rule("clip from maximum and minimum", "minimum(maximum(x, (-1 * a)), a)", "clip(x, a)", _EXACT, (("a", POSITIVE),)),
    # Exponentials, powers and norms
    Rule("exponential of a logarithm", "exp(log(x))", "abs(x)"),
    Rule("logarithm of an exponential", "log(exp(x))", "x", where=(("x", (-20.0, 20.0)),)),
    Rule("logarithm of a square", "log(x * x)", "2 * log(x)", sizes=_SQUARE),
    Rule("power 0", "power(x, 0)", "1", _EXACT),
    Rule("power 2", "power(x, 2)", "x * x"),
    Rule("power 3", "power(x, 3)", "cube(x)"),
    Rule("power 1/2", "power(x, 0.5)", "sqrt(x)", where=(("x", NONNEGATIVE),)),
    *(Rule(f"sign of {name}", f"sign({name}(x))", "1", _EXACT, (("x", (-20.0, 20.0)),))
        for name in ("exp", "exp2", "exp10")),
    *_both("global norm from dot", "sqrt(dot(x, x))", "global_norm(x)"),
    # Rows and columns
    *_of_means("row_mean", Kind.PER_ROW),
    *_of_means("column_mean", Kind.PER_COLUMN),
    *_both("mean over rows and columns", "row_mean(column_mean(x))", "column_mean(row_mean(x))"),
    Rule("norm from norms of columns", "row_norm(column_norm(x))", "norm(x)", sizes=_SQUARE),
    Rule("norm from norms of rows", "column_norm(row_norm(x))", "norm(x)", sizes=_SQUARE),
)  # fmt: skip

RULES: tuple[Rule, ...] = (*lawful_rules(), *_RELATIONS)
"""Every rule."""

IN_PROPORTION: tuple[Rule, ...] = (
    Rule("factor out of scaled terms", "a * x + b * y", "a * (x + ratio(b, a) * y)", where=(("a", POSITIVE),),
        simplifies=False, unless=frozenset({"factor out of scaled terms", *_TERMS})),
)  # fmt: skip
"""Additional rules for comparing programs: they shorten nothing, but identify a decay by its ratio to other terms."""
