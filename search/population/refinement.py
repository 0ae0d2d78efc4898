"""Refinement: the constants of the best programs are tuned by an evolution strategy, within the budget of the search.

One program at a time is refined: the best one whose structure, the program without the values of its constants, has not
been refined. Candidates are the program with all constants of its live statements sampled anew; they are children of
the program and members of the population like others. After a generation of candidates has joined, the distribution
moves to the better ones. With up to ``look_ahead`` open tickets, candidates that were drawn before the last change of
the distribution take no part in the next one.

Constants between 0 and 1 are searched by the logarithm of their odds, the others by that of their size; 0 is not
changed. The covariance matrix is diagonal: a few generations are too few to learn a full one, and its arithmetic does
not depend on the linear algebra of the machine.

Source: Ros & Hansen 2008 (doi:10.1007/978-3-540-87700-4_30), as implemented by the package ``cmaes``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from optsearch.dsl.dataflow import liveness
from optsearch.dsl.program import Argument, Program, Statement, shortest
from optsearch.search.member import Member

if TYPE_CHECKING:
    from cmaes import SepCMA

REFINE = "refine"
"""Name of the change, in the place of a mutation's."""

ELITES = 16
"""Number of structures of lowest fitness among which the next program is chosen."""

NEAREST = 2.0**-24
"""Smallest distance of a constant between 0 and 1 from both."""

LARGEST_LOG = 99.0
"""Largest absolute binary logarithm of another constant, below that of ``LARGEST`` of mutations."""

Place = tuple[int, int]
"""Index of a statement, and position of its argument."""


