"""A program as arrays: opcodes and operand slots that the interpreter executes without compiling anything.

Two facts make the code short and fast.

Most scalars of a program (constants, ``lr``, ``lr * 0.001``) depend only on the schedule. Their statements form the
*schedule code*, run once for all steps of a training run at a time; its values are the columns of a table [steps,
columns], of which each step reads one row.

Everything else is a *row* with one number for each parameter; reductions are broadcast. Those statements form the
*step code*, run at every step. An operand is either a row or a column, and which of the two is part of the opcode, so
``g * 0.9`` reads one row and one number.

Rows are few: a value takes the first row that is free after its operands' last use.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dsl.functions import FUNCTIONS, LEAVES, Function, Scope
from dsl.program import OUTPUT, Argument, Program, Statement

ROWS = 24
"""Rows of the register file: the weights, the gradient, the state, and values in flight."""

COLUMNS = 128
"""Columns of the schedule table: ``lr``, the distinct constants, and what is computed from them alone."""

LENGTH = 200
"""Statements of the step code and of the schedule code."""

WEIGHTS, GRADIENT, FIRST_STATE = 0, 1, 2
LEARNING_RATE = 0

MAX_ARITY = max(row.arity for row in FUNCTIONS.values())
CODE_WIDTH = 2 + MAX_ARITY
"""A coded statement: opcode, target, operands."""


class Instruction(NamedTuple):
    """What an opcode means: a row of the function table and where each operand lives.

    Attributes:
        function: the row of the table.
        in_row: for each operand whether it is a row; otherwise it is a column.
    """

    function: Function
    in_row: tuple[bool, ...]


def _step_instructions() -> Iterable[Instruction]:
    for function in FUNCTIONS.values():
        places = [(True,) if kinds == LEAVES else (True, False) for kinds in function.operands]
        for in_row in itertools.product(*places):
            if any(in_row):
                yield Instruction(function, in_row)


STEP_INSTRUCTIONS = tuple(_step_instructions())
"""Meaning of the step code's opcodes, by position: every function with every mixture of rows and columns."""

SCHEDULE_INSTRUCTIONS = tuple(
    Instruction(function, (False,) * function.arity)
    for function in FUNCTIONS.values()
    if function.scope is Scope.ELEMENT
)
"""Meaning of the schedule code's opcodes, by position."""

_STEP_OPCODES = {
    (instruction.function.name, instruction.in_row): code for code, instruction in enumerate(STEP_INSTRUCTIONS)
}
_SCHEDULE_OPCODES = {instruction.function.name: code for code, instruction in enumerate(SCHEDULE_INSTRUCTIONS)}


@dataclass(frozen=True, slots=True, eq=False)
class Code:
    """A program in the interpreter's form.

    Attributes:
        step: int32 [LENGTH, CODE_WIDTH]: opcode into `STEP_INSTRUCTIONS`, target row, operand rows or columns.
        step_length: number of statements in use.
        schedule: int32 [LENGTH, CODE_WIDTH]: opcode into `SCHEDULE_INSTRUCTIONS`, target column, operand columns.
        schedule_length: number of statements in use.
        constants: float32 [COLUMNS]: columns that hold a constant; 0 elsewhere.
        update: row that holds the update after the last statement.
    """

    step: np.ndarray
    step_length: int
    schedule: np.ndarray
    schedule_length: int
    constants: np.ndarray
    update: int


class _Place(NamedTuple):
    """Where a value lives: a row of the register file, or a column of the table."""

    in_row: bool
    slot: int


class _Columns:
    """Columns of the table, given out once each."""

    def __init__(self) -> None:
        self.count = LEARNING_RATE + 1
        self.constants: dict[bytes, tuple[int, np.float32]] = {}

    def new(self) -> _Place:
        self.count += 1
        return _Place(False, self.count - 1)

    def constant(self, value: float) -> _Place:
        with np.errstate(over="ignore"):
            single = np.float32(value)
        key = single.tobytes()
        if key not in self.constants:
            self.constants[key] = (self.new().slot, single)
        return _Place(False, self.constants[key][0])


