"""Encoding of programs: columns, rows, and programs that exceed the limits."""

from __future__ import annotations

import numpy as np
import pytest

from optsearch.dsl.dataflow import prune
from optsearch.dsl.functions import FUNCTIONS
from optsearch.dsl.generate import random_program
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program, Statement
from optsearch.dsl.syntax import parse
from optsearch.proxy_tasks.execution.encoding import COLUMNS, FIRST_STATE, ROWS, SPARE_ROW, WEIGHTS, Code, encode
from optsearch.proxy_tasks.execution.instructions import (
    SCHEDULE_INSTRUCTIONS,
    STEP_INSTRUCTIONS,
    STEP_OPCODES,
    Instruction,
)


def coded(program: Program) -> Code:
    code = encode(program)
    assert code is not None
    return code


def names(code: Code) -> list[str]:
    """The functions that each instruction calls, the outermost first."""

    def calls(instruction: Instruction) -> str:
        inner = [calls(part) for part in instruction.operands if isinstance(part, Instruction)]
        return " ".join([instruction.function.name, *inner])

    return [calls(STEP_INSTRUCTIONS[row[0]]) for row in code.step]


def test_every_function_has_an_opcode() -> None:
    assert {i.function.name for i in (*STEP_INSTRUCTIONS, *SCHEDULE_INSTRUCTIONS)} == set(FUNCTIONS)
    assert len(STEP_OPCODES) == len(STEP_INSTRUCTIONS)


def test_what_depends_on_the_schedule_alone_is_not_run_at_every_step() -> None:
    body = "a = lr * 0.1\n  b = cbrt(a)\n  c = pi()\n  a = b * c\n  update = g * a"
    code = coded(parse(f"def train(w, g, lr):\n  {body}\n  return update\n"))
    assert (len(code.schedule), names(code)) == (4, ["subtract multiply"])


def test_what_is_read_once_is_made_where_it_is_read() -> None:
    """Nine statements, of which two follow from the schedule, and the step itself."""
    assert names(coded(prune(LIBRARY["adamw"]))) == [
        "interp",
        "interp square",
        "add divide sqrt multiply",
        "subtract multiply",
    ]


@pytest.mark.parametrize(
    "body",
    ["x = square(g)\n  y = x * 2.0\n  m = interp(x, m, 0.9)\n  update = y + m", "m = square(g)\n  update = m + w"],
)
def test_what_is_read_twice_or_kept_is_made_once(body: str) -> None:
    code = coded(parse(f"def train(w, g, m, lr):\n  {body}\n  return update, m\n"))
    assert names(code)[0] == "square"


def test_state_moves_home_at_the_end_when_its_old_value_is_read_late() -> None:
    """``m * g`` is made where it is read, after the new ``m``."""
    body = "x = m * g\n  m = tanh(g)\n  y = abs(m)\n  update = x + y"
    code = coded(parse(f"def train(w, g, m, lr):\n  {body}\n  return update, m\n"))
    assert names(code) == ["tanh", "abs", "add multiply", "subtract", "multiply"]
    assert code.step[-1, 1] == FIRST_STATE
    assert code.constants[code.step[-1, 3]] == 1.0


def test_weights_are_written_once_and_rows_stay_in_range() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        code = encode(random_program(rng, statements=int(rng.integers(1, 40))))
        if code is not None:
            targets = code.step[:, 1]
            assert (targets == WEIGHTS).sum() == 1
            assert (targets < SPARE_ROW).all()


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
