"""The programs of several training runs as one script for the interpreter.

A script is a list of entries; each has one opcode, and its slots for every *group*. Two orders of the same statements:

- `serial`: one group. The lanes' register files are one tall file, and their programs one long program. This is the
  order for a CPU, where going to the next statement costs little.
- `grouped`: every lane is a group. All lanes whose next statement has the entry's opcode execute it, and the others
  write to a row that is never read. This is the order for accelerators, where starting an operation costs more than
  the operation, so that as many lanes as possible should take part in each.

Either way a lane executes its own statements only, in their order.

Source: the opcode of an entry is chosen by weighted majority merge (Foulser, Li, Yang 1992) for the shortest common
supersequence: the one whose lanes have most statements left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from optsearch.proxy_tasks.encoding import COLUMNS, ROWS, SPARE_COLUMN, SPARE_ROW, Code
from optsearch.proxy_tasks.instructions import MAX_OPERANDS, ROW, SCHEDULE_INSTRUCTIONS, STEP_INSTRUCTIONS, Instruction

SHORTEST = 256
"""Entries of the shortest script; longer ones are padded to a power of two, so that few lengths are ever compiled."""

ENTRIES_A_LANE = 32
"""Entries for each lane, at least."""


class Script(NamedTuple):
    """What the interpreter executes.

    Attributes:
        opcodes: int32 [entries].
        slots: int32 [entries, groups, 1 + operands]: target and operands, counted within the group.
        length: int32, number of entries in use.
    """

    opcodes: np.ndarray
    slots: np.ndarray
    length: np.ndarray

    @property
    def groups(self) -> int:
        """Number of groups."""
        return self.slots.shape[1]


class Scripts(NamedTuple):
    """Everything that the interpreter needs to know of its lanes' programs.

    Attributes:
        step: the step code.
        schedule: the schedule code.
        constants: float32 [lanes, COLUMNS].
    """

    step: Script
    schedule: Script
    constants: np.ndarray


def _heights(instructions: Sequence[Instruction]) -> np.ndarray:
    """For each opcode and slot, how far the same slot of the next lane is away in a tall file: [opcodes, slots]."""
    result = np.zeros((len(instructions), 1 + MAX_OPERANDS), np.int32)
    for opcode, instruction in enumerate(instructions):
        places = instruction.places
        result[opcode, 0] = ROWS if ROW in places else COLUMNS
        result[opcode, 1 : 1 + len(places)] = [ROWS if place is ROW else COLUMNS for place in places]
    return result


_STEP_HEIGHTS, _SCHEDULE_HEIGHTS = _heights(STEP_INSTRUCTIONS), _heights(SCHEDULE_INSTRUCTIONS)


def scripts(codes: Sequence[Code], *, grouped: bool) -> Scripts:
    """Puts the statements of several programs in order.

    Args:
        codes: the program of each lane.
        grouped: whether lanes execute equal opcodes together.

    Returns:
        The scripts.
    """
    steps, schedules = [code.step for code in codes], [code.schedule for code in codes]
    constants = np.stack([code.constants for code in codes])
    if grouped:
        return Scripts(_grouped(steps, SPARE_ROW), _grouped(schedules, SPARE_COLUMN), constants)
    return Scripts(_serial(steps, _STEP_HEIGHTS), _serial(schedules, _SCHEDULE_HEIGHTS), constants)


def _serial(codes: Sequence[np.ndarray], heights: np.ndarray) -> Script:
    moved = [code[:, 1:] + lane * heights[code[:, 0]] for lane, code in enumerate(codes)]
    return _padded(np.concatenate([code[:, 0] for code in codes]), np.concatenate(moved)[:, None], len(codes))


def _grouped(codes: Sequence[np.ndarray], spare: int) -> Script:
    next_statement = [0] * len(codes)
    idle = np.zeros((len(codes), 1 + MAX_OPERANDS), np.int32)
    idle[:, 0] = spare
    opcodes: list[int] = []
    slots: list[np.ndarray] = []
    while True:
        left: Counter[int] = Counter()
        for code, index in zip(codes, next_statement, strict=True):
            if index < len(code):
                left[int(code[index, 0])] += len(code) - index
        if not left:
            break
        opcode = min(left, key=lambda opcode: (-left[opcode], opcode))
        entry = idle.copy()
        for lane, (code, index) in enumerate(zip(codes, next_statement, strict=True)):
            if index < len(code) and code[index, 0] == opcode:
                entry[lane] = code[index, 1:]
                next_statement[lane] += 1
        opcodes.append(opcode)
        slots.append(entry)
    return _padded(np.array(opcodes, np.int32), np.array(slots, np.int32).reshape(-1, *idle.shape), len(codes))


def _padded(opcodes: np.ndarray, slots: np.ndarray, lanes: int) -> Script:
    used = len(opcodes)
    entries = 2 ** (max(SHORTEST, ENTRIES_A_LANE * lanes, used) - 1).bit_length()
    all_opcodes, all_slots = np.zeros(entries, np.int32), np.zeros((entries, *slots.shape[1:]), np.int32)
    all_opcodes[:used], all_slots[:used] = opcodes, slots
    return Script(all_opcodes, all_slots, np.array(used, np.int32))