def _last_uses(program: Program) -> dict[tuple[str, int], int]:
    """For each value (name, statement that made it; -1 for an input) the last statement that reads it."""
    made: dict[str, int] = {}
    last: dict[tuple[str, int], int] = {}
    for index, (target, _, args) in enumerate(program.body):
        for arg in args:
            if isinstance(arg, str):
                last[arg, made.get(arg, -1)] = index
        made[target] = index
    last[OUTPUT, made[OUTPUT]] = len(program.body)
    return last


def encode(program: Program) -> Code | None:
    """Codes a verified program.

    Args:
        program: as `dsl.verify.verify` accepts it; dead statements cost time, so prune first.

    Returns:
        The code, or None when the program needs more than `ROWS`, `COLUMNS` or `LENGTH`.
    """
    if FIRST_STATE + len(program.state) >= ROWS or len(program.body) > LENGTH:
        return None
    homes = {name: FIRST_STATE + index for index, name in enumerate(program.state)}
    places = {"w": _Place(True, WEIGHTS), "g": _Place(True, GRADIENT), "lr": _Place(False, LEARNING_RATE)}
    places |= {name: _Place(True, home) for name, home in homes.items()}
    last = _last_uses(program)
    made: dict[str, int] = {}
    columns = _Columns()
    free = list(range(FIRST_STATE + len(homes), ROWS))
    step: list[list[int]] = []
    schedule: list[list[int]] = []
    if ("g", -1) not in last:
        free.insert(0, GRADIENT)

    def release(name: str, index: int) -> None:
        place = places[name]
        reusable = place.in_row and place.slot != WEIGHTS and place.slot not in homes.values()
        if reusable and last.get((name, made.get(name, -1)), -1) <= index and place.slot not in free:
            free.append(place.slot)
            free.sort()

    for index, (target, name, args) in enumerate(program.body):
        function = FUNCTIONS[name]
        operands = [_operand(arg, places, columns) for arg in args]
        in_row = tuple(operand.in_row for operand in operands)
        for arg in dict.fromkeys(arg for arg in args if isinstance(arg, str)):
            release(arg, index)
        if function.scope is Scope.ELEMENT and not any(in_row):
            place = columns.new()
            schedule.append(_coded(_SCHEDULE_OPCODES[name], place, operands))
        else:
            if target in homes:
                place = _Place(True, homes[target])
            elif free:
                place = _Place(True, free.pop(0))
            else:
                return None
            step.append(_coded(_STEP_OPCODES[name, in_row], place, operands))
        places[target], made[target] = place, index
        if (target, index) not in last:
            release(target, index)
    if columns.count > COLUMNS:
        return None
    constants = np.zeros(COLUMNS, np.float32)
    for slot, value in columns.constants.values():
        constants[slot] = value
    update = places[OUTPUT].slot
    return Code(_padded(step), len(step), _padded(schedule), len(schedule), constants, update)


def _operand(arg: Argument, places: dict[str, _Place], columns: _Columns) -> _Place:
    return places[arg] if isinstance(arg, str) else columns.constant(arg)


def _coded(opcode: int, target: _Place, operands: list[_Place]) -> list[int]:
    slots = [operand.slot for operand in operands]
    return [opcode, target.slot, *slots, *([0] * (MAX_ARITY - len(slots)))]


def _padded(code: list[list[int]]) -> np.ndarray:
    result = np.zeros((LENGTH, CODE_WIDTH), np.int32)
    if code:
        result[: len(code)] = code
    return result


def statements(program: Program) -> int:
    """Number of statements that run at every step: those that depend on more than the schedule."""
    fixed = {"lr"}
    count = 0
    for statement in program.body:
        if _is_scheduled(statement, fixed):
            fixed.add(statement.target)
        else:
            fixed.discard(statement.target)
            count += 1
    return count


def _is_scheduled(statement: Statement, fixed: set[str]) -> bool:
    element = FUNCTIONS[statement.function].scope is Scope.ELEMENT
    return element and all(arg in fixed for arg in statement.args if isinstance(arg, str))
