"""Rewriting of functions of arrays: what does not depend on scale, and factors that whole rows or arrays share."""

from __future__ import annotations

import pytest

from optsearch.dsl.program import Program
from optsearch.dsl.syntax import parse
from optsearch.dsl.types import Kind
from optsearch.simplify.rewriting.bounds import state_variation
from optsearch.simplify.rewriting.equivalence import same_updates
from optsearch.simplify.rewriting.rewrite import rewrite


def program(body: str, state: str = "") -> Program:
    """A program whose last step is the learning rate."""
    lines = "".join(f"  {line.strip()}\n" for line in f"{body}; update = update * lr".split(";"))
    names = [state] if state else []
    return parse(f"def train({', '.join(['w, g', *names, 'lr'])}):\n{lines}  return {', '.join(['update', *names])}\n")


PLAIN = "update = orthogonalize(g)"
EQUAL = {
    "positive constant": ("x = g * 0.3; update = orthogonalize(x)", PLAIN),
    "negative constants": ("x = g * -0.3; x = negative(x); x = x / 4.0; update = orthogonalize(x)", PLAIN),
    "norm of the array": ("n = norm(g); n = n + 1e-8; x = g / n; update = orthogonalize(x)", PLAIN),
    "norm of the tree": ("n = global_norm(g); x = g / n; update = orthogonalize(x)", PLAIN),
    "positive scalar": ("s = square(lr); s = s + 1.0; x = s * g; update = orthogonalize(x)", PLAIN),
    "exponential": ("s = norm(w); s = tanh(s); s = exp(s); x = g * s; update = orthogonalize(x)", PLAIN),
    "mean of an array": (
        "s = square(g); s = row_mean(s); s = column_mean(s); x = g / s; update = orthogonalize(x)",
        PLAIN,
    ),
    "sign of a product": ("s = tanh(w); s = exp(s); x = g * s; update = sign(x)", "update = sign(g)"),
    "factor of rows": ("n = row_norm(g); n = n + 1.0; x = w * n; y = row_mean(x); y = y / n; update = g * y",
        "y = row_mean(w); update = g * y"),
    "factor of columns": ("n = column_norm(g); n = n + 1.0; x = w * n; y = column_norm(x); y = y / n; update = g * y",
        "y = column_norm(w); update = g * y"),
    "factor of an array": ("n = norm(g); n = n + 1.0; x = w * n; x = norm(x); x = x / n; update = g * x",
        "x = norm(w); update = g * x"),
    "factor of a tree": ("n = square(lr); n = n + 1.0; x = w * n; x = dot(g, x); x = x / n; update = g * x",
        "x = dot(g, w); update = g * x"),
    "norm of norms": ("x = row_norm(g); x = column_norm(x); update = g / x", "x = norm(g); update = g / x"),
    "order of means": ("x = row_mean(w); x = column_mean(x); y = column_mean(w); y = row_mean(y); z = x + y; "
        "update = g + z", "x = row_mean(w); x = column_mean(x); z = x * 2.0; update = g + z"),
    "sum of means": ("x = row_mean(g); y = row_mean(w); z = x + y; update = g + z",
        "x = g + w; z = row_mean(x); update = g + z"),
    "difference of means": ("x = column_mean(g); y = column_mean(w); z = x - y; update = g + z",
        "x = g - w; z = column_mean(x); update = g + z"),
    "shift": ("x = row_mean(w); y = g + x; y = row_mean(y); update = g + y",
        "x = row_mean(w); y = row_mean(g); y = x + y; update = g + y"),
}  # fmt: skip


@pytest.mark.parametrize("name", EQUAL)
def test_equal_forms_become_one(name: str) -> None:
    long, short = (rewrite(program(body)) for body in EQUAL[name])
    assert sorted(s.function for s in long.program.body) == sorted(s.function for s in short.program.body)
    assert same_updates(long.program, short.program)
    assert len(long.program.body) == len(short.program.body) < len(program(EQUAL[name][0]).body)
    assert long.rejected is None


DIFFERENT = {
    "factor of unknown sign": "x = g * lr; update = orthogonalize(x)",
    "factor that may be zero": "n = norm(w); x = g * n; update = orthogonalize(x)",
    "factor of rows": "n = row_norm(g); x = g / n; update = orthogonalize(x)",
    "factor of columns": "n = column_norm(g); x = g / n; x = row_norm(x); update = g / x",
    "factor of parameters": "x = exp(w); x = g * x; update = orthogonalize(x)",
    "twice": "x = orthogonalize(g); update = orthogonalize(x)",
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_other_forms_stay(name: str) -> None:
    assert len(rewrite(program(DIFFERENT[name])).program.body) == len(program(DIFFERENT[name]).body)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("n = norm(g); m = interp(n, m, 0.9)", Kind.PER_LEAF),
        ("n = global_norm(g); m = interp(n, m, 0.9)", Kind.SCALAR),
        ("n = row_norm(g); m = interp(n, m, 0.9)", Kind.PER_ROW),
        ("m = interp(g, m, 0.9)", Kind.LEAF),
        ("n = norm(g); m = interp(n, m, 0.9); m = m + w", Kind.LEAF),
    ],
)
def test_state_differs_along_what_its_values_differ_along(body: str, kind: Kind) -> None:
    assert state_variation(program(f"{body}; update = g / m", "m")) == {"m": kind}


def test_an_average_of_norms_is_one_factor_of_an_array() -> None:
    average = program("s = norm(g); m = interp(s, m, 0.9); x = g / m; update = orthogonalize(x)", "m")
    assert rewrite(average).program == program(PLAIN)
