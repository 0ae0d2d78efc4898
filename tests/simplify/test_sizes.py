"""Size bounds hold for the assumed inputs, function by function; rules stop at the limits of float32."""

from __future__ import annotations

import math

import numpy as np
import pytest

from optsearch.dsl.functions import FUNCTIONS, LEAVES, Function, Scope
from optsearch.dsl.syntax import parse
from optsearch.simplify.rewriting.rewrite import rewrite
from optsearch.simplify.rewriting.rules import RULES
from optsearch.simplify.rewriting.sizes import HUGE, UNKNOWN, ZERO, size_of, state_sizes

ELEMENTWISE = [f for f in FUNCTIONS.values() if f.scope is Scope.ELEMENT and f.arity and LEAVES not in f.operands]
SIZES = ((1e-5, 1e3), (1e-12, 1e-6), (1e2, 1e6), (1e-20, 1e18), (0.5, 0.5))


@pytest.mark.parametrize("function", ELEMENTWISE, ids=lambda function: function.name)
def test_results_lie_between_their_sizes(function: Function) -> None:
    rng = np.random.default_rng(0)
    for trial in range(40):
        sizes = [SIZES[(trial + place * 3) % len(SIZES)] for place in range(function.arity)]
        bounds = [(-high, high) for _, high in sizes]
        least, largest = size_of(function.name, sizes, bounds)
        operands = [
            rng.choice([-1.0, 1.0], 200) * np.exp(rng.uniform(math.log(low), math.log(high), 200))
            for low, high in sizes
        ]
        if function.name in ("divide", "reciprocal"):
            operands[-1] = np.abs(operands[-1])  # a divisor near the pole has no size
        with np.errstate(all="ignore"):
            found = np.abs(np.asarray(function.reference(*operands), np.float64))
        if (least, largest) == UNKNOWN:
            continue
        assert (found <= largest * (1.0 + 1e-9)).all()
        if function.name in ("add", "subtract", "interp"):
            found = np.abs(np.asarray(function.reference(*map(np.abs, operands))))  # nothing cancels
            if function.name == "subtract":
                found = found[found >= np.min(np.abs(operands), axis=0)]
        assert (found[found != 0.0] >= least * (1.0 - 1e-9)).all()


def test_zero_and_what_may_be_infinite() -> None:
    anything = (-math.inf, math.inf)
    assert size_of("multiply", [ZERO, (1.0, 2.0)], [anything] * 2) == ZERO
    assert size_of("add", [ZERO, (1.0, 2.0)], [anything] * 2) == (1.0, 2.0)
    assert size_of("multiply", [(1.0, 1e30), (1.0, 1e30)], [anything] * 2) == pytest.approx((1.0, 1e60))
    assert size_of("tanh", [(1.0, 1e60)], [anything]) == UNKNOWN


@pytest.mark.parametrize(
    ("statement", "finite"),
    [
        ("m = interp(g, m, 0.9)", True),
        ("m = m + g", True),
        ("m = maximum(m, g)", True),
        ("m = m * 1.5\n  m = m + g", False),
        ("m = square(m)\n  m = m + g", False),
        ("m = exp(g)", False),
    ],
)
def test_state_is_followed_over_many_steps(statement: str, finite: bool) -> None:
    program = parse(f"def train(w, g, m, lr):\n  {statement}\n  update = m * lr\n  return update, m\n")
    least, largest = state_sizes(program)["m"]
    assert (largest < HUGE) is finite
    if finite:
        assert 0.0 < least <= 1e-5


def test_a_rule_says_what_it_assumes() -> None:
    assumed = {rule.name: rule.assumes for rule in RULES}
    assert assumed["tan undoes arctan"] == ("|x| <= 1000",)
    assert assumed["cbrt undoes cube"] == ("1.18e-38 <= |cube(x)| <= 3.4e+38",)
    assert assumed["subtract of equals"] == ("x is finite",)
    assert assumed["clip is idempotent"] == (), "its interval is proven from bounds, not assumed"


@pytest.mark.parametrize(
    ("inner", "outer", "scale", "rewritten"),
    [
        ("arctan", "tan", "lr", False),  # 1e3 times 10
        ("arctan", "tan", "1.0", True),
        ("arctan", "tan", "1e8", False),
        ("cube", "cbrt", "1.0", True),
        ("cube", "cbrt", "1e-9", False),
        ("cube", "cbrt", "1e11", False),
        ("square", "sqrt", "1.0", True),
        ("square", "sqrt", "1e-16", False),
    ],
)
def test_a_rule_is_used_within_its_domain_alone(inner: str, outer: str, scale: str, rewritten: bool) -> None:
    lines = f"  a = g * {scale}\n  b = {inner}(a)\n  c = {outer}(b)\n  update = c * 0.1\n"
    result = rewrite(parse(f"def train(w, g, lr):\n{lines}  return update\n"))
    functions = [statement.function for statement in result.program.body]
    assert (outer not in functions) is rewritten
    assert result.rejected is None
    assert any("|" in phrase for phrase in result.assumes) is rewritten
