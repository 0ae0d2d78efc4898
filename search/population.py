"""The ageing population: a queue from which parents are drawn by tournament.

Like a queue at a counter, everybody leaves after the same time, however good; a line of descent survives only by being
picked again and again. This is what keeps a search from settling on one lucky evaluation.

Source: Real et al. 2019 (arXiv:1802.01548); Chen et al. 2023 (arXiv:2302.06675), section 2.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from optsearch.dsl.dataflow import liveness
from optsearch.dsl.program import Program


class PopulationConfig(BaseModel):
    """Size of the population and of a tournament.

    Attributes:
        size: programs that are alive at a time.
        tournament: members drawn, with replacement, of which the best becomes the parent; 1 is a random walk.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    size: int = Field(default=1000, ge=1, le=1_000_000)
    tournament: int = Field(default=2, ge=1, le=1_000_000)

    @model_validator(mode="after")
    def _tournament_fits(self) -> PopulationConfig:
        if self.tournament > self.size:
            raise ValueError(f"tournament is {self.tournament}, but the population has only {self.size} members")
        return self


@dataclass(frozen=True, slots=True)
class Member:
    """One living program.

    Attributes:
        ticket: the ticket that made it; 0 for the warm start.
        program: the program.
        fitness: lower is better; None for a program that did not train, which loses every tournament.
    """

    ticket: int
    program: Program
    fitness: float | None


class Population:
    """A ring of ``size`` members in age order; adding one drops the oldest.

    Args:
        founder: the warm start; it fills every place at first.
        config: size and tournament.
    """

    def __init__(self, founder: Member, config: PopulationConfig):
        self._config = config
        self._members = [founder] * config.size
        self._oldest = 0

    def add(self, member: Member) -> None:
        """Append a member and drop the oldest."""
        self._members[self._oldest] = member
        self._oldest = (self._oldest + 1) % len(self._members)

    def select(self, rng: np.random.Generator) -> Member:
        """The winner of one tournament.

        Members are drawn uniformly with replacement. The lowest fitness wins; among equals the younger wins, so that
        rewritings which change nothing spread (they are the stepping stones of the search).

        Args:
            rng: source of the draws; exactly ``tournament`` numbers are used.

        Returns:
            The winner.
        """
        members, oldest, size = self._members, self._oldest, len(self._members)
        draws = (rng.random(self._config.tournament) * size).astype(np.int64).tolist()
        best_age, best_fitness, winner = -1, float("inf"), members[oldest]
        for age in draws:  # age counts from the oldest, so that a larger one is younger
            member = members[(oldest + age) % size]
            fitness = float("inf") if member.fitness is None else member.fitness
            if fitness < best_fitness or (fitness == best_fitness and age > best_age):
                best_age, best_fitness, winner = age, fitness, member
        return winner

    def members(self) -> tuple[Member, ...]:
        """All members, the oldest first."""
        return (*self._members[self._oldest :], *self._members[: self._oldest])


def population_digest(members: Iterable[tuple[str, float | None]]) -> str:
    """A name for a population: equal for equal programs and fitness in equal order, whatever machine made it.

    Args:
        members: program text and fitness of each member, the oldest first.

    Returns:
        64 hex digits.
    """
    digest = hashlib.sha256()
    for text, fitness in members:
        record = f"{text}{'none' if fitness is None else fitness.hex()}\n".encode()
        digest.update(f"{len(record)}:".encode())
        digest.update(record)
    return digest.hexdigest()


def redundancy(programs: Iterable[Program]) -> float | None:
    """Share of the statements of programs that cannot influence their update; None for no statements.

    They are what makes cache hits: Chen et al. 2023 report 70 % at the end of a search.
    """
    total = live = 0
    for program in programs:
        alive = liveness(program).statements
        total, live = total + len(alive), live + sum(alive)
    return 1.0 - live / total if total else None
