"""One sitting of a search: an evolution meets an evaluator, and what they find is made durable before it counts.

    while not finished: draw tickets -> hand out evaluations -> collect -> record -> tell

The session decides when things happen and nothing else: which results come when, how they are batched and how often it
stops and goes on has no influence on what the search finds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from search.evaluate import Evaluator, HurdleConfig, Job, Limits, hurdle_limits
from search.events import Candidate, Evaluated, Progress, Settled
from search.evolution import WARM_START, Evolution

DRAWS_A_TURN = 256
"""Tickets drawn before results are looked at again, so that a stream of cache hits does not keep them waiting."""

WAIT_S = 0.25
"""Longest wait for results before asking whether to stop."""

Record = Callable[[Sequence[Evaluated], Sequence[Settled]], None]
"""Makes results and settled tickets durable; returns when they are."""


def run_session(
    evolution: Evolution,
    evaluator: Evaluator,
    *,
    record: Record,
    hurdle: HurdleConfig | None = None,
    checkpoints: Sequence[int] = (),
    batch_size: int = 4,
    progress: Callable[[Progress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Progress:
    """Searches until the budget is spent or somebody asks to stop.

    Args:
        evolution: new, or restored from its history.
        evaluator: where programs are evaluated; stays open.
        record: called with new results before they are told, and with the tickets settled so far, in order.
        hurdle: when bad programs are stopped early; None for never.
        checkpoints: the task's checkpoints, in steps; only needed with a hurdle.
        batch_size: jobs that travel together.
        progress: called after every turn; None for nobody watches.
        should_stop: asked every turn; evaluations in flight are dropped when it says yes. None for never.

    Returns:
        Where the search stands at the end.

    Raises:
        EvaluationError: an evaluation raised; everything before it is recorded.
    """
    waiting: deque[Candidate] = deque()
    flying: dict[int, str] = {}  # ticket -> fingerprint
    capacity = 2 * batch_size * evaluator.workers
    limits: tuple[Limits, ...] | None = None
    limits_known = False
    while not evolution.finished and not (should_stop is not None and should_stop()):
        if not limits_known and evolution.warm_start_fitness is not None:
            limits, limits_known = hurdle_limits(hurdle, checkpoints, evolution.warm_start_fitness), True
        drawn = _draw(evolution, waiting, capacity)
        while waiting and len(flying) < capacity:
            share = min(batch_size, -(-len(waiting) // evaluator.workers))
            batch = [waiting.popleft() for _ in range(share)]
            evaluator.submit([_job(candidate, limits) for candidate in batch])
            flying.update((candidate.ticket, candidate.fingerprint) for candidate in batch)
        results: list[Evaluated] = []
        if flying:
            results = [Evaluated(t, flying.pop(t), fitness) for t, fitness in evaluator.collect(WAIT_S)]
        elif not drawn and not evolution.finished:
            raise RuntimeError("the search waits for results that nobody works on")
        settled = evolution.take_settled()
        if results or settled:
            record(results, settled)
        for result in results:
            evolution.tell(result.ticket, result.fitness)
        if progress is not None:
            progress(evolution.progress)
    settled = evolution.take_settled()
    if settled:
        record((), settled)
    return evolution.progress


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


def _job(candidate: Candidate, limits: tuple[Limits, ...] | None) -> Job:
    warm_start = candidate.ticket == WARM_START
    return Job(candidate.ticket, candidate.program, None if warm_start else limits, keep_curves=warm_start)
