"""One sitting of a search: an evolution meets an evaluator, and what they find is made durable before it counts.

    while not finished: draw tickets -> hand out evaluations -> collect -> record -> tell

The session decides when things happen and nothing else: which results come when, how they are batched and how often it
stops and goes on has no influence on what the search finds.
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
"""Tickets drawn before results are looked at again, so that a stream of cache hits does not keep them waiting."""

WAIT_S = 0.25
"""Longest wait for results before asking whether to stop."""


class WarmStartError(UserError, RuntimeError):
    """Programs cannot be measured against a warm start that does not train."""

    exit_code = 1


class Ledger(Protocol):
    """Where a session's records become durable; each call returns when they are."""

    def append(self, evaluated: Sequence[Evaluated], settled: Sequence[Settled]) -> None:
        """New results, before they are told; and the tickets settled so far, in order."""
        ...

    def add_validation(self, validation: Validation) -> None:
        """A program that was trained on the meta-validation task."""
        ...

    def program(self, ticket: int) -> Program:
        """The program of a settled ticket."""
        ...


class _Flights:
    """Jobs on their way: programs of the search by their ticket, meta-validations by ``-1 - ticket``."""

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
        """Results of the search, and of meta-validation."""
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
    """Searches until the budget is spent and its meta-validation is done, or somebody asks to stop.

    Args:
        evolution: new, or restored from its history.
        evaluator: where programs are evaluated; stays open.
        ledger: where results become durable before they are told.
        hurdle: when bad programs are stopped early; None for never.
        sweep: which programs are tried at other rates; None for none.
        checkpoints: for each task its checkpoints, in steps; only needed with a hurdle.
        seeds: number of training seeds.
        reference: what programs are measured against; None for the warm start of this search.
        validation: which programs are trained on another task as well; None for none.
        batch_size: jobs that travel together.
        progress: called after every turn; None for nobody watches.
        should_stop: asked every turn; evaluations in flight are dropped when it says yes. None for never.
        timing: is added to; None when nobody asks.

    Returns:
        Where the search stands at the end.

    Raises:
        EvaluationError: an evaluation raised; everything before it is recorded.
        WarmStartError: there are several tasks and the warm start fails on one.
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
            raise RuntimeError("the search waits for results that nobody works on")
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
    """Adds the time since the last call to a part of the timing."""

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
    """Draws tickets until enough of them wait for evaluation; returns how many were drawn."""
    drawn = 0
    while drawn < DRAWS_A_TURN and len(waiting) < enough:
        candidate = evolution.ask()
        if candidate is None:
            break
        drawn += 1
        if candidate.evaluate:
            waiting.append(candidate)
    return drawn
