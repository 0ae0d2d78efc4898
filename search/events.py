"""What happens in a search, as frozen records: the words between evolution, the session, the store and the screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from optsearch.dsl.program import Program
from optsearch.dsl.rate import at_rate
from optsearch.search.fitness import Fitness


@dataclass(frozen=True, slots=True)
class Candidate:
    """A ticket that was drawn: one program of the search.

    Attributes:
        ticket: its number; 0 is the warm start, generated programs count from 1.
        parent: ticket of the parent; None for the warm start and for programs that were drawn without one.
        mutation: what was done to the parent, in words.
        program: the program.
        fingerprint: its meaning.
        owner: the ticket whose evaluation stands for this program; its own number unless an earlier one means the same.
        evaluate: whether somebody has to evaluate it; False for cache hits and results that were already known.
    """

    ticket: int
    parent: int | None
    mutation: str
    program: Program
    fingerprint: str
    owner: int
    evaluate: bool

    @property
    def is_hit(self) -> bool:
        """Whether an earlier ticket stands for it."""
        return self.owner != self.ticket


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The result of an evaluation.

    Attributes:
        ticket: the owner.
        fingerprint: the meaning that was evaluated.
        fitness: the result.
    """

    ticket: int
    fingerprint: str
    fitness: Fitness


@dataclass(frozen=True, slots=True)
class Settled:
    """A ticket whose fitness is known, as are those of all earlier tickets: its place in history is final."""

    candidate: Candidate
    fitness: Fitness

    @property
    def scored(self) -> Program:
        """The program that the fitness belongs to: at the learning rate that was the best of those tried."""
        return at_rate(self.candidate.program, self.fitness.rate)


@dataclass(frozen=True, slots=True)
class Best:
    """The best program of a search: lowest fitness, the earliest owner among equals."""

    ticket: int
    fitness: float


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a search stands; the warm start is in none of the counts.

    Attributes:
        generated: programs whose fitness is known in ticket order.
        evaluated: results of evaluations of generated programs, also of those whose turn has not come.
        cache_hits: how many of ``generated`` an earlier program stands for; ``evaluated + cache_hits`` is ``generated``
            at the end.
        outcomes: number of evaluations with each outcome.
        best: the best program so far, the warm start included; None before anything has trained.
        warm_start: fitness of the warm start; None before it is known, or when it does not train.
        finished: whether the budget is spent and every result is in.
    """

    generated: int
    evaluated: int
    cache_hits: int
    outcomes: Mapping[str, int] = field(default_factory=dict)
    best: Best | None = None
    warm_start: float | None = None
    finished: bool = False


@dataclass(slots=True)
class Timing:
    """Where the time of a session went, in seconds.

    Attributes:
        search: drawing programs, verifying and naming them, taking in results.
        store: making results durable.
        exchange: handing jobs out and collecting results, waiting for them included.
        waiting: waiting for results, as far as the evaluator knows.
        total: all of it.
    """

    search: float = 0.0
    store: float = 0.0
    exchange: float = 0.0
    waiting: float = 0.0
    total: float = 0.0
