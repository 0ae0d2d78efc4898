"""Frozen records of a search, exchanged between evolution, session, store and progress display."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from optsearch.dsl.program import Program
from optsearch.dsl.rate import at_rate
from optsearch.search.scoring.fitness import Fitness, Gate


@dataclass(frozen=True, slots=True)
class Candidate:
    """One program of the search.

    Attributes:
        ticket: number of the program; 0 is the warm start, generated programs start at 1.
        parent: ticket of the parent; None for the warm start and for independently sampled programs.
        mutation: description of the mutation of the parent.
        program: the program.
        fingerprint: fingerprint of the program.
        owner: ticket whose evaluation applies to this program: the earliest ticket with the same fingerprint.
        evaluate: True if an evaluation is required; False for cache hits and already known results.
        gate: gate of its race according to the population; None if the campaign alone sets it.
    """

    ticket: int
    parent: int | None
    mutation: str
    program: Program
    fingerprint: str
    owner: int
    evaluate: bool
    gate: Gate | None = None

    @property
    def is_hit(self) -> bool:
        """True if an earlier ticket owns the evaluation."""
        return self.owner != self.ticket


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The result of an evaluation.

    Attributes:
        ticket: ticket that owns the evaluation.
        fingerprint: fingerprint of the evaluated program.
        fitness: the result.
    """

    ticket: int
    fingerprint: str
    fitness: Fitness


@dataclass(frozen=True, slots=True)
class Settled:
    """A settled ticket: its fitness and that of all earlier tickets are known; its place in the history is final."""

    candidate: Candidate
    fitness: Fitness

    @property
    def scored(self) -> Program:
        """The program at the learning rate that gave the fitness, the best of those tried."""
        return at_rate(self.candidate.program, self.fitness.rate)


@dataclass(frozen=True, slots=True)
class Best:
    """The best program of a search: lowest fitness, ties broken by the earliest owner."""

    ticket: int
    fitness: float


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a search; the counts exclude the warm start.

    Attributes:
        generated: number of settled programs.
        evaluated: number of evaluated programs, including those not yet settled.
        cache_hits: number of settled programs whose evaluation an earlier ticket owns; at the end,
            ``evaluated + cache_hits`` equals ``generated``.
        outcomes: number of evaluations with each outcome.
        best: the best program so far, including the warm start; None if no program has trained yet.
        warm_start: fitness of the warm start; None if it is not yet known or the warm start does not train.
        finished: True if the budget is spent and all results are known.
        steps: training steps of the evaluated programs.
    """

    generated: int
    evaluated: int
    cache_hits: int
    outcomes: Mapping[str, int] = field(default_factory=dict)
    best: Best | None = None
    warm_start: float | None = None
    finished: bool = False
    steps: int = 0


@dataclass(slots=True)
class Timing:
    """Time breakdown of a session, in seconds.

    Attributes:
        search: generating, verifying and fingerprinting programs, and processing results.
        store: writing results to disk.
        exchange: submitting jobs and collecting results, including waiting time.
        waiting: waiting for results, as reported by the evaluator; part of ``exchange``.
        total: total time.
    """

    search: float = 0.0
    store: float = 0.0
    exchange: float = 0.0
    waiting: float = 0.0
    total: float = 0.0