class RefinementConfig(BaseModel):
    """Refinement of the constants of the best programs.

    Attributes:
        share: probability that a program is a candidate of the refinement, while there is one to refine.
        generations: number of generations of candidates for each program.
        step: initial standard deviation of the base-2 logarithm of a constant's factor.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    share: float = Field(default=0.1, gt=0.0, le=1.0, allow_inf_nan=False)
    generations: int = Field(default=10, ge=1, le=1000)
    step: float = Field(default=0.5, gt=0.0, le=8.0, allow_inf_nan=False)


def places_of(program: Program) -> tuple[Place, ...]:
    """Places of the constants of live statements other than 0."""
    alive = liveness(program).statements
    return tuple(
        (at, position)
        for at, statement in enumerate(program.body)
        for position, arg in enumerate(statement.args)
        if alive[at] and _is_searched(arg)
    )


def _is_searched(arg: Argument) -> bool:
    return not isinstance(arg, str) and arg != 0.0


def structure_of(program: Program) -> str:
    """Text of the live statements with all constants replaced by a mark."""
    alive = liveness(program).statements
    lines = (
        f"{target}={function}({','.join(arg if isinstance(arg, str) else '#' for arg in args)})"
        for (target, function, args), live in zip(program.body, alive, strict=True)
        if live
    )
    return ";".join((",".join(program.state), *lines))


@dataclass(slots=True)
class _Episode:
    """The program that is being refined.

    Attributes:
        elite: the program.
        places: its constants.
        strategy: distribution of the candidates.
        since: ticket with whose joining the distribution has changed last.
        told: candidates of this generation with their fitness.
    """

    elite: Member
    places: tuple[Place, ...]
    strategy: SepCMA
    since: int
    told: list[tuple[np.ndarray, float]] = field(default_factory=list[tuple[np.ndarray, float]])

    def is_candidate(self, program: Program) -> bool:
        """True if a program has constants at all places; a forged record may have others."""
        body = program.body
        return all(
            at < len(body) and position < len(body[at].args) and _is_searched(body[at].args[position])
            for at, position in self.places
        )

    def constants(self, program: Program) -> list[float]:
        """The constants of a candidate."""
        return [float(program.body[at].args[position]) for at, position in self.places]

    def coordinates(self, program: Program) -> np.ndarray:
        """The constants of a candidate as coordinates of the search."""
        own = self.constants(self.elite.program)
        pairs = zip(own, self.constants(program), strict=True)
        return np.array([_coordinate(constant, like) for like, constant in pairs])

    def candidate(self, point: np.ndarray) -> Program:
        """The program at a point of the search."""
        body = list(self.elite.program.body)
        for (at, position), value in zip(self.places, point, strict=True):
            target, function, args = body[at]
            constant = _constant(float(value), float(self.elite.program.body[at].args[position]))
            body[at] = Statement(target, function, (*args[:position], constant, *args[position + 1 :]))
        return Program(self.elite.program.state, tuple(body))


class Refinement:
    """Chooses programs, and samples candidates of their constants.

    Args:
        config: share, generations and step.
        look_ahead: maximum number of open tickets.
    """

    def __init__(self, config: RefinementConfig, look_ahead: int):
        self._config, self._look_ahead = config, look_ahead
        self._elites: dict[str, Member] = {}  # structure -> its best member
        self._refined: set[str] = set()
        self._episode: _Episode | None = None

    def join(self, member: Member, mutation: str, parent: int | None) -> None:
        """Notes a program that joins the population; tickets join in order.

        Args:
            member: the program and its fitness.
            mutation: description of its mutation.
            parent: ticket of its parent.
        """
        episode = self._episode
        if episode is not None and parent == episode.elite.ticket and mutation.partition(" ")[0] == REFINE:
            self._tell(episode, member)
        self._rank(member)
        if self._episode is None:
            self._begin(member.ticket)

    def child(self, rng: np.random.Generator) -> tuple[Member, Program, str] | None:
        """Samples a candidate with probability ``share``.

        Args:
            rng: random number generator; two numbers are consumed if there is a candidate, otherwise one.

        Returns:
            The program that is refined, the candidate, and the description of the change. None if the parent is to be
            selected and mutated as usual.
        """
        if rng.random() >= self._config.share or self._episode is None:
            return None
        episode = self._episode
        episode.strategy.reseed_rng(int(rng.integers(2**32)))
        program = episode.candidate(episode.strategy.ask())
        if program == episode.elite.program:
            return None
        return episode.elite, program, f"{REFINE} {len(episode.places)} constants of {episode.elite.ticket}"

    def _tell(self, episode: _Episode, member: Member) -> None:
        drawn_before = member.ticket - self._look_ahead < episode.since
        if drawn_before or not episode.is_candidate(member.program):
            return
        value = math.inf if member.fitness is None else member.fitness
        episode.told.append((episode.coordinates(member.program), value))
        if len(episode.told) < episode.strategy.population_size:
            return
        episode.strategy.tell(episode.told)
        episode.told, episode.since = [], member.ticket
        if episode.strategy.generation >= self._config.generations:
            self._episode = None

    def _rank(self, member: Member) -> None:
        """Notes the best members of the best structures."""
        if member.fitness is None:
            return
        worst = max((_rank_of(elite) for elite in self._elites.values()), default=(math.inf, 0))
        if len(self._elites) == ELITES and _rank_of(member) >= worst:
            return
        structure = structure_of(member.program)
        known = self._elites.get(structure)
        if known is None or _rank_of(member) < _rank_of(known):
            self._elites[structure] = member
        if len(self._elites) > ELITES:
            del self._elites[max(self._elites, key=lambda name: _rank_of(self._elites[name]))]

    def _begin(self, ticket: int) -> None:
        """Begins with the best program whose structure has not been refined, if there is one."""
        from cmaes import SepCMA

        fresh = [(_rank_of(elite), name) for name, elite in self._elites.items() if name not in self._refined]
        for _, name in sorted(fresh):
            self._refined.add(name)
            elite = self._elites[name]
            places = places_of(elite.program)
            if len(places) >= 2:  # the least that the package supports
                own = [float(elite.program.body[at].args[position]) for at, position in places]
                mean = np.array([_coordinate(constant, constant) for constant in own])
                self._episode = _Episode(elite, places, SepCMA(mean, self._config.step, seed=0), ticket)
                return


def _rank_of(member: Member) -> tuple[float, int]:
    return (math.inf if member.fitness is None else member.fitness), member.ticket


def _coordinate(constant: float, like: float) -> float:
    """Coordinate of a constant in the place of another one, whose range it has."""
    if 0.0 < like < 1.0:
        inside = min(max(constant, NEAREST), 1.0 - NEAREST)
        return math.log2(inside / (1.0 - inside))
    return math.log2(abs(constant))


def _constant(coordinate: float, like: float) -> float:
    """Constant at a coordinate in the place of another one."""
    if 0.0 < like < 1.0:
        inside = 1.0 / (1.0 + 2.0 ** min(max(-coordinate, -1000.0), 1000.0))
        return shortest(min(max(inside, NEAREST), 1.0 - NEAREST))
    return shortest(math.copysign(2.0 ** min(max(coordinate, -LARGEST_LOG), LARGEST_LOG), like))
