"""The archive is the Pareto front of the search, and a share of the parents comes from it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from pydantic import ValidationError

from optsearch.dsl.generate import random_program
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program, Statement
from optsearch.search.member import Member
from optsearch.search.population.archive import Archive, ArchiveConfig, size_of


@pytest.mark.parametrize(("name", "state"), [("sgd", 0), ("adamw", 2), ("lion", 1), ("adafactor", 0)])
def test_size_counts_whole_arrays_of_state_and_live_statements(name: str, state: int) -> None:
    assert size_of(LIBRARY[name]) == (state, len(LIBRARY[name].body))  # library programs have no dead statements
    dead = Program((*LIBRARY[name].state, "s"), (Statement("s", "add", ("s", "g")), *LIBRARY[name].body))
    assert size_of(dead) == size_of(LIBRARY[name])


@pytest.mark.parametrize(
    "objectives",
    [
        ["loss"],
        ["loss", "state"],
        ["statements", "loss"],
        ["loss", "state", "statements"],
        ["loss", "age"],
        ["loss", "state", "statements", "age"],
    ],
)
def test_the_archive_is_the_front_by_brute_force(objectives: list[str]) -> None:
    config = ArchiveConfig(objectives=objectives, newcomers=0.1 if "age" in objectives else 0.0)
    rng = np.random.default_rng(0)
    founder = Member(0, LIBRARY["adamw"], 0.6)
    members, parents = [founder], [None]
    for ticket in range(1, 150):
        fitness = None if rng.random() < 0.1 else round(float(rng.random()), 1)
        members.append(Member(ticket, random_program(rng, statements=int(rng.integers(1, 9))), fitness))
        parents.append(int(rng.integers(-1, ticket)))
    parents = [None if parent == -1 else parent for parent in parents]
    archive = Archive(founder, config)
    for member, parent in zip(members[1:], parents[1:], strict=True):
        archive.add(member, parent)

    def line(ticket: int) -> int:
        return ticket if parents[ticket] in (None, 0) else line(parents[ticket])

    def point(member: Member) -> tuple[float, ...]:
        size = size_of(member.program)
        age = -line(member.ticket)
        values = {"loss": member.fitness or 0.0, "state": size.state, "statements": size.statements, "age": age}
        return tuple(values[name] for name in objectives)

    allowed = [member for member in members if member.fitness is not None and member.fitness <= 0.6]
    front = []
    for member in allowed:
        beaten = any(
            all(a <= b for a, b in zip(point(other), point(member), strict=True))
            and (point(other) != point(member) or other.ticket < member.ticket)
            for other in allowed
            if other is not member
        )
        if not beaten:
            front.append(member.ticket)
    assert sorted(member.ticket for member in archive.members()) == front
    assert len(front) >= 1
    for one, other in itertools.permutations(archive.members(), 2):
        assert not all(a <= b for a, b in zip(point(one), point(other), strict=True))


def test_a_share_of_the_parents_is_drawn_uniformly_from_the_front() -> None:
    archive = Archive(Member(0, LIBRARY["adamw"], 0.5), ArchiveConfig(share=0.25))
    archive.add(Member(1, LIBRARY["sgd"], 0.5), 0)  # smaller
    archive.add(Member(2, LIBRARY["lion"], 0.6), 0)  # worse than the warm start
    rng = np.random.default_rng(0)
    drawn = [archive.select(rng) for _ in range(4000)]
    tickets = [member.ticket for member in drawn if member is not None]
    assert len(tickets) / 4000 == pytest.approx(0.25, abs=0.03)
    assert set(tickets) == {1}  # it dominates the warm start


def test_young_lines_are_kept_beside_old_ones_that_are_better() -> None:
    """A child of the warm start begins a line; the front has the best program of each age."""
    config = ArchiveConfig(share=0.25, objectives=["loss", "age"], newcomers=0.5)
    archive = Archive(Member(0, LIBRARY["adamw"], 0.5), config)
    for ticket, fitness, parent in [
        (1, 0.4, 0),
        (2, 0.3, 1),
        (3, 0.45, 0),
        (4, 0.35, 3),
        (5, 0.36, 1),
        (6, 0.49, None),
    ]:
        archive.add(Member(ticket, LIBRARY["sgd"], fitness), parent)
    assert [member.ticket for member in archive.members()] == [2, 4, 6]
    rng = np.random.default_rng(0)
    drawn = [member and member.ticket for member in (archive.select(rng) for _ in range(4000))]
    assert drawn.count(0) / 4000 == pytest.approx(0.5, abs=0.03)
    assert drawn.count(None) / 4000 == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize(
    "bad",
    [
        {"objectives": ["state"]},
        {"objectives": ["loss", "loss"]},
        {"share": 0.0},
        {"x": 1},
        {"newcomers": 0.1},
        {"objectives": ["loss", "age"]},
        {"objectives": ["loss", "age"], "share": 0.6, "newcomers": 0.5},
    ],
)
def test_settings_are_checked(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ArchiveConfig(**bad)
