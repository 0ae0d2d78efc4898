"""Instruction set of the interpreter: every function of the table, and fused instructions.

An operand is a *row* (one number per parameter) or a *column* of the schedule table (one number per step); the opcode
determines which. Every instruction passes over rows in memory, which costs more than its arithmetic. Frequent
combinations of statements are therefore fused into one instruction: ``m / sqrt(v)``, ``interp(square(g), v, 0.999)``,
``w - update * lr``. AdamW's eight statements take four instructions.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple

from optsearch.dsl.functions import FUNCTIONS, Function, Scope
from optsearch.dsl.types import Kind


class Place(Enum):
    """Storage of an operand."""

    ROW = "row"
    COLUMN = "column"


ROW, COLUMN = Place.ROW, Place.COLUMN


class Instruction(NamedTuple):
    """Meaning of an opcode.

    Attributes:
        function: a row of the function table.
        operands: for each operand its place, or the fused instruction that computes it.
    """

    function: Function
    operands: tuple[Place | Instruction, ...]

    @property
    def places(self) -> tuple[Place, ...]:
        """Places of the operands that are encoded, from left to right."""
        parts = (part.places if isinstance(part, Instruction) else (part,) for part in self.operands)
        return tuple(itertools.chain.from_iterable(parts))

    @property
    def functions(self) -> int:
        """Number of statements that the instruction replaces."""
        return 1 + sum(part.functions for part in self.operands if isinstance(part, Instruction))


def _of(name: str, *operands: Place | Instruction) -> Instruction:
    return Instruction(FUNCTIONS[name], operands)


def _plain() -> Iterator[Instruction]:
    """Every function with every combination of rows and columns; rows come first in commutative functions."""
    for function in FUNCTIONS.values():
        choices = [(ROW, COLUMN) if Kind.SCALAR in kinds else (ROW,) for kinds in function.operands]
        for places in itertools.product(*choices):
            if ROW in places and not (function.laws.commutative and places == (COLUMN, ROW)):
                yield Instruction(function, places)


def _fused() -> Iterator[Instruction]:
    """Selected by frequency: nine of ten pairs in evolved programs whose inner value has no other reader."""
    product, scaled = _of("multiply", ROW, ROW), _of("multiply", ROW, COLUMN)
    quotient, normalised = _of("divide", ROW, ROW), _of("divide", ROW, _of("sqrt", ROW))
    yield _of("interp", _of("square", ROW), ROW, COLUMN)
    yield normalised
    for term in (product, scaled, quotient, normalised):
        yield _of("add", term, ROW)
        yield _of("subtract", ROW, term)
    for term in (quotient, normalised):
        yield _of("add", term, product)
        yield _of("add", term, scaled)
        yield _of("multiply", term, COLUMN)
    for place in (ROW, COLUMN):
        yield _of("multiply", _of("add", ROW, ROW), place)
    yield _of("multiply", scaled, ROW)
    yield _of("subtract", ROW, _of("multiply", scaled, ROW))


def _by_function(instructions: Iterable[Instruction]) -> dict[str, tuple[Instruction, ...]]:
    """The instructions of each function, those that replace most statements first."""
    names: dict[str, list[Instruction]] = {}
    for instruction in sorted(instructions, key=lambda instruction: -instruction.functions):
        names.setdefault(instruction.function.name, []).append(instruction)
    return {name: tuple(found) for name, found in names.items()}


_MATRIX = tuple(instruction for instruction in _plain() if instruction.function.scope is Scope.MATRIX)

STEP_INSTRUCTIONS = (*(instruction for instruction in _plain() if instruction not in _MATRIX), *_fused(), *_MATRIX)
"""Meaning of the step code's opcodes, by index; those that multiply matrices come last."""

WITHOUT_MATRICES = len(STEP_INSTRUCTIONS) - len(_MATRIX)
"""Number of opcodes of an interpreter for programs without functions of matrices, which is compiled separately."""

SCHEDULE_INSTRUCTIONS = tuple(
    Instruction(function, (COLUMN,) * function.arity)
    for function in FUNCTIONS.values()
    if function.scope is Scope.ELEMENT
)
"""Meaning of the schedule code's opcodes, by index; all operands and results are columns."""

STEP_FORMS = _by_function(STEP_INSTRUCTIONS)
"""For each function the instructions that end with it, the longest first."""

STEP_OPCODES = {instruction: code for code, instruction in enumerate(STEP_INSTRUCTIONS)}
SCHEDULE_OPCODES = {instruction.function.name: code for code, instruction in enumerate(SCHEDULE_INSTRUCTIONS)}

MAX_OPERANDS = max(len(instruction.places) for instruction in STEP_INSTRUCTIONS)
