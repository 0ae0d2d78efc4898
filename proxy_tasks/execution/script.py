"""Scripts: the instructions of several training runs, merged into one sequence for the interpreter.

A script is a list of entries. Each entry has one opcode, and operand slots for every *group*. There are two orders:

- `serial`: one group. The lanes' register files form one tall file, and their programs one long program. This order is
  for CPUs, where advancing to the next statement is cheap.
- `grouped`: every lane is a group. All lanes whose next statement has the entry's opcode execute it; the other lanes
  write to a row that is never read. This order is for accelerators, where launching an operation costs more than the
  operation, so that each entry should serve as many lanes as possible.

In both orders a lane executes only its own statements, in their order.

Source: the opcode of an entry is chosen by weighted majority merge (Foulser, Li, Yang 1992), a heuristic for the
shortest common supersequence: the opcode whose lanes have the most statements left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from optsearch.proxy_tasks.execution.encoding import COLUMNS, ROWS, SPARE_COLUMN, SPARE_ROW, Code
from optsearch.proxy_tasks.execution.instructions import (
    MAX_OPERANDS,
    ROW,
    SCHEDULE_INSTRUCTIONS,
    STEP_INSTRUCTIONS,
    Instruction,
)

SHORTEST = 256
"""Minimum script length; longer scripts are padded to a power of two, to limit the number of compiled lengths."""

ENTRIES_A_LANE = 32
"""Minimum number of entries per lane in the serial order."""

SHORTEST_GROUPED = 1024
"""Minimum script length in the grouped order, where the entries of 1,000 different programs are fewer. The slots take
20 bytes for each entry and lane; a length in proportion to the lanes would take 10 GB for 4,096 lanes."""

_ENDED = -1
"""Opcode after a program's last statement."""


class Script(NamedTuple):
    """A script for the interpreter.

    Attributes:
        opcodes: int32 [entries].
        slots: int32 [entries, groups, 1 + operands]: target and operands, relative to the group.
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
    """All program data of the lanes.

    Attributes:
        step: the step code.
        schedule: the schedule code.
        constants: float32 [lanes, COLUMNS].
    """

    step: Script
    schedule: Script
    constants: np.ndarray


def _heights(instructions: Sequence[Instruction]) -> np.ndarray:
    """For each opcode and slot, the offset to the same slot of the next lane in a tall file: [opcodes, slots]."""
    result = np.zeros((len(instructions), 1 + MAX_OPERANDS), np.int32)
    for opcode, instruction in enumerate(instructions):
        places = instruction.places
        result[opcode, 0] = ROWS if ROW in places else COLUMNS
        result[opcode, 1 : 1 + len(places)] = [ROWS if place is ROW else COLUMNS for place in places]
    return result


_STEP_HEIGHTS, _SCHEDULE_HEIGHTS = _heights(STEP_INSTRUCTIONS), _heights(SCHEDULE_INSTRUCTIONS)


def scripts(codes: Sequence[Code], *, grouped: bool) -> Scripts:
    """Merges the statements of several programs into scripts.

    Args:
        codes: the program of each lane.
        grouped: if True, lanes execute equal opcodes together.

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
    shortest = max(SHORTEST, ENTRIES_A_LANE * len(codes))
    return _padded(np.concatenate([code[:, 0] for code in codes]), np.concatenate(moved)[:, None], shortest)


def _grouped(codes: Sequence[np.ndarray], spare: int) -> Script:
    lanes, lengths = np.arange(len(codes)), np.array([len(code) for code in codes])
    table = np.full((len(codes), lengths.max() + 1, 2 + MAX_OPERANDS), _ENDED, np.int32)
    for lane, code in enumerate(codes):
        table[lane, : len(code)] = code
    done = np.zeros(len(codes), np.int64)
    opcodes: list[int] = []
    slots: list[np.ndarray] = []
    while (running := done < lengths).any():
        following = table[lanes, done]
        left = np.bincount(following[running, 0], weights=(lengths - done)[running])
        opcode = int(left.argmax())
        chosen = following[:, 0] == opcode
        entry = np.where(chosen[:, None], following[:, 1:], 0)
        entry[~chosen, 0] = spare
        done += chosen
        opcodes.append(opcode)
        slots.append(entry)
    found = np.array(slots, np.int32).reshape(-1, len(codes), 1 + MAX_OPERANDS)
    return _padded(np.array(opcodes, np.int32), found, SHORTEST if len(codes) == 1 else SHORTEST_GROUPED)


def _padded(opcodes: np.ndarray, slots: np.ndarray, shortest: int) -> Script:
    used = len(opcodes)
    entries = 2 ** (max(shortest, used) - 1).bit_length()
    all_opcodes, all_slots = np.zeros(entries, np.int32), np.zeros((entries, *slots.shape[1:]), np.int32)
    all_opcodes[:used], all_slots[:used] = opcodes, slots
    return Script(all_opcodes, all_slots, np.array(used, np.int32))
