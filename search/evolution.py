"""Evolution that asks and tells: it draws programs and takes in their fitness; it knows no workers, disk or clock.

A parent to which no mutation applies is copied. Tickets are numbered: 0 is the warm start, which fills the population;
every later one is a child. Ticket ``k`` is drawn from the population as it is after tickets ``0 .. k - look_ahead``
have joined it in order, with random numbers that belong to ``(seed, name, k)`` alone. Up to ``look_ahead`` tickets are
therefore open at a time, whoever evaluates them and in whatever order they come back, and every run with one seed gives
the same population:

    while not evolution.finished:
        candidate = evolution.ask()          # None: tell something first
        if candidate and candidate.evaluate:
            evolution.tell(candidate.ticket, fitness_of(candidate.program))

Resuming needs the settled tickets of the last ``population + look_ahead`` places and the results, not the history.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.program import Program
from optsearch.search.events import Best, Candidate, Evaluated, Progress, Settled
from optsearch.search.fitness import Fitness
from optsearch.search.fitness_cache import FitnessCache
from optsearch.search.mutate import MutationError, Variation
from optsearch.search.population import Member, Population, PopulationConfig, population_digest, redundancy

PATIENCE = 20_000
"""Tickets in a row that may mean nothing new before a budget of evaluations counts as spent."""

SEARCH_VERSION = 4
"""Changes whenever one seed gives other programs; stored with every run, which goes on only with its own version."""

WARM_START = 0
"""Ticket of the warm start."""


class Budget(BaseModel):
    """How much a search may do; it ends at whichever limit it reaches first. The warm start is in neither count.

    Attributes:
        programs: programs generated; None for no limit.
        evaluations: evaluations, that is programs which no earlier one stands for; None for no limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    programs: int | None = Field(default=None, ge=1, le=1_000_000_000)
    evaluations: int | None = Field(default=None, ge=1, le=1_000_000_000)

    @model_validator(mode="after")
    def _limited(self) -> Budget:
        if self.programs is None and self.evaluations is None:
            raise ValueError("give programs, evaluations, or both")
        return self

    @property
    def counted(self) -> tuple[str, int]:
        """What progress is counted in, and the number at which the search ends: ``("programs", 10000)``."""
        return ("programs", self.programs) if self.programs else ("evaluations", self.evaluations or 1)


class ReplayError(RuntimeError):
    """Recorded results do not belong to the search that is resumed."""


@dataclass(frozen=True, slots=True)
class History:
    """What a search needs to go on where it stopped.

    Attributes:
        settled: number of tickets settled, that is the highest ticket number; -1 for a search that has not begun.
        tail: the last ``population + look_ahead`` settled tickets in order (fewer when there are fewer).
        evaluated: every result, whether its ticket is settled or not, in any order.
        warm_start: the warm start's fitness; None when not known.
    """

    settled: int
    tail: Sequence[Settled]
    evaluated: Iterable[Evaluated]


