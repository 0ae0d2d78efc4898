"""Session: the search loop that connects evolution to an evaluator and records results before they take effect.

    while not finished: ask for tickets -> send jobs -> receive results -> record -> tell

A session controls only timing. Order of arrival, batching and interruptions have no influence on the results of the
search.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from optsearch.dsl.errors import UserError
from optsearch.dsl.program import Program
from optsearch.search.events import Candidate, Evaluated, Progress, Settled, Timing
from optsearch.search.evolution import WARM_START, Evolution
from optsearch.search.meta_validation import MetaValidation, Validation
from optsearch.search.proposals import Inbox
from optsearch.search.scoring.evaluate import Evaluator
from optsearch.search.scoring.fitness import Fitness, Job, JobKind, Reference
from optsearch.search.scoring.reference import ReferenceRule

DRAWS_A_TURN = 256
"""Maximum number of tickets drawn per turn, so that a sequence of cache hits does not delay results."""

WAIT_S = 0.25
"""Timeout for results, in seconds, between two calls of ``should_stop``."""


class WarmStartError(UserError, RuntimeError):
    """The warm start does not train, so it cannot serve as reference."""

    exit_code = 1


class Ledger(Protocol):
    """Durable storage of a session's records; each call returns after the write is durable."""

    def append(self, evaluated: Sequence[Evaluated], settled: Sequence[Settled]) -> None:
        """Stores new results, before they are told, and newly settled tickets in order."""
        ...

    def add_validation(self, validation: Validation) -> None:
        """Stores the result of a meta-validation."""
        ...

    def program(self, ticket: int) -> Program:
        """Returns the program of a settled ticket."""
        ...


