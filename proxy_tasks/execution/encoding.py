"""Encoding of a program as arrays: opcodes and operand slots that the interpreter executes without compilation.

Most scalars of a program (constants, ``lr``, ``lr * 0.001``) depend only on the schedule. Their statements form the
*schedule code*, which runs once per training run for all steps. Its values are the columns of a table [steps, columns],
of which each step reads one row.

All other values are *rows* with one number per parameter; results of reductions are broadcast. Their statements form
the *step code*, which runs at every step and ends with ``w = w - update``. A value that is read once is fused into its
reader if `instructions` has a matching instruction.

Register allocation: a value takes the first row that is free after its operands' last use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from optsearch.dsl.functions import FUNCTIONS, Scope
from optsearch.dsl.program import LR, OUTPUT, Argument, G, Program, W
from optsearch.proxy_tasks.execution.instructions import (
    COLUMN,
    MAX_OPERANDS,
    ROW,
    SCHEDULE_OPCODES,
    STEP_FORMS,
    STEP_OPCODES,
    WITHOUT_MATRICES,
    Instruction,
)

ROWS = 24
"""Rows of the register file: the weights, the gradient, the state, live values, and one that is never read."""

COLUMNS = 128
"""Columns of the schedule table: ``lr``, the distinct constants, values derived from them, and a spare one."""

LENGTH = 200
"""Maximum number of statements of the step code and of the schedule code."""

WEIGHTS, GRADIENT, FIRST_STATE = 0, 1, 2
LEARNING_RATE = 0
SPARE_ROW, SPARE_COLUMN = ROWS - 1, COLUMNS - 1

CODE_WIDTH = 2 + MAX_OPERANDS
"""Width of an encoded statement: opcode, target, operands."""

_MOVE = STEP_OPCODES[Instruction(FUNCTIONS["multiply"], (ROW, COLUMN))]
"""Multiplication by one, which is exact."""


@dataclass(frozen=True, slots=True, eq=False)
class Code:
    """An encoded program.

    Attributes:
        step: int32 [statements, CODE_WIDTH]: opcode into `STEP_INSTRUCTIONS`, target row, operand rows or columns.
        schedule: int32 [statements, CODE_WIDTH]: opcode into `SCHEDULE_INSTRUCTIONS`, target column, operand columns.
        constants: float32 [COLUMNS]: values of the columns that hold constants; 0 elsewhere.
    """

    step: np.ndarray
    schedule: np.ndarray
    constants: np.ndarray

    @property
    def matrices(self) -> bool:
        """True if the program calls functions of matrices."""
        return bool((self.step[:, 0] >= WITHOUT_MATRICES).any())


class _Column(NamedTuple):
    """A value in a column of the schedule table."""

    slot: int


_Value = int | _Column
"""A value of the program. Row values are numbered: first the initial rows, then in order of computation."""


class _Node(NamedTuple):
    """The statement that computes a row."""

    function: str
    operands: tuple[_Value, ...]


class _Columns:
    """Allocator of table columns; each column is assigned once."""

    def __init__(self) -> None:
        self.count = LEARNING_RATE + 1
        self.constants: dict[bytes, tuple[_Column, np.float32]] = {}

    def new(self) -> _Column:
        self.count += 1
        return _Column(self.count - 1)

    def constant(self, value: float) -> _Column:
        with np.errstate(over="ignore"):
            single = np.float32(value)
        key = single.tobytes()
        if key not in self.constants:
            self.constants[key] = (self.new(), single)
        return self.constants[key][0]


class _Graph:
    """The values of a program in static single assignment form.

    Args:
        program: a verified program.

    Attributes:
        columns: the columns in use.
        schedule: the schedule code.
        nodes: the statement that computes each row; the last one computes the new weights.
        state: for each state variable the row of its final value.
        inputs: number of initial rows.
    """

    def __init__(self, program: Program):
        self.columns = _Columns()
        self.schedule: list[list[int]] = []
        self.inputs = FIRST_STATE + len(program.state)
        self.nodes: dict[int, _Node] = {}
        values: dict[str, _Value] = {W: WEIGHTS, G: GRADIENT, LR: _Column(LEARNING_RATE)}
        values |= {name: FIRST_STATE + index for index, name in enumerate(program.state)}
        for target, name, args in program.body:
            operands = tuple(self._value(arg, values) for arg in args)
            if FUNCTIONS[name].scope is Scope.ELEMENT and all(isinstance(operand, _Column) for operand in operands):
                values[target] = column = self.columns.new()
                slots = [operand.slot for operand in operands if isinstance(operand, _Column)]
                self.schedule.append(_coded(SCHEDULE_OPCODES[name], column.slot, slots))
            else:
                values[target] = self._add(name, operands)
        self._add("subtract", (WEIGHTS, values[OUTPUT]))
        self.state = [values[name] for name in program.state]

    def _value(self, arg: Argument, values: dict[str, _Value]) -> _Value:
        return values[arg] if isinstance(arg, str) else self.columns.constant(arg)

    def _add(self, name: str, operands: tuple[_Value, ...]) -> int:
        if FUNCTIONS[name].laws.commutative and isinstance(operands[0], _Column):
            operands = operands[::-1]
        number = self.inputs + len(self.nodes)
        self.nodes[number] = _Node(name, operands)
        return number

    def instructions(self) -> list[tuple[int, Instruction, list[_Value]]]:
        """Selects instructions, the longest first, in order of execution: target row, instruction, operands."""
        uses = Counter(operand for node in self.nodes.values() for operand in node.operands)
        inner = {row for row in self.nodes if uses[row] == 1} - set(self.state)
        chosen: list[tuple[int, Instruction, list[_Value]]] = []
        absorbed: set[int] = set()
        for row in reversed(self.nodes):
            if row in absorbed:
                continue
            for instruction in STEP_FORMS[self.nodes[row].function]:
                found = self._match(instruction, row, inner)
                if found is not None:
                    operands, made = found
                    absorbed |= made
                    chosen.append((row, instruction, operands))
                    break
        return chosen[::-1]

    def _match(self, form: Instruction, row: int, inner: set[int]) -> tuple[list[_Value], set[int]] | None:
        """Operands of an instruction that computes a row, and the rows that it fuses; None if it does not match."""
        node = self.nodes[row]
        orders = [node.operands]
        if form.function.laws.commutative and len(set(form.operands)) > 1:
            orders.append(node.operands[::-1])
        for order in orders:
            operands: list[_Value] = []
            made: set[int] = set()
            for part, value in zip(form.operands, order, strict=True):
                if not isinstance(part, Instruction):
                    if (part is ROW) == isinstance(value, _Column):
                        break
                    operands.append(value)
                    continue
                if isinstance(value, _Column) or value not in inner:
                    break
                found = None
                if self.nodes[value].function == part.function.name:
                    found = self._match(part, value, inner)
                if found is None:
                    break
                operands += found[0]
                made |= {value} | found[1]
            else:
                return operands, made
        return None


class _Rows:
    """Register allocator: the assignment of values to rows during encoding.

    Args:
        inputs: number of initially occupied rows: the weights, the gradient and the state.
        last: for each value the index of the last instruction that reads it.
    """

    def __init__(self, inputs: int, last: dict[_Value, int]):
        self.homes: dict[_Value, int] = {row: row for row in range(inputs)}
        self._last, self._inputs = last, inputs
        self._free = list(range(inputs, SPARE_ROW))
        self.release([GRADIENT], -1)

    def release(self, values: Iterable[_Value], index: int) -> None:
        """Frees the rows of values that are not read after instruction ``index``; weights and state keep theirs."""
        for value in values:
            row = self.homes.get(value, WEIGHTS)
            if (row == GRADIENT or row >= self._inputs) and row not in self._free and not self.is_read(value, index):
                self._free.append(row)
                self._free.sort()

    def is_read(self, value: _Value, index: int) -> bool:
        """True if an instruction after ``index`` reads the value."""
        return self._last.get(value, -1) > index

    def take(self) -> int | None:
        """Returns the first free row; None if there is none."""
        return self._free.pop(0) if self._free else None


def encode(program: Program) -> Code | None:
    """Encodes a program.

    Args:
        program: a verified program. Dead statements cost time, so prune first.

    Returns:
        The code; None if the program exceeds `ROWS`, `COLUMNS` or `LENGTH`.
    """
    if FIRST_STATE + len(program.state) >= SPARE_ROW:
        return None
    graph = _Graph(program)
    instructions = graph.instructions()
    last: dict[_Value, int] = {}
    for index, (_, _, operands) in enumerate(instructions):
        last |= dict.fromkeys(operands, index)
    last |= dict.fromkeys(graph.state, len(instructions))
    rows = _Rows(graph.inputs, last)
    ends = {value: FIRST_STATE + index for index, value in enumerate(graph.state)}
    step: list[list[int]] = []
    for index, (value, instruction, operands) in enumerate(instructions):
        slots = [operand.slot if isinstance(operand, _Column) else rows.homes[operand] for operand in operands]
        rows.release(operands, index)
        target = WEIGHTS if index == len(instructions) - 1 else ends.get(value)
        if target is None or (target != WEIGHTS and rows.is_read(target, index)):
            target = rows.take()
        if target is None:
            return None
        rows.homes[value] = target
        rows.release([value], index)
        step.append(_coded(STEP_OPCODES[instruction], target, slots))
    for value, home in ends.items():
        if rows.homes[value] != home:  # its home row was still occupied by the old state when it was computed
            step.append(_coded(_MOVE, home, [rows.homes[value], graph.columns.constant(1.0).slot]))
    if max(len(step), len(graph.schedule)) > LENGTH or graph.columns.count > SPARE_COLUMN:
        return None
    constants = np.zeros(COLUMNS, np.float32)
    for column, single in graph.columns.constants.values():
        constants[column.slot] = single
    return Code(_array(step), _array(graph.schedule), constants)


def _coded(opcode: int, target: int, slots: Sequence[int]) -> list[int]:
    return [opcode, target, *slots, *([0] * (MAX_OPERANDS - len(slots)))]


def _array(code: list[list[int]]) -> np.ndarray:
    return np.array(code, np.int32).reshape(len(code), CODE_WIDTH)
