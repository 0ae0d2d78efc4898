"""Scheduling of statements: each lane executes all of its statements in order, and no others."""

from __future__ import annotations

import numpy as np
import pytest

from optsearch.dsl.dataflow import prune
from optsearch.dsl.generate import random_program
from optsearch.dsl.library import LIBRARY
from optsearch.proxy_tasks.execution.encoding import COLUMNS, ROWS, SPARE_ROW, Code, encode
from optsearch.proxy_tasks.execution.instructions import ROW, STEP_INSTRUCTIONS
from optsearch.proxy_tasks.execution.script import scripts


@pytest.fixture(scope="module")
def codes() -> list[Code]:
    rng = np.random.default_rng(0)
    programs = [random_program(rng, statements=int(rng.integers(1, 20))) for _ in range(20)]
    found = [encode(prune(program)) for program in [*programs, *LIBRARY.values()]]
    return [code for code in found if code is not None]


def statements(code: Code) -> list[tuple[int, list[int]]]:
    return [(int(row[0]), row[1:].tolist()) for row in code.step]


def test_serial_is_one_program_after_the_other(codes: list[Code]) -> None:
    step = scripts(codes, grouped=False).step
    seen: list[list[tuple[int, list[int]]]] = [[] for _ in codes]
    assert step.groups == 1
    for opcode, slots in zip(step.opcodes[: int(step.length)], step.slots[:, 0], strict=False):
        lane = int(slots[0]) // ROWS
        places = STEP_INSTRUCTIONS[opcode].places
        heights = [ROWS, *(ROWS if place is ROW else COLUMNS for place in places)]
        local = [int(slot) - lane * height for slot, height in zip(slots, heights, strict=False)]
        assert all(0 <= slot < height for slot, height in zip(local, heights, strict=True))
        seen[lane].append((int(opcode), local + [0] * (len(slots) - len(local))))
    assert seen == [statements(code) for code in codes]


def test_grouped_is_every_program_at_once(codes: list[Code]) -> None:
    step = scripts(codes, grouped=True).step
    seen: list[list[tuple[int, list[int]]]] = [[] for _ in codes]
    for opcode, groups in zip(step.opcodes[: int(step.length)], step.slots, strict=False):
        for lane, slots in enumerate(groups.tolist()):
            if slots[0] != SPARE_ROW:
                seen[lane].append((int(opcode), slots))
    assert seen == [statements(code) for code in codes]


def test_lanes_with_equal_programs_cost_no_further_entries(codes: list[Code]) -> None:
    def entries(codes: list[Code], grouped: bool) -> int:
        return int(scripts(codes, grouped=grouped).step.length)

    assert entries(3 * codes, grouped=True) == entries(codes, grouped=True) < entries(codes, grouped=False)
    assert entries(3 * codes, grouped=False) == 3 * entries(codes, grouped=False)


def test_scripts_of_the_same_number_of_short_programs_have_the_same_shape(codes: list[Code]) -> None:
    shapes = {scripts([code], grouped=False).step.slots.shape for code in codes}
    assert len(shapes) == 1


def test_memory_of_a_grouped_script_is_in_proportion_to_the_lanes(codes: list[Code]) -> None:
    few, many = (scripts(count * codes, grouped=True).step.slots.nbytes for count in (2, 64))
    assert many == 32 * few
    assert few / (2 * len(codes)) <= 20_480  # bytes of a lane


def test_merged_programs_are_those_of_the_definition(codes: list[Code]) -> None:
    """The opcode whose programs have most statements left goes first; of several, the lowest opcode."""
    left = [[int(row[0]) for row in code.step] for code in codes]
    expected: list[int] = []
    while any(left):
        weights: dict[int, int] = {}
        for opcodes in filter(None, left):
            weights[opcodes[0]] = weights.get(opcodes[0], 0) + len(opcodes)
        expected.append(min(weights, key=lambda opcode: (-weights[opcode], opcode)))
        left = [opcodes[1:] if opcodes and opcodes[0] == expected[-1] else opcodes for opcodes in left]
    step = scripts(codes, grouped=True).step
    assert step.opcodes[: int(step.length)].tolist() == expected
