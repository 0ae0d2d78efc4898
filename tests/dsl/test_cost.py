"""Costs match those counted by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from optsearch.dsl.cost import cost
from optsearch.dsl.dataflow import prune
from optsearch.dsl.functions import Operation
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program
from optsearch.dsl.syntax import parse

# name: state; arithmetic, divisions and roots, transcendental functions; numbers read, numbers written.
# interp takes 3 operations, clip 2; a scalar such as lr * 0.001 takes none for each parameter.
BY_HAND = {
    "sgd": (0, (1, 0, 0), 2, 1),  # g * lr                                          reads w g, writes w
    "momentum": (1, (3, 0, 0), 3, 2),  # m * 0.9, + g, * lr                         reads w g m, writes w m
    "nesterov": (1, (5, 0, 0), 3, 2),  # and m * 0.9, g + ahead
    "rmsprop": (1, (1 + 3 + 1, 2, 0), 3, 2),  # square, interp, * lr; sqrt, /
    "adagrad": (1, (3, 2, 0), 3, 2),  # square, +, * lr; sqrt, /
    "adam": (2, (1 + 3 + 3 + 1, 2, 0), 4, 3),  # square, interp, interp, * lr; sqrt, /
    "adamw": (2, (8 + 2, 2, 0), 4, 3),  # and w * 0.01, +
    "signum": (1, (3 + 1 + 1, 0, 0), 3, 2),  # interp, sign, * lr
    "lion": (1, (3 + 1 + 3 + 1 + 1 + 1, 0, 0), 3, 2),  # interp, sign, interp, w * 0.1, +, * lr
    "lion-raw": (1, (2 + 3 + 1 + 3 + 1 + 1 + 1, 2, 1), 3, 2),  # clip interp * interp *, wd * w, +; sqrt /; arcsin
}


OF_WHOLE_ARRAYS = {
    "normalized-sgd": (0, 2, 3, 1),  # the norm needs a pass of its own over g
    "muon": (1, 2, 5, 2),  # and so does the orthogonal step, over g and m
    "orthogonal-adamw": (2, 2, 7, 3),  # over g, m and v
    "adafactor": (0, 5, 5, 1),  # means of rows and columns, of columns' means, and of the step's squares
}
"""State, passes, numbers read and written."""


def test_every_program_is_counted() -> None:
    assert {*BY_HAND, *OF_WHOLE_ARRAYS} == {*LIBRARY}


@pytest.mark.parametrize("name", OF_WHOLE_ARRAYS)
def test_library_of_whole_arrays(name: str) -> None:
    found = cost(LIBRARY[name])
    assert (found.state, found.passes, found.reads, found.writes) == OF_WHOLE_ARRAYS[name]


@pytest.mark.parametrize("name", BY_HAND)
def test_library(name: str) -> None:
    state, operations, reads, writes = BY_HAND[name]
    found = cost(LIBRARY[name])
    classes = (Operation.ARITHMETIC, Operation.DIVISION, Operation.TRANSCENDENTAL)
    assert found.state == state
    assert tuple(found.operations.get(operation, 0) for operation in classes) == operations
    assert (found.passes, found.reads, found.writes) == (1, reads, writes)
    assert found.traffic == reads + writes
    assert found.arithmetic == sum(count * weight for count, weight in zip(operations, (1, 4, 12), strict=True))


@pytest.mark.parametrize(
    ("body", "passes", "reads"),
    [
        ("n = global_norm(g)\n update = g / n", 2, 1 + 2),  # g; then w and g
        ("n = norm(g)\n k = norm(w)\n k = k / n\n update = g * k", 2, 2 + 2),  # LAMB-like: both norms in one pass
        ("a = g * w\n n = global_norm(a)\n b = g / n\n k = dot(b, w)\n update = b * k", 3, 2 + 2 + 2),
        ("update = clip_by_global_norm(g, 1.0)", 2, 1 + 2),
        ("n = global_norm(g)\n update = g * lr", 1, 2),  # dead
    ],
)
def test_each_level_of_reductions_is_a_pass(body: str, passes: int, reads: int) -> None:
    found = cost(parse(f"def train(w, g, lr):\n {body}\n return update\n"))
    assert (found.passes, found.reads, found.writes) == (passes, reads, 1)


def test_scalars_cost_nothing_for_each_parameter() -> None:
    program = parse("def train(w, g, lr):\n a = exp(lr)\n a = a / lr\n update = g * a\n return update\n")
    assert cost(program).operations == {Operation.ARITHMETIC: 1}


def test_only_live_statements_count(programs: Callable[..., list[Program]]) -> None:
    for program in programs(100, seed=1):
        assert cost(program) == cost(prune(program))
        assert cost(program).passes <= len(program.body) + 1