class Evolution:
    """Regularized evolution in ticket order.

    Args:
        warm_start: the program that fills the population.
        name: name of this search within its run; searches of one run with different names draw different numbers.
        seed: seed of the search.
        population: size and tournament.
        look_ahead: tickets that may be open at a time; part of the search, since it decides who can be a parent.
        variation: how children are made: a mutator, one of constants alone for the hyper-parameter control, or random
            programs.
        budget: when to stop.
        history: where to go on; None to begin.
    """

    def __init__(
        self,
        warm_start: Program,
        *,
        name: str,
        seed: int,
        population: PopulationConfig,
        look_ahead: int,
        variation: Variation,
        budget: Budget,
        history: History | None = None,
    ):
        if look_ahead < 1:
            raise ValueError(f"look_ahead must be at least 1, got {look_ahead}")
        self._warm_start, self._budget, self._variation = warm_start, budget, variation
        self._look_ahead, self._population_config = look_ahead, population
        self._key = np.frombuffer(hashlib.sha256(f"{name}:{seed}".encode()).digest()[:16], dtype=np.uint64)
        self._population: Population | None = None
        self._cache = FitnessCache()
        self._window: deque[Candidate] = deque()  # drawn, not yet in the population
        self._known: dict[int, Evaluated] = {}  # results of an earlier session, for tickets not drawn again yet
        self._news: list[Settled] = []
        self._drawn = self._settled = -1
        self._evaluations = self._hits = 0
        self._newest = WARM_START  # the latest ticket that means something new
        self._outcomes: Counter[str] = Counter()
        self._results = 0
        self._best: Best | None = None
        self._best_rank: tuple[tuple[float, ...], int] | None = None
        self._warm_fitness: Fitness | None = None
        if history is not None:
            self._restore(history)

    @property
    def drawn_all(self) -> bool:
        """Whether the budget is spent: no ticket will be drawn any more."""
        programs, evaluations = self._budget.programs, self._budget.evaluations
        return self._drawn >= 0 and (
            (programs is not None and self._drawn >= programs)
            or (evaluations is not None and self._evaluations >= evaluations)
            or (evaluations is not None and self._drawn - self._newest >= PATIENCE)
        )

    @property
    def finished(self) -> bool:
        """Whether the budget is spent and every result has been told."""
        return self.drawn_all and self._settled == self._drawn

    @property
    def progress(self) -> Progress:
        """Counts and the best program so far."""
        warm = None if self._warm_fitness is None else self._warm_fitness.value
        generated = max(self._settled, 0)
        return Progress(generated, self._results, self._hits, dict(self._outcomes), self._best, warm, self.finished)

    @property
    def warm_start_fitness(self) -> Fitness | None:
        """The warm start's fitness; None before it is known."""
        return self._warm_fitness

    def ask(self) -> Candidate | None:
        """Draws the next ticket.

        Returns:
            The candidate; somebody has to evaluate it if it says so. None when the budget is spent, or when a result
            has to be told first.
        """
        ticket = self._drawn + 1
        if self.drawn_all or (ticket > WARM_START and self._settled < max(WARM_START, ticket - self._look_ahead)):
            return None
        if ticket == WARM_START:
            candidate = self._candidate(ticket, None, "warm start", self._warm_start)
        else:
            self._join(ticket - self._look_ahead)
            if self._population is None:  # the warm start is settled, so it has joined
                raise ReplayError("the warm start has not joined the population")
            rng = np.random.Generator(np.random.Philox(key=self._key, counter=[0, 0, 0, ticket]))
            parent = self._population.select(rng)
            try:
                child, change = self._variation.mutate(rng, parent.program)
                mutation = str(change)
            except MutationError:
                child, mutation = parent.program, "none"
            inherited = parent.ticket if self._variation.inherits else None
            candidate = self._candidate(ticket, inherited, mutation, child)
        self._drawn = ticket
        self._window.append(candidate)
        if not candidate.is_hit and ticket != WARM_START:
            self._evaluations += 1
            self._newest = ticket
        self._settle()
        return candidate

    def tell(self, ticket: int, fitness: Fitness) -> None:
        """Takes in the result of a ticket that had to be evaluated.

        Args:
            ticket: a ticket that ``ask`` gave with ``evaluate``.
            fitness: its result.

        Raises:
            ValueError: the ticket was not drawn, or its result is known.
        """
        if ticket > self._drawn or self._cache.get(ticket) is not None:
            raise ValueError(f"ticket {ticket} does not wait for a result")
        self._note(ticket, fitness)
        self._settle()

    def take_settled(self) -> list[Settled]:
        """Tickets that were settled since the last call, in order."""
        news, self._news = self._news, []
        return news

    def members(self) -> tuple[Member, ...]:
        """The population after every settled ticket has joined, the oldest first; empty before the warm start has."""
        if self._population is None:
            return ()
        size = self._population_config.size
        joining = [self._member(candidate) for candidate in self._window if candidate.ticket <= self._settled]
        return (*self._population.members(), *joining)[-size:]

    def population_digest(self) -> str:
        """Name of the population as it is in ``members``."""
        return population_digest((str(member.program), member.fitness) for member in self.members())

    def redundancy(self) -> float | None:
        """Share of the population's statements that cannot influence their update; None before there is one."""
        return redundancy(member.program for member in self.members())

    def _candidate(self, ticket: int, parent: int | None, mutation: str, program: Program) -> Candidate:
        meaning = fingerprint(program)
        owner = self._cache.owner(meaning, ticket)
        known = self._known.pop(ticket, None)
        if known is not None:
            if owner != ticket or known.fingerprint != meaning:
                raise ReplayError(
                    f"ticket {ticket} was evaluated as {known.fingerprint} and is now drawn as {meaning}: "
                    "the run was made by another version of this program or another search"
                )
            self._note(ticket, known.fitness)
        evaluate = owner == ticket and known is None
        return Candidate(ticket, parent, mutation, program, meaning, owner, evaluate)

    def _note(self, ticket: int, fitness: Fitness) -> None:
        self._cache.put(ticket, fitness)
        if ticket == WARM_START:
            self._warm_fitness = fitness
        else:
            self._results += 1
            self._outcomes[fitness.outcome] += 1
        rank = fitness.key, ticket
        if fitness.trained and fitness.value is not None and (self._best_rank is None or rank < self._best_rank):
            self._best, self._best_rank = Best(ticket, fitness.value), rank

    def _settle(self) -> None:
        while self._settled < self._drawn:
            candidate = self._window[self._settled + 1 - self._window[0].ticket]
            fitness = self._cache.get(candidate.owner)
            if fitness is None:
                return
            self._settled += 1
            self._hits += candidate.is_hit
            self._news.append(Settled(candidate, fitness))
            if candidate.ticket == WARM_START:
                self._join(WARM_START)

    def _join(self, last: int) -> None:
        """Moves the window's tickets up to ``last`` into the population."""
        while self._window and self._window[0].ticket <= last:
            candidate = self._window.popleft()
            member = self._member(candidate)
            if self._population is None:
                self._population = Population(member, self._population_config)
            else:
                self._population.add(member)

    def _member(self, candidate: Candidate) -> Member:
        fitness = self._cache.get(candidate.owner)
        value = fitness.value if fitness is not None and fitness.trained else None
        return Member(candidate.ticket, candidate.program, value)

    def _restore(self, history: History) -> None:
        """Puts the search where its history ends, without drawing the settled tickets again."""
        results = {result.ticket: result for result in history.evaluated}
        settled = history.settled
        if settled < 0:
            self._known = results
            return
        for ticket in sorted(results):
            result = results[ticket]
            if ticket > settled:
                self._known[ticket] = result
            else:
                if self._cache.owner(result.fingerprint, ticket) != ticket:
                    raise ReplayError(
                        f"tickets {ticket} and an earlier one were both evaluated as {result.fingerprint}"
                    )
                self._note(ticket, result.fitness)
        if self._warm_fitness is None:
            raise ReplayError("the warm start's evaluation is missing")
        owners = [ticket for ticket in results if WARM_START < ticket <= settled]
        self._evaluations, self._newest = len(owners), max(owners, default=WARM_START)
        self._hits = max(settled, 0) - self._evaluations
        self._drawn = self._settled = settled
        joined = max(settled - self._look_ahead, WARM_START)
        self._population = Population(
            Member(WARM_START, self._warm_start, self._warm_fitness.value), self._population_config
        )
        wanted = range(max(joined - self._population_config.size + 1, 1), settled + 1)
        tail = [item for item in history.tail if item.candidate.ticket in wanted]
        if [item.candidate.ticket for item in tail] != list(wanted):
            raise ReplayError(f"the tickets {wanted.start} to {settled} are not all there")
        for item in tail:
            candidate = item.candidate
            if self._cache.get(candidate.owner) is None:
                raise ReplayError(f"ticket {candidate.ticket} is settled, but the result of its owner is missing")
            self._window.append(candidate)
        self._join(joined)
