"""Scheduling of the training runs of concurrent tunings: each tuning continues as soon as its own runs have finished,
without waiting for the others.

Among the available runs, the first run of each training loop has priority, because it compiles the loop for the others.
Then runs of the most expensive task have priority, because they have the most remaining work.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator, Sequence
from functools import cache
from itertools import count
from typing import TypeVar

from optsearch.proxy_tasks.run import Trained
from optsearch.search.pool import Pool
from optsearch.selection.contender import TrainingJob
from optsearch.selection.problem import Problem

E = TypeVar("E")

Entry = Generator[list[TrainingJob], list[Trained], E]
"""A generator that yields runs that may execute concurrently, receives their results, and returns its own result."""


def drive(
    entries: Sequence[Entry[E]], pool: Pool[TrainingJob, Trained], ended: Callable[[TrainingJob, Trained], None]
) -> list[E]:
    """Drives the entries until all have returned.

    Args:
        entries: generators, each of which requests at least one run at a time. Their results do not depend on the
            order.
        pool: executes the runs.
        ended: called after each run.

    Returns:
        The return values of the entries, in their order.
    """
    found: dict[int, E] = {}
    asked: dict[int, list[TrainingJob]] = {}
    told: dict[int, dict[int, Trained]] = {}
    waiting: list[tuple[bool, float, int, tuple[int, int]]] = []
    flying: dict[int, tuple[int, int]] = {}
    numbers, loops = count(), set[tuple[Problem, str]]()
    costs = cache(lambda problem: problem.cost)

    def ask(entry: int, answers: list[Trained] | None) -> None:
        try:
            jobs = next(entries[entry]) if answers is None else entries[entry].send(answers)
        except StopIteration as end:
            found[entry] = end.value
            return
        asked[entry], told[entry] = jobs, {}
        for place, job in enumerate(jobs):
            compiled = _loop(job) in loops
            loops.add(_loop(job))
            heapq.heappush(waiting, (compiled, -costs(job.problem), next(numbers), (entry, place)))

    for entry in range(len(entries)):
        ask(entry, None)
    while waiting or flying:
        while waiting and len(flying) < pool.room:
            *_, number, (entry, place) = heapq.heappop(waiting)
            flying[number] = entry, place
            pool.submit(number, asked[entry][place])
        number, trained = pool.collect()
        entry, place = flying.pop(number)
        told[entry][place] = trained
        ended(asked[entry][place], trained)
        if len(told[entry]) == len(asked[entry]):
            ask(entry, [told[entry][place] for place in range(len(asked[entry]))])
    return [found[entry] for entry in range(len(entries))]


def _loop(job: TrainingJob) -> tuple[Problem, str]:
    """Identifies the training loop of a run: all programs share the interpreter's loop, each baseline has its own."""
    return job.problem, job.contender.name if job.contender.is_baseline else ""
