"""The archive is the Pareto front of the search, and a share of the parents comes from it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from pydantic import ValidationError

from optsearch.dsl.generate import random_program
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program, Statement
from optsearch.search.archive import Archive, ArchiveConfig, size_of
from optsearch.search.population import Member


@pytest.mark.parametrize(("name", "state"), [("sgd", 0), ("adamw", 2), ("lion", 1), ("adafactor", 0)])
def test_size_counts_whole_arrays_of_state_and_live_statements(name: str, state: int) -> None:
    assert size_of(LIBRARY[name]) == (state, len(LIBRARY[name].body))  # library programs have no dead statements
    dead = Program((*LIBRARY[name].state, "s"), (Statement("s", "add", ("s", "g")), *LIBRARY[name].body))
    assert size_of(dead) == size_of(LIBRARY[name])


@pytest.mark.parametrize(
    "objectives", [["loss"], ["loss", "state"], ["statements", "loss"], ["loss", "state", "statements"]]
)
def test_the_archive_is_the_front_by_brute_force(objectives: list[str]) -> None:
    config = ArchiveConfig(objectives=objectives)
    rng = np.random.default_rng(0)
    founder = Member(0, LIBRARY["adamw"], 0.6)
    members = [founder]
    for ticket in range(1, 150):
        fitness = None if rng.random() < 0.1 else round(float(rng.random()), 1)
        members.append(Member(ticket, random_program(rng, statements=int(rng.integers(1, 9))), fitness))
    archive = Archive(founder, config)
    for member in members[1:]:
        archive.add(member)

    def point(member: Member) -> tuple[float, ...]:
        size = size_of(member.program)
        values = {"loss": member.fitness or 0.0, "state": size.state, "statements": size.statements}
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
    archive.add(Member(1, LIBRARY["sgd"], 0.5))  # smaller
    archive.add(Member(2, LIBRARY["lion"], 0.6))  # worse than the warm start
    rng = np.random.default_rng(0)
    drawn = [archive.select(rng) for _ in range(4000)]
    tickets = [member.ticket for member in drawn if member is not None]
    assert len(tickets) / 4000 == pytest.approx(0.25, abs=0.03)
    assert set(tickets) == {1}  # it dominates the warm start


@pytest.mark.parametrize("bad", [{"objectives": ["state"]}, {"objectives": ["loss", "loss"]}, {"share": 0.0}, {"x": 1}])
def test_settings_are_checked(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ArchiveConfig(**bad)