class Session:
    """Runs a new or restored evolution until the search is complete or is stopped.

    Args:
        evolution: a new evolution, or one restored from its history.
        evaluator: evaluates programs; remains open.
        ledger: stores results before they are told.
        rule: derives the reference values from the warm start's fitness. Defaults to no hurdles and no rate sweep.
        reference: reference values. Defaults to those derived from the warm start of this search.
        validation: selects programs for meta-validation. Defaults to no meta-validation.
        inbox: proposed programs that wait for a ticket. Defaults to none.
        batch_size: number of jobs sent to a worker together.
        timing: accumulates the time breakdown. Defaults to no timing.
    """

    def __init__(
        self,
        evolution: Evolution,
        evaluator: Evaluator,
        ledger: Ledger,
        *,
        rule: ReferenceRule | None = None,
        reference: Reference | None = None,
        validation: MetaValidation | None = None,
        inbox: Inbox | None = None,
        batch_size: int = 4,
        timing: Timing | None = None,
    ):
        self._evolution, self._ledger, self._validation = evolution, ledger, validation
        self._rule, self._reference = rule or ReferenceRule(), reference
        self._inbox = inbox
        self._workers, self._batch_size = evaluator.workers, batch_size
        self._unsent: deque[Candidate] = deque()
        self._jobs = _Jobs(evaluator)
        self._clock = _Clock(timing or Timing(), evaluator)
        self._finished = False

    @property
    def finished(self) -> bool:
        """True if the budget is spent and meta-validation is complete; False before the first turn."""
        return self._finished

    def run(
        self,
        *,
        progress: Callable[[Progress], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> Progress:
        """Takes turns until the search is finished, or until it is stopped.

        Args:
            progress: callback after every turn. Defaults to no callback.
            should_stop: called before every turn; if it returns True, the session ends and drops pending evaluations.
                Defaults to never stopping.

        Returns:
            Progress at the end of the session.

        Raises:
            EvaluationError: an evaluation raised an exception; all earlier results are recorded.
            WarmStartError: the fitness has several tasks and the warm start fails on one of them.
        """
        while not self._finished and not (should_stop is not None and should_stop()):
            self.turn()
            if progress is not None:
                progress(self._evolution.progress)
            self._clock.add("search")
        self._record(())
        self._clock.add("store")
        return self._evolution.progress

    def turn(self) -> None:
        """One step of the loop: asks for programs, sends jobs, receives results, records them and tells the evolution.

        Raises:
            EvaluationError: as in ``run``.
            WarmStartError: as in ``run``.
        """
        self._derive_reference()
        drawn = 0 if self._evolution.finished else self._ask()
        self._clock.add("search")
        self._send()
        received = self._receive(drawn)
        self._clock.add("exchange")
        settled = self._record(received.evaluated)
        self._clock.add("store")
        for result in received.evaluated:
            self._evolution.tell(result.ticket, result.fitness)
        self._finished = self._evolution.finished
        if self._validation is not None:
            self._validate(self._validation, settled, received.validated)
        self._clock.add("search")

    @property
    def _capacity(self) -> int:
        """Number of pending jobs that keeps all workers occupied while results are processed."""
        return 2 * self._batch_size * self._workers

    def _derive_reference(self) -> None:
        """Derives the reference values as soon as the warm start is evaluated."""
        warm_start = self._evolution.warm_start_fitness
        if self._reference is None and warm_start is not None:
            self._reference = self._rule.derive(warm_start)
            if self._rule.several_tasks and not self._reference.losses:
                raise WarmStartError("the warm start does not train on every task of the fitness: choose another one")

    def _ask(self) -> int:
        """Draws tickets until enough programs wait for evaluation; returns the number of tickets drawn."""
        drawn = 0
        while drawn < DRAWS_A_TURN and len(self._unsent) < self._capacity:
            self._admit()
            candidate = self._evolution.ask()
            if candidate is None:
                break
            drawn += 1
            if candidate.evaluate:
                self._unsent.append(candidate)
        return drawn

    def _admit(self) -> None:
        """Records the next waiting proposal at the next ticket, then lets it enter there."""
        if self._inbox is None or not self._evolution.admits:
            return
        proposal = self._inbox.first()
        if proposal is not None:
            self._inbox.enter(self._evolution.next_ticket, proposal)
            self._evolution.admit(proposal)

    def _send(self) -> None:
        """Sends batches of programs while there is capacity, then the selected meta-validations."""
        while self._unsent and len(self._jobs) < self._capacity:
            share = min(self._batch_size, -(-len(self._unsent) // self._workers))
            self._jobs.evaluate([self._unsent.popleft() for _ in range(share)], self._reference)
        for ticket in self._validation.due() if self._validation is not None else ():
            if ticket not in self._jobs.validations:
                self._jobs.validate(ticket, self._ledger.program(ticket))

    def _receive(self, drawn: int) -> _Received:
        """Receives results; does not wait for them if more tickets can be drawn at once."""
        if self._jobs:
            return self._jobs.receive(0.0 if drawn == DRAWS_A_TURN else WAIT_S)
        if not drawn and not self._evolution.finished:
            raise RuntimeError("the search waits for results, but no job is pending")
        return _Received()

    def _record(self, evaluated: Sequence[Evaluated]) -> Sequence[Settled]:
        """Records results together with the tickets that earlier results settled; returns these tickets."""
        settled = self._evolution.take_settled()
        if evaluated or settled:
            self._ledger.append(evaluated, settled)
        return settled

    def _validate(
        self, validation: MetaValidation, settled: Sequence[Settled], validated: Sequence[tuple[int, Fitness]]
    ) -> None:
        """Updates the selection of meta-validation and records its results."""
        _note(validation, settled)
        if self._evolution.finished:
            _note(validation, self._record(()))
            validation.finish()
        for ticket, fitness in validated:
            self._ledger.add_validation(validation.tell(ticket, fitness))
        self._finished = self._finished and not validation.waiting


def _note(validation: MetaValidation, settled: Sequence[Settled]) -> None:
    for item in settled:
        if not item.candidate.is_hit:
            validation.note(item.candidate.ticket, item.fitness)


@dataclass(frozen=True, slots=True)
class _Received:
    """Results by kind of job.

    Attributes:
        evaluated: results of the search.
        validated: tickets and results of meta-validations.
    """

    evaluated: Sequence[Evaluated] = ()
    validated: Sequence[tuple[int, Fitness]] = ()


class _Jobs:
    """Pending jobs of an evaluator: evaluations with their fingerprints, and meta-validations."""

    def __init__(self, evaluator: Evaluator):
        self._evaluator = evaluator
        self._fingerprints: dict[int, str] = {}  # ticket of an evaluation -> fingerprint
        self.validations: set[int] = set()
        """Tickets of the programs in meta-validation."""

    def __len__(self) -> int:
        return len(self._fingerprints) + len(self.validations)

    def evaluate(self, candidates: Sequence[Candidate], reference: Reference | None) -> None:
        """Submits a batch of programs of the search."""
        jobs = [
            Job(
                c.ticket,
                c.program,
                None if reference is None else reference.gated(c.gate),
                keep_curves=c.ticket == WARM_START and reference is None,
            )
            for c in candidates
        ]
        self._evaluator.submit(jobs)
        self._fingerprints.update((candidate.ticket, candidate.fingerprint) for candidate in candidates)

    def validate(self, ticket: int, program: Program) -> None:
        """Submits a meta-validation."""
        self._evaluator.submit([Job(ticket, program, kind=JobKind.META_VALIDATION)])
        self.validations.add(ticket)

    def receive(self, timeout_s: float) -> _Received:
        """Collects results; waits up to ``timeout_s`` for the first."""
        evaluated: list[Evaluated] = []
        validated: list[tuple[int, Fitness]] = []
        for job, fitness in self._evaluator.collect(timeout_s):
            if job.kind is JobKind.META_VALIDATION:
                self.validations.remove(job.ticket)
                validated.append((job.ticket, fitness))
            else:
                evaluated.append(Evaluated(job.ticket, self._fingerprints.pop(job.ticket), fitness))
        return _Received(evaluated, validated)


class _Clock:
    """Adds the time since the last call to a part of the timing, and the evaluator's waiting time to ``waiting``."""

    def __init__(self, timing: Timing, evaluator: Evaluator):
        self._timing, self._last = timing, time.perf_counter()
        self._evaluator, self._waited_s = evaluator, evaluator.statistics.waited_s

    def add(self, part: Literal["search", "store", "exchange"]) -> None:
        now, waited_s = time.perf_counter(), self._evaluator.statistics.waited_s
        setattr(self._timing, part, getattr(self._timing, part) + now - self._last)
        self._timing.waiting += waited_s - self._waited_s
        self._timing.total += now - self._last
        self._last, self._waited_s = now, waited_s
