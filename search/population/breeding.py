"""Breeding: what has joined the population, and the children that are generated from it.

`Methods` are the extensions of the published evolution that a campaign may use; without them a parent is selected by
tournament and mutated. Everything that they remember follows from the tickets that have joined, in order, so that a
search resumes by letting its recorded tickets join again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from optsearch.dsl.program import Program
from optsearch.search.events import Candidate
from optsearch.search.member import Member
from optsearch.search.population.adaptation import Adaptation, AdaptationConfig
from optsearch.search.population.archive import Archive, ArchiveConfig
from optsearch.search.population.parsimony import Parsimony, ParsimonyConfig
from optsearch.search.population.population import Population, PopulationConfig
from optsearch.search.population.refinement import REFINE, Refinement, RefinementConfig
from optsearch.search.scoring.fitness import Gate
from optsearch.search.variation.mutate import MutationError, Variation


@dataclass(frozen=True, slots=True)
class Methods:
    """Extensions of the published evolution; None for each that is off.

    Attributes:
        archive: selects a share of the parents from the Pareto front.
        adaptation: adapts the mutation weights.
        refinement: refines the constants of the best programs.
        parsimony: handicap of programs with a common length.
        gate: share of the population that sets the gate of races.
    """

    archive: ArchiveConfig | None = None
    adaptation: AdaptationConfig | None = None
    refinement: RefinementConfig | None = None
    parsimony: ParsimonyConfig | None = None
    gate: float | None = None

    @property
    def remember(self) -> bool:
        """True if a search needs all its tickets to resume, not only those of the population."""
        return not (self.archive is None and self.adaptation is None and self.refinement is None)


class Child(NamedTuple):
    """A generated program.

    Attributes:
        parent: ticket of the program on which it depends; None if it depends on none.
        mutation: description of the mutation.
        program: the program.
    """

    parent: int | None
    mutation: str
    program: Program


class Breeding:
    """The population with the methods of a search.

    Args:
        founder: the warm start, which fills the population.
        population: size and tournament.
        look_ahead: maximum number of open tickets.
        variation: variation operator.
        methods: extensions.
    """

    def __init__(
        self, founder: Member, population: PopulationConfig, look_ahead: int, variation: Variation, methods: Methods
    ):
        self._variation, self._gate = variation, methods.gate
        self._population = Population(founder, population)
        self._archive = None if methods.archive is None else Archive(founder, methods.archive)
        self._adaptation = None if methods.adaptation is None else Adaptation(methods.adaptation)
        self._refinement = None if methods.refinement is None else Refinement(methods.refinement, look_ahead)
        common = methods.parsimony
        self._parsimony = None if common is None else Parsimony(founder, population.size, common)
        self._joined = {founder.ticket: founder.fitness}  # of all tickets that have joined, for adaptation
        if self._refinement is not None:
            self._refinement.join(founder, "", None)

    def join(self, candidate: Candidate, member: Member) -> None:
        """Adds the next ticket, and drops the oldest member."""
        self._population.add(member)
        if self._parsimony is not None:
            self._parsimony.add(member)
        if self._archive is not None:
            self._archive.add(member, candidate.parent)
        if self._adaptation is not None:
            self._credit(self._adaptation, candidate, member.fitness)
        if self._refinement is not None:
            self._refinement.join(member, candidate.mutation, candidate.parent)

    def child(self, rng: np.random.Generator) -> Child:
        """Generates a child; a copy of the parent if no mutation applies to it."""
        refined = None if self._refinement is None else self._refinement.child(rng)
        if refined is not None:
            elite, program, change = refined
            return Child(elite.ticket, change, program)
        parent = self._select(rng)
        factors = {} if self._adaptation is None else self._adaptation.factors
        inherited = parent.ticket if self._variation.inherits else None
        try:
            child, mutation = self._variation.mutate(rng, parent.program, mate=self._tournament, factors=factors)
        except MutationError:
            return Child(inherited, "none", parent.program)
        return Child(inherited, str(mutation), child)

    @property
    def gate(self) -> Gate | None:
        """Gate of the race of the next child; None if the population does not set it."""
        return None if self._gate is None else self._population.best(self._gate)

    def members(self) -> tuple[Member, ...]:
        """Returns the members of the population, oldest first."""
        return self._population.members()

    def _select(self, rng: np.random.Generator) -> Member:
        archived = None if self._archive is None else self._archive.select(rng)
        return self._tournament(rng) if archived is None else archived

    def _tournament(self, rng: np.random.Generator) -> Member:
        return self._population.select(rng, None if self._parsimony is None else self._parsimony.handicap)

    def _credit(self, adaptation: Adaptation, candidate: Candidate, fitness: float | None) -> None:
        """Notes whether an evaluated child is better than its parent."""
        self._joined[candidate.ticket] = fitness
        mutation = candidate.mutation.partition(" ")[0]
        if candidate.parent is not None and not candidate.is_hit and mutation != REFINE:
            before = self._joined[candidate.parent]
            adaptation.note(mutation, fitness is not None and (before is None or fitness < before))
