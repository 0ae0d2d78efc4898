"""Verification: accepted programs, and the inferred kind and shape of every value."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from optsearch.dsl.execute import apply_on_tree
from optsearch.dsl.functions import FUNCTIONS, Function
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import MAX_STATEMENTS, Program, ProgramError, Statement
from optsearch.dsl.syntax import parse
from optsearch.dsl.types import KINDS, Kind
from optsearch.dsl.verify import input_kinds, is_valid_from, scope_before, verify
from optsearch.dsl.walk import walk

SHAPES = ((2, 3), (), (0,), (5,))


def test_kinds_of_a_program_with_every_kind() -> None:
    program = parse(
        "def train(w, g, m, lr):\n n = norm(g)\n s = global_norm(w)\n a = n * s\n b = s * lr\n c = a * b\n m = g * c\n"
        " x = pi()\n x = clip_by_global_norm(m, x)\n update = x / n\n return update, m\n"
    )
    kinds = [str(kind) for kind in verify(program)]
    assert kinds == ["per_leaf", "scalar", "per_leaf", "scalar", "per_leaf", "leaf", "scalar", "leaf", "leaf"]


class _Shapes:
    """The reference meaning, which notes the shapes of every result."""

    def __init__(self) -> None:
        self.seen: list[tuple[tuple[int, ...], ...]] = []

    def constant(self, value: float) -> object:
        return np.float64(value)

    def apply(self, function: Function, operands: list[object]) -> object:
        with np.errstate(all="ignore"):
            result = apply_on_tree(function.reference, function.scope, operands)
        self.seen.append(tuple(np.shape(leaf) for leaf in (result if isinstance(result, list) else [result])))
        return result


def test_kinds_give_the_shape_of_every_value_on_a_tree(programs: Callable[..., list[Program]]) -> None:
    leaves = [np.ones(shape) for shape in SHAPES]
    for program in [*LIBRARY.values(), *programs(300, seed=1)]:
        kinds, domain = verify(program), _Shapes()
        inputs = {name: np.float64(0.1) if name == "lr" else leaves for name in program.signature.inputs}
        walk(program, inputs, domain)
        for kind, shapes in zip(kinds, domain.seen, strict=True):
            ones = kind is Kind.PER_LEAF and all(set(shape) <= {1} for shape in shapes)  # a mean of means
            assert ones or shapes == kind.shapes(SHAPES), str(program)


def test_kinds_are_ordered_by_what_they_hold() -> None:
    assert Kind.SCALAR < Kind.PER_LEAF < Kind.PER_ROW < Kind.LEAF
    assert Kind.PER_LEAF & Kind.PER_COLUMN == Kind.PER_LEAF
    assert KINDS[Kind.PER_ROW | Kind.PER_COLUMN] is Kind.LEAF
    assert Kind.SCALAR.shapes(SHAPES) == ((),)
    for leaf, row, column in zip(SHAPES, Kind.PER_ROW.shapes(SHAPES), Kind.PER_COLUMN.shapes(SHAPES), strict=True):
        assert np.broadcast_shapes(row, column) == leaf
        assert math.prod(row) == math.prod(leaf[:-1])
    assert Kind.PER_LEAF.shapes(SHAPES) == ((), (), (), ())
    assert Kind.LEAF.shapes(SHAPES) == SHAPES
    assert input_kinds(LIBRARY["lion"]) == {"w": Kind.LEAF, "g": Kind.LEAF, "m": Kind.LEAF, "lr": Kind.SCALAR}


GOOD = Statement("update", "multiply", ("g", "lr"))


@pytest.mark.parametrize(
    ("program", "line", "rule"),
    [
        (Program((), ()), 2, "'update' is returned but never assigned"),
        (Program((), (GOOD, Statement("update", "norm", ("g",)))), 4, "'update' is returned as a per_leaf"),
        (Program(("m",), (GOOD, Statement("m", "pi", ()))), 4, "'m' is returned as a scalar"),
        (Program((), (Statement("x", "add", ("update", 1.0)), GOOD)), 2, "'update' is read before it is assigned"),
        (Program((), (Statement("x", "ad", ("g", 1.0)), GOOD)), 2, "unknown function 'ad'; did you mean 'add'"),
        (Program((), (Statement("x", "add", ("g",)), GOOD)), 2, "add takes 2 operands, got 1"),
        (Program((), (Statement("x", "add", ("g", float("nan"))), GOOD)), 2, "constant nan is not a finite float32"),
        (Program((), (Statement("x", "add", ("g", float("inf"))), GOOD)), 2, "constant inf is not a finite float32"),
        (Program((), (Statement("x y", "add", ("g", 1.0)), GOOD)), 2, "'x y' is not a name"),
        (Program((), (Statement("", "add", ("g", 1.0)), GOOD)), 2, "'' is not a name"),
        (
            Program((), (Statement("x", "dot", ("g", "lr")), GOOD)),
            2,
            "operand 2 of dot must be a leaf, 'lr' is a scalar",
        ),
        (Program(("lr",), (GOOD,)), 1, "'lr' is an input and cannot be state"),
        (Program(("a b",), (GOOD,)), 1, "'a b' is not a name"),
        (Program((), (GOOD,) * (MAX_STATEMENTS + 1)), 1, "at most 200 statements, got 201"),
        (Program(tuple(f"m{i}" for i in range(9)), (GOOD,)), 1, "at most 8 state variables, got 9"),
    ],
)
def test_what_breaks_a_rule_is_refused(program: Program, line: int, rule: str) -> None:
    with pytest.raises(ProgramError, match=rule) as caught:
        verify(program)
    assert caught.value.line == line


def test_an_input_may_be_assigned() -> None:
    """As the published programs do: ``lr = lr * 0.001``, ``g = clip(g, lr)``."""
    assert [str(kind) for kind in verify(LIBRARY["lion-raw"])][:2] == ["leaf", "leaf"]
    program = parse("def train(w, g, lr):\n w = norm(g)\n update = g / w\n return update\n")
    assert verify(program) == (Kind.PER_LEAF, Kind.LEAF)


def is_valid(program: Program) -> bool:
    try:
        verify(program)
    except ProgramError:
        return False
    return True


def test_a_changed_program_is_judged_from_the_change_on(programs: Callable[..., list[Program]]) -> None:
    """The short cut for children of verified programs agrees with verification, for deletions and replacements."""
    rejected = 0
    for index, program in enumerate(programs(300, seed=2)):
        body, place = program.body, index % len(program.body)
        scope = scope_before(program, place)
        for middle in ((), (Statement("g", "norm", ("w",)),), (Statement("update", "add", ("g", 1.0)),)):
            child = Program(program.state, (*body[:place], *middle, *body[place + 1 :]))
            assert is_valid_from(child, place, scope) == is_valid(child), str(child)
            rejected += not is_valid(child)
    assert rejected > 50


def test_every_function_is_accepted_with_every_kind_it_declares() -> None:
    names = {Kind.SCALAR: "lr", Kind.PER_LEAF: "p", Kind.PER_ROW: "r", Kind.PER_COLUMN: "c", Kind.LEAF: "g"}
    made = [Statement("p", "norm", ("g",)), Statement("r", "row_norm", ("g",)), Statement("c", "column_norm", ("g",))]
    for function in FUNCTIONS.values():
        for position, accepted in enumerate(function.operands):
            for kind in Kind:
                args = [names[max(kinds)] for kinds in function.operands]
                args[position] = names[kind]
                program = Program((), (*made, Statement("x", function.name, tuple(args)), GOOD))
                if kind in accepted:
                    verify(program)
                else:
                    with pytest.raises(ProgramError, match=f"operand {position + 1} of {function.name} must be"):
                        verify(program)
