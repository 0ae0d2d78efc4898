"""Refinement finds constants, of one structure after the other, and depends on the joined tickets alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program, Statement
from optsearch.dsl.syntax import parse
from optsearch.dsl.verify import verify
from optsearch.search.member import Member
from optsearch.search.population.refinement import (
    ELITES,
    LARGEST_LOG,
    REFINE,
    Refinement,
    RefinementConfig,
    _constant,
    _coordinate,
    places_of,
    structure_of,
)

ADAMW = LIBRARY["adamw"]
TARGET = np.array([0.6, -2.0, 3.0, -1.5])


def distance(program: Program) -> float:
    """A fitness that depends on the constants alone; AdamW's are not the best."""
    constants = [float(program.body[at].args[position]) for at, position in places_of(program)]
    own = [float(ADAMW.body[at].args[position]) for at, position in places_of(ADAMW)]
    moved = [_coordinate(c, like) - _coordinate(like, like) for c, like in zip(constants, own, strict=True)]
    return float(sum((moved - TARGET) ** 2))


def refine(config: RefinementConfig, look_ahead: int, tickets: int) -> list[tuple[int, Program, float]]:
    """Candidates of AdamW in ticket order, of which each joins when ``look_ahead`` later ones have been drawn."""
    refinement = Refinement(config, look_ahead)
    refinement.join(Member(0, ADAMW, distance(ADAMW)), "", None)
    drawn: list[tuple[int, Program, float]] = []
    for ticket in range(1, tickets + 1):
        if ticket > look_ahead:
            joined, program, fitness = drawn[ticket - look_ahead - 1]
            refinement.join(Member(joined, program, fitness), f"{REFINE} 4 constants of 0", 0)
        found = refinement.child(np.random.default_rng(ticket))
        if found is None:
            break
        elite, program, change = found
        assert (elite.ticket, change) == (0, f"{REFINE} 4 constants of 0")
        verify(program)
        drawn.append((ticket, program, distance(program)))
    return drawn


@pytest.mark.parametrize("look_ahead", [1, 16])
def test_constants_approach_the_best(look_ahead: int) -> None:
    drawn = refine(RefinementConfig(share=1.0, generations=40), look_ahead, 600)
    assert min(fitness for _, _, fitness in drawn) < 0.02 * distance(ADAMW)
    programs = [str(program) for _, program, _ in drawn]
    assert len(set(programs)) == len(programs)


def test_it_ends_after_its_generations() -> None:
    assert len(refine(RefinementConfig(share=1.0, generations=3), 1, 600)) == 3 * (4 + int(3 * math.log(4)))


def test_only_live_constants_other_than_zero_change() -> None:
    program = parse(
        "def train(w, g, m, lr):\n  x = g * 3.0\n  m = interp(g, m, 0.9)\n  y = m + 0.0\n  update = y * 0.5\n"
        "  update = update * -2.0\n  return update, m\n"
    )
    assert places_of(program) == ((1, 2), (3, 1), (4, 1))
    refinement = Refinement(RefinementConfig(share=1.0), 1)
    refinement.join(Member(0, program, 1.0), "", None)
    _, child, _ = refinement.child(np.random.default_rng(0)) or pytest.fail("no candidate")
    assert (child.body[0], child.body[2]) == (program.body[0], program.body[2])
    decay, half, minus = (float(child.body[at].args[position]) for at, position in places_of(program))
    assert 0.0 < decay < 1.0
    assert 0.0 < half < 1.0
    assert minus < 0.0


def test_each_structure_is_refined_once_and_the_best_first() -> None:
    refinement = Refinement(RefinementConfig(share=1.0, generations=1), 1)
    lion, adamw, sgd = (Member(t, LIBRARY[n], f) for t, n, f in [(1, "lion", 0.2), (2, "adamw", 0.1), (3, "sgd", None)])
    refinement.join(sgd, "insert", 0)
    assert refinement.child(np.random.default_rng(0)) is None  # it has not trained
    refinement.join(lion, "insert", 0)
    refinement.join(adamw, "insert", 0)
    order: list[int] = []
    for ticket in range(10, 60):
        found = refinement.child(np.random.default_rng(ticket))
        if found is None:
            break
        order.append(found[0].ticket)
        refinement.join(Member(ticket, found[1], 0.05), found[2], found[0].ticket)
    assert list(dict.fromkeys(order)) == [1, 2]
    assert refinement.child(np.random.default_rng(0)) is None


def test_programs_that_failed_count_as_the_worst() -> None:
    refinement = Refinement(RefinementConfig(share=1.0, generations=2), 1)
    refinement.join(Member(0, ADAMW, 1.0), "", None)
    for ticket in range(1, 9):
        found = refinement.child(np.random.default_rng(ticket))
        assert found is not None
        refinement.join(Member(ticket, found[1], None), found[2], 0)


def test_forged_candidates_are_ignored() -> None:
    refinement = Refinement(RefinementConfig(share=1.0, generations=1), 1)
    refinement.join(Member(0, ADAMW, 1.0), "", None)
    for ticket, name in enumerate(["sgd", "lion", "rmsprop", "muon"] * 9, start=1):
        refinement.join(Member(ticket, LIBRARY[name], 2.0), f"{REFINE} 4 constants of 0", 0)
    elite, *_ = refinement.child(np.random.default_rng(0)) or pytest.fail("the generation has ended")
    assert elite.ticket == 0


def test_a_structure_is_a_program_without_its_constants() -> None:
    line = ADAMW.body[1]
    other = Program(
        ADAMW.state, (ADAMW.body[0], Statement(line.target, line.function, (*line.args[:2], 0.5)), *ADAMW.body[2:])
    )
    assert structure_of(other) == structure_of(ADAMW)
    assert structure_of(LIBRARY["lion"]) != structure_of(ADAMW)


@given(st.floats(-1e29, 1e29, allow_subnormal=False), st.floats(-2000, 2000))
def test_every_point_is_a_valid_constant_of_the_same_kind(like: float, moved: float) -> None:
    if abs(like) < 1e-29:
        return
    constant = _constant(_coordinate(like, like) + moved, like)
    assert math.isfinite(constant)
    assert constant != 0.0
    assert (constant > 0.0) == (like > 0.0)
    assert (0.0 < constant < 1.0) == (0.0 < like < 1.0) or not 0.0 < like < 1.0
    assert abs(math.log2(abs(constant))) <= LARGEST_LOG + 1e-3
    back = _constant(_coordinate(like, like), like)
    if not 0.0 < like < 1.0:
        assert back == pytest.approx(like, rel=1e-5)


def test_the_number_of_elites_is_bounded() -> None:
    refinement = Refinement(RefinementConfig(), 1)
    for number in range(3 * ELITES):
        lines = "".join(f"  update = update * {k}.5\n" for k in range(1, number + 2))
        program = parse(f"def train(w, g, lr):\n  update = g * lr\n{lines}  return update\n")
        refinement.join(Member(number, program, 1.0 - number / 100), "insert", 0)
    assert len(refinement._elites) == ELITES
    assert {member.ticket for member in refinement._elites.values()} == set(range(2 * ELITES, 3 * ELITES))
