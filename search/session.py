"""Session: the search loop that connects evolution to an evaluator and records results before they take effect.

    while not finished: draw tickets -> submit evaluations -> collect -> record -> tell

A session controls only timing. Order of arrival, batching and interruptions have no influence on the results of the
search.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from optsearch.dsl.errors import UserError
from optsearch.dsl.program import Program
from optsearch.search.evaluate import Evaluator
from optsearch.search.events import Candidate, Evaluated, Progress, Settled, Timing
from optsearch.search.evolution import WARM_START, Evolution
from optsearch.search.fitness import Fitness, Job, Reference
from optsearch.search.meta_validation import MetaValidation, Validation
from optsearch.search.reference import HurdleConfig, RateSweepConfig, make_reference

DRAWS_A_TURN = 256
"""Maximum number of tickets drawn per iteration, so that a sequence of cache hits does not delay results."""

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


class _Flights:
    """Pending jobs, keyed by the ticket for evaluations and by ``-1 - ticket`` for meta-validations."""

    def __init__(self, evaluator: Evaluator):
        self._evaluator = evaluator
        self.evaluations: dict[int, str] = {}  # ticket -> fingerprint
        self.validations: set[int] = set()

    def __len__(self) -> int:
        return len(self.evaluations) + len(self.validations)

    def launch(self, candidates: Sequence[Candidate], reference: Reference | None) -> None:
        jobs = [
            Job(c.ticket, c.program, reference, keep_curves=c.ticket == WARM_START and reference is None)
            for c in candidates
        ]
        self._evaluator.submit(jobs)
        self.evaluations.update((candidate.ticket, candidate.fingerprint) for candidate in candidates)

    def validate(self, ticket: int, program: Program) -> None:
        self._evaluator.submit([Job(-1 - ticket, program, validate=True)])
        self.validations.add(ticket)

    def land(self, timeout_s: float) -> tuple[list[Evaluated], list[tuple[int, Fitness]]]:
        """Collects results of the search and of meta-validation."""
        results: list[Evaluated] = []
        validated: list[tuple[int, Fitness]] = []
        for key, fitness in self._evaluator.collect(timeout_s):
            if key < 0:
                self.validations.remove(-1 - key)
                validated.append((-1 - key, fitness))
            else:
                results.append(Evaluated(key, self.evaluations.pop(key), fitness))
        return results, validated


def run_session(
    evolution: Evolution,
    evaluator: Evaluator,
    *,
    ledger: Ledger,
    hurdle: HurdleConfig | None = None,
    sweep: RateSweepConfig | None = None,
    checkpoints: Sequence[Sequence[int]] = ((),),
    seeds: int = 1,
    reference: Reference | None = None,
    validation: MetaValidation | None = None,
    batch_size: int = 4,
    progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    timing: Timing | None = None,
) -> Progress:
    """Runs a search until its budget is spent and meta-validation is complete, or until it is stopped.

    Args:
        evolution: a new evolution, or one restored from its history.
        evaluator: evaluates programs; remains open.
        ledger: stores results before they are told.
        hurdle: early stopping of bad programs. Defaults to no early stopping.
        sweep: settings of the rate sweep. Defaults to no rate sweep.
        checkpoints: checkpoints of each task, in steps; only required with a hurdle.
        seeds: number of training seeds.
        reference: reference values. Defaults to those derived from the warm start of this search.
        validation: selects programs for meta-validation. Defaults to no meta-validation.
        batch_size: number of jobs sent to a worker together.
        progress: callback after every iteration. Defaults to no callback.
        should_stop: called in every iteration; if it returns True, the session ends and drops pending evaluations.
            Defaults to never stopping.
        timing: accumulates the time breakdown. Defaults to no timing.

    Returns:
        Progress at the end of the session.

    Raises:
        EvaluationError: an evaluation raised an exception; all earlier results are recorded.
        WarmStartError: the fitness has several tasks and the warm start fails on one of them.
    """
    waiting: deque[Candidate] = deque()
    flights = _Flights(evaluator)
    capacity = 2 * batch_size * evaluator.workers
    clock = _Clock(timing or Timing())
    over = False
    while not over and not (should_stop is not None and should_stop()):
        if reference is None and evolution.warm_start_fitness is not None:
            reference = make_reference(hurdle, checkpoints, seeds, evolution.warm_start_fitness, sweep)
            if len(checkpoints) > 1 and not reference.losses:
                raise WarmStartError("the warm start does not train on every task of the fitness: choose another one")
        drawn = 0 if evolution.finished else _draw(evolution, waiting, capacity)
        clock.add("search")
        while waiting and len(flights) < capacity:
            share = min(batch_size, -(-len(waiting) // evaluator.workers))
            flights.launch([waiting.popleft() for _ in range(share)], reference)
        if validation is not None:
            for ticket in validation.due():
                if ticket not in flights.validations:
                    flights.validate(ticket, ledger.program(ticket))
        results: list[Evaluated] = []
        validated: list[tuple[int, Fitness]] = []
        if flights:
            results, validated = flights.land(0.0 if drawn == DRAWS_A_TURN else WAIT_S)
        elif not drawn and not evolution.finished:
            raise RuntimeError("the search waits for results that no evaluator is working on")
        clock.add("exchange")
        settled = evolution.take_settled()
        if results or settled:
            ledger.append(results, settled)
        clock.add("store")
        for result in results:
            evolution.tell(result.ticket, result.fitness)
        over = evolution.finished
        if validation is not None:
            _note(validation, settled)
            if over:
                last = evolution.take_settled()
                if last:
                    ledger.append((), last)
                _note(validation, last)
                validation.finish()
            for ticket, fitness in validated:
                ledger.add_validation(validation.tell(ticket, fitness))
            over = over and not validation.waiting
        if progress is not None:
            progress(evolution.progress)
        clock.add("search")
    settled = evolution.take_settled()
    if settled:
        ledger.append((), settled)
    clock.add("store")
    return evolution.progress


class _Clock:
    """Adds the time since the last call to a field of the timing."""

    def __init__(self, timing: Timing):
        self._timing, self._last = timing, time.perf_counter()

    def add(self, part: str) -> None:
        now = time.perf_counter()
        setattr(self._timing, part, getattr(self._timing, part) + now - self._last)
        self._timing.total += now - self._last
        self._last = now


def _note(validation: MetaValidation, settled: Sequence[Settled]) -> None:
    for item in settled:
        if not item.candidate.is_hit:
            validation.note(item.candidate.ticket, item.fitness)


def _draw(evolution: Evolution, waiting: deque[Candidate], enough: int) -> int:
    """Draws tickets until ``enough`` wait for evaluation; returns the number drawn."""
    drawn = 0
    while drawn < DRAWS_A_TURN and len(waiting) < enough:
        candidate = evolution.ask()
        if candidate is None:
            break
        drawn += 1
        if candidate.evaluate:
            waiting.append(candidate)
    return drawn
