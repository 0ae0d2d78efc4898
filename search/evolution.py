"""Regularized evolution with an ask/tell interface, independent of workers, disk and clock.

Programs are numbered by tickets. Ticket 0 is the warm start, which fills the population; all later tickets are
children. Ticket ``k`` is generated from the population after tickets ``0 .. k - look_ahead`` have joined it in order,
with a random stream keyed by ``(seed, name, k)``. Up to ``look_ahead`` tickets can therefore be open at a time, and the
population depends only on the seed, not on the workers or the order of results. If no mutation applies to a parent, the
child is a copy:

    while not evolution.finished:
        candidate = evolution.ask()          # None: a result must be told first
        if candidate and candidate.evaluate:
            evolution.tell(candidate.ticket, fitness_of(candidate.program))

A proposed program enters in the place of a child, at a ticket that is recorded before it is generated
(`optsearch.search.proposals`).

Resuming requires all results, but only the last ``population + look_ahead`` settled tickets; with methods that follow
from the whole history (`Methods.remember`), it requires all of them.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.program import Program
from optsearch.search.budget import PATIENCE, Budget, StepSum
from optsearch.search.events import Best, Candidate, Evaluated, Progress, Settled
from optsearch.search.member import Member
from optsearch.search.population.breeding import Breeding, Methods
from optsearch.search.population.population import PopulationConfig, population_digest, redundancy
from optsearch.search.proposals import Entries, Proposal
from optsearch.search.scoring.fitness import Fitness
from optsearch.search.scoring.fitness_cache import FitnessCache
from optsearch.search.variation.mutate import Variation

SEARCH_VERSION = 4
"""Incremented when a seed gives different programs; stored with every run, which resumes only with an equal version."""

WARM_START = 0
"""Ticket of the warm start."""


class ReplayError(RuntimeError):
    """The recorded results do not match the resumed search."""


@dataclass(frozen=True, slots=True)
class History:
    """State from which a search resumes.

    Attributes:
        settled: highest settled ticket; -1 if the search has not started.
        tail: the last ``population + look_ahead`` settled tickets in order, or all if there are fewer; all if the
            methods of the search remember.
        evaluated: all results in any order, including those of tickets not yet settled.
    """

    settled: int
    tail: Sequence[Settled]
    evaluated: Iterable[Evaluated]


class Evolution:
    """Regularized evolution in ticket order.

    Args:
        warm_start: initial program, which fills the population.
        further: further initial programs, which are the first tickets after it.
        name: name of this search within its run; it selects the random stream.
        seed: seed of the search.
        population: size and tournament.
        look_ahead: maximum number of open tickets; it affects results because it determines the eligible parents.
        variation: variation operator: a mutator, a mutator of constants only, or random programs.
        budget: stopping condition.
        methods: extensions of the published evolution. Defaults to none.
        proposals: proposed programs by the ticket at which they enter. Defaults to none so far.
        history: state to resume from. Defaults to a new search.
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
        methods: Methods | None = None,
        proposals: Entries | None = None,
        history: History | None = None,
        further: Sequence[Program] = (),
    ):
        if look_ahead < 1:
            raise ValueError(f"look_ahead must be at least 1, got {look_ahead}")
        self._warm_start, self._budget, self._variation = warm_start, budget, variation
        self._further = tuple(further)
        self._look_ahead, self._population_config = look_ahead, population
        self._key = np.frombuffer(hashlib.sha256(f"{name}:{seed}".encode()).digest()[:16], dtype=np.uint64)
        self._methods = methods or Methods()
        self._breeding: Breeding | None = None
        self._proposals = proposals or Entries()
        self._cache = FitnessCache()
        self._window: deque[Candidate] = deque()  # drawn, not yet in the population
        self._known: dict[int, Evaluated] = {}  # results of an earlier session, for tickets not drawn again yet
        self._news: list[Settled] = []
        self._drawn = self._settled = -1
        self._evaluations = self._hits = 0
        self._steps = 0  # training steps of all results
        self._steps_joined = StepSum(look_ahead)
        self._newest = WARM_START  # the latest ticket with a new fingerprint
        self._outcomes: Counter[str] = Counter()
        self._results = 0
        self._best: Best | None = None
        self._best_rank: tuple[tuple[float, ...], int] | None = None
        self._warm_fitness: Fitness | None = None
        if history is not None:
            self._restore(history)

    @property
    def drawn_all(self) -> bool:
        """True if the budget is spent, so that no more tickets are generated."""
        programs, evaluations, steps = self._budget.programs, self._budget.evaluations, self._budget.steps
        return self._drawn >= 0 and (
            (programs is not None and self._drawn >= programs)
            or (evaluations is not None and self._evaluations >= evaluations)
            or (steps is not None and self._steps_joined.before(self._drawn + 1, self._settled) >= steps)
            or (not (evaluations is None and steps is None) and self._drawn - self._newest >= PATIENCE)
        )

    @property
    def finished(self) -> bool:
        """True if the budget is spent and all results have been told."""
        return self.drawn_all and self._settled == self._drawn

    @property
    def progress(self) -> Progress:
        """Counts and the best program so far."""
        warm = None if self._warm_fitness is None else self._warm_fitness.value
        generated = max(self._settled, 0)
        return Progress(
            generated, self._results, self._hits, dict(self._outcomes), self._best, warm, self.finished, self._steps
        )

    @property
    def warm_start_fitness(self) -> Fitness | None:
        """Fitness of the warm start; None if not yet known."""
        return self._warm_fitness

    def ask(self) -> Candidate | None:
        """Generates the next ticket.

        Returns:
            The candidate; if its ``evaluate`` is True, the caller must tell its fitness. None if the budget is spent or
            a result must be told first.
        """
        if not self._can_draw:
            return None
        ticket = self.next_ticket
        if ticket == WARM_START:
            candidate = self._candidate(ticket, None, "warm start", self._warm_start)
        elif ticket <= len(self._further):
            self._join(ticket - self._look_ahead)
            candidate = self._candidate(ticket, None, f"warm start {ticket + 1}", self._further[ticket - 1])
        else:
            self._join(ticket - self._look_ahead)
            candidate = self._proposed(ticket) or self._child(ticket)
        self._drawn = ticket
        self._window.append(candidate)
        if not candidate.is_hit and ticket != WARM_START:
            self._evaluations += 1
            self._newest = ticket
        self._settle()
        return candidate

    @property
    def next_ticket(self) -> int:
        """The ticket that ``ask`` generates next."""
        return self._drawn + 1

    @property
    def admits(self) -> bool:
        """True if a new proposal may enter as the next ticket.

        The share of proposals must allow it, and nothing of an earlier session may be recorded for this ticket or a
        later one, whose history a proposal would change.
        """
        ticket = self.next_ticket
        fresh = not self._known and self._proposals.last < ticket
        return ticket > WARM_START and fresh and self._can_draw and self._proposals.permits(ticket, self._evaluations)

    def admit(self, proposal: Proposal) -> None:
        """Lets a proposal enter as the next ticket; the caller has recorded it with this ticket.

        Raises:
            ValueError: ``admits`` is False.
        """
        if not self.admits:
            raise ValueError(f"ticket {self.next_ticket} admits no proposal")
        self._proposals.enter(self.next_ticket, proposal)

    def tell(self, ticket: int, fitness: Fitness) -> None:
        """Reports the result of a ticket.

        Args:
            ticket: a ticket that ``ask`` returned with ``evaluate`` set.
            fitness: its result.

        Raises:
            ValueError: the ticket was not generated, or its result is already known.
        """
        if ticket > self._drawn or self._cache.get(ticket) is not None:
            raise ValueError(f"ticket {ticket} has no pending evaluation")
        self._note(ticket, fitness)
        self._settle()

    def take_settled(self) -> list[Settled]:
        """Returns the tickets settled since the last call, in order."""
        news, self._news = self._news, []
        return news

    def members(self) -> tuple[Member, ...]:
        """Returns the population after all settled tickets, oldest first; empty before the warm start is settled."""
        if self._breeding is None:
            return ()
        size = self._population_config.size
        joining = [self._member(candidate) for candidate in self._window if candidate.ticket <= self._settled]
        return (*self._breeding.members(), *joining)[-size:]

    def population_digest(self) -> str:
        """Returns the digest of ``members``."""
        return population_digest((str(member.program), member.fitness) for member in self.members())

    def redundancy(self) -> float | None:
        """Returns the share of dead statements in the population; None for an empty population."""
        return redundancy(member.program for member in self.members())

    @property
    def _can_draw(self) -> bool:
        ticket = self.next_ticket
        waits = ticket > WARM_START and self._settled < max(WARM_START, ticket - self._look_ahead)
        return not waits and not self.drawn_all

    def _proposed(self, ticket: int) -> Candidate | None:
        """The proposal that enters at a ticket; None if there is none."""
        proposal = self._proposals.at(ticket)
        if proposal is None:
            return None
        if not self._proposals.permits(ticket, self._evaluations):
            raise ReplayError(f"ticket {ticket} is a proposal, but the share of proposals is exhausted there")
        return self._candidate(ticket, None, proposal.mutation, proposal.program)

    def _child(self, ticket: int) -> Candidate:
        if self._breeding is None:  # the warm start is settled, so it has joined
            raise ReplayError("the warm start has not joined the population")
        rng = np.random.Generator(np.random.Philox(key=self._key, counter=[0, 0, 0, ticket]))
        parent, mutation, program = self._breeding.child(rng)
        return self._candidate(ticket, parent, mutation, program)

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
        gate = self._breeding.gate if evaluate and self._breeding is not None else None
        return Candidate(ticket, parent, mutation, program, meaning, owner, evaluate, gate)

    def _note(self, ticket: int, fitness: Fitness) -> None:
        self._cache.put(ticket, fitness)
        if ticket == WARM_START:
            self._warm_fitness = fitness
        else:
            self._results += 1
            self._steps += fitness.steps
            self._steps_joined.note(ticket, fitness.steps)
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
        """Moves tickets up to ``last`` from the window to the population."""
        while self._window and self._window[0].ticket <= last:
            candidate = self._window.popleft()
            member = self._member(candidate)
            if self._breeding is None:
                self._found(member)
            else:
                self._breeding.join(candidate, member)

    def _found(self, founder: Member) -> None:
        """Fills the population with the warm start."""
        config = self._population_config
        self._breeding = Breeding(founder, config, self._look_ahead, self._variation, self._methods)

    def _member(self, candidate: Candidate) -> Member:
        fitness = self._cache.get(candidate.owner)
        if fitness is None or not fitness.trained:
            return Member(candidate.ticket, candidate.program, None)
        return Member(candidate.ticket, candidate.program, fitness.value, fitness.losses)

    def _restore(self, history: History) -> None:
        """Restores the state at the end of a history without regenerating the settled tickets."""
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
        self._found(Member(WARM_START, self._warm_start, self._warm_fitness.value, self._warm_fitness.losses))
        size = self._population_config.size
        wanted = range(1 if self._methods.remember else max(joined - size + 1, 1), settled + 1)
        tail = [item for item in history.tail if item.candidate.ticket in wanted]
        if [item.candidate.ticket for item in tail] != list(wanted):
            raise ReplayError(f"the tickets {wanted.start} to {settled} are incomplete")
        for item in tail:
            candidate = item.candidate
            if self._cache.get(candidate.owner) is None:
                raise ReplayError(f"ticket {candidate.ticket} is settled, but the result of its owner is missing")
            self._window.append(candidate)
        self._join(joined)
