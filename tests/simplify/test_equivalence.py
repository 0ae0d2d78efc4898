"""Equivalence tests reject forms that differ in float32, and tolerate rounding and the division guard."""

from __future__ import annotations

import pytest

from optsearch.dsl.program import Program
from optsearch.dsl.syntax import parse
from optsearch.simplify.rewriting.equivalence import same_updates
from optsearch.simplify.rewriting.rewrite import rewrite


def written(*lines: str, state: str = "") -> Program:
    body = "".join(f"  {line}\n" for line in lines)
    before, after = (f" {state},", f", {state}") if state else ("", "")
    return parse(f"def train(w, g,{before} lr):\n{body}  return update{after}\n")


UNEQUAL = {
    "float32 turns the sign": written("a = g * 1e8", "b = arctan(a)", "c = tan(b)", "update = c * lr"),
    "underflow": written("a = cube(g)", "b = cube(a)", "c = cbrt(b)", "d = cbrt(c)", "update = d * lr"),
    "infinite in the end": written("m = m * 2.0", "m = m + g", "a = m - m", "b = a + g", "update = b * lr", state="m"),
}
"""Programs that algebra makes SGD of."""


@pytest.mark.parametrize("name", UNEQUAL)
def test_programs_that_only_algebra_calls_equal_are_kept_apart(name: str) -> None:
    program = UNEQUAL[name]
    factor = 1e8 if name == "float32 turns the sign" else 1.0
    assert not same_updates(program, written(f"a = g * {factor}", "update = a * lr"))
    result = rewrite(program)
    assert same_updates(program, result.program)
    assert len(result.program.body) > 1


@pytest.mark.parametrize("name", UNEQUAL)
def test_a_program_gives_its_own_updates(name: str) -> None:
    assert same_updates(UNEQUAL[name], UNEQUAL[name])


def test_failing_in_the_same_way_is_equal() -> None:
    one = written("m = m * 4.0", "m = m + g", "update = m * lr", state="m")
    other = written("m = m * 2.0", "m = m * 2.0", "m = m + g", "update = lr * m", state="m")
    assert same_updates(one, other)
