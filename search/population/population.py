"""The ageing population: a queue from which parents are selected by tournament.

All members are removed at the same age, regardless of fitness. A lineage survives only if it is selected repeatedly,
which prevents premature convergence to one lucky evaluation.

Source: Real et al. 2019 (arXiv:1802.01548); Chen et al. 2023 (arXiv:2302.06675), section 2.2.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from optsearch.dsl.dataflow import liveness
from optsearch.dsl.program import Program
from optsearch.search.member import Member
from optsearch.search.scoring.fitness import Gate


class PopulationConfig(BaseModel):
    """Size of the population and of a tournament.

    Attributes:
        size: number of members.
        tournament: number of members sampled with replacement, of which the best becomes the parent; 1 gives a random
            walk.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    size: int = Field(default=1000, ge=1, le=1_000_000)
    tournament: int = Field(default=2, ge=1, le=1_000_000)

    @model_validator(mode="after")
    def _tournament_fits(self) -> PopulationConfig:
        if self.tournament > self.size:
            raise ValueError(f"tournament is {self.tournament}, but the population has only {self.size} members")
        return self


Handicap = Callable[[Member], float]
"""What a member's fitness is raised by in tournaments."""


class Population:
    """A ring buffer of ``size`` members in age order; adding a member drops the oldest.

    Args:
        founder: the warm start, which initially fills the buffer.
        config: size and tournament.
    """

    def __init__(self, founder: Member, config: PopulationConfig):
        self._config = config
        self._members = [founder] * config.size
        self._oldest = 0

    def add(self, member: Member) -> None:
        """Appends a member and drops the oldest."""
        self._members[self._oldest] = member
        self._oldest = (self._oldest + 1) % len(self._members)

    def select(self, rng: np.random.Generator, handicap: Handicap | None = None) -> Member:
        """Selects a parent by tournament.

        Members are sampled uniformly with replacement. The lowest fitness wins; ties are broken in favour of the
        younger member, so that neutral mutations spread, which enables later improvements.

        Args:
            rng: random number generator; exactly ``tournament`` numbers are consumed.
            handicap: added to the fitness of each sampled member. Defaults to none.

        Returns:
            The winner of the tournament.
        """
        members, oldest, size = self._members, self._oldest, len(self._members)
        draws = (rng.random(self._config.tournament) * size).astype(np.int64).tolist()
        best_age, best_fitness, winner = -1, float("inf"), members[oldest]
        for age in draws:  # position from the oldest: larger means younger
            member = members[(oldest + age) % size]
            fitness = float("inf") if member.fitness is None else member.fitness
            fitness += 0.0 if handicap is None else handicap(member)
            if fitness < best_fitness or (fitness == best_fitness and age > best_age):
                best_age, best_fitness, winner = age, fitness, member
        return winner

    def best(self, share: float) -> Gate:
        """Returns the fitness, and with several tasks the loss on each, that the best ``share`` of the members have.

        A member without a fitness, or whose loss on a task is unknown, is the worst there.
        """
        members, tasks = self._members, max(len(member.losses) for member in self._members)
        place = math.ceil(share * len(members)) - 1
        fitness = sorted(math.inf if member.fitness is None else member.fitness for member in members)
        losses = (
            sorted(member.losses[i] if i < len(member.losses) else math.inf for member in members) for i in range(tasks)
        )
        return Gate(fitness[place], tuple(each[place] for each in losses))

    def members(self) -> tuple[Member, ...]:
        """Returns all members, oldest first."""
        return (*self._members[self._oldest :], *self._members[: self._oldest])


def population_digest(members: Iterable[tuple[str, float | None]]) -> str:
    """Computes the SHA-256 digest of a population, from programs and fitness in order.

    Args:
        members: program text and fitness of each member, oldest first.

    Returns:
        64 hexadecimal digits; independent of the machine.
    """
    digest = hashlib.sha256()
    for text, fitness in members:
        record = f"{text}{'none' if fitness is None else fitness.hex()}\n".encode()
        digest.update(f"{len(record)}:".encode())
        digest.update(record)
    return digest.hexdigest()


def redundancy(programs: Iterable[Program]) -> float | None:
    """Computes the share of dead statements, which cannot influence the update; None if there are no statements.

    Changes of dead statements cause cache hits: Chen et al. 2023 report 70 % at the end of a search.
    """
    total = live = 0
    for program in programs:
        alive = liveness(program).statements
        total, live = total + len(alive), live + sum(alive)
    return 1.0 - live / total if total else None
