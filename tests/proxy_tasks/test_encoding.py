"""The coded form: what is a column, what a row, and what does not fit."""

from __future__ import annotations

import numpy as np
import pytest

from dsl.dataflow import prune
from dsl.functions import FUNCTIONS
from dsl.generate import random_program
from dsl.library import LIBRARY
from dsl.program import Program, Statement
from dsl.syntax import parse
from proxy_tasks.encoding import (
    COLUMNS,
    ROWS,
    SCHEDULE_INSTRUCTIONS,
    STEP_INSTRUCTIONS,
    WEIGHTS,
    Code,
    encode,
    statements,
)


def coded(program: Program) -> Code:
    code = encode(program)
    assert code is not None
    return code


def test_every_function_has_an_opcode() -> None:
    assert {i.function.name for i in (*STEP_INSTRUCTIONS, *SCHEDULE_INSTRUCTIONS)} == set(FUNCTIONS)


def test_what_depends_on_the_schedule_alone_is_not_run_at_every_step() -> None:
    body = "a = lr * 0.1\n  b = cbrt(a)\n  c = pi()\n  a = b * c\n  update = g * a"
    code = coded(parse(f"def train(w, g, lr):\n  {body}\n  return update\n"))
    assert (code.schedule_length, code.step_length) == (4, 1)


@pytest.mark.parametrize("name", LIBRARY)
def test_the_count_of_statements_is_that_of_the_code(name: str) -> None:
    program = prune(LIBRARY[name])
    assert statements(program) == coded(program).step_length


def test_weights_are_never_written_and_rows_stay_in_range() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        code = encode(random_program(rng, statements=int(rng.integers(1, 40))))
        if code is not None:
            targets = code.step[: code.step_length, 1]
            assert (targets != WEIGHTS).all()
            assert (targets < ROWS).all()
            assert code.update in targets


def test_equal_constants_share_a_column() -> None:
    code = coded(parse("def train(w, g, lr):\n  a = g * 0.5\n  b = a + 0.5\n  update = b * 0.25\n  return update\n"))
    assert sorted(code.constants[code.constants != 0].tolist()) == [0.25, 0.5]


def test_a_program_that_does_not_fit_is_not_coded() -> None:
    wide = [Statement(f"x{i}", "add", ("g", float(i))) for i in range(ROWS)]
    tail = [Statement("update", "add", ("w", "x0"))]
    tail += [Statement("update", "add", ("update", f"x{i}")) for i in range(1, ROWS)]
    assert encode(Program((), (*wide, *tail))) is None
    constants = [Statement("update", "add", ("g" if i == 0 else "update", float(i))) for i in range(COLUMNS)]
    assert encode(Program((), tuple(constants))) is None
