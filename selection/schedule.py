"""Which training run is made next, when several tunings go on side by side: each goes on as soon as its own runs have
ended, and none waits for another.

Of the runs that can be made, the first one of every training loop comes first, because it compiles the loop, and the
others find it compiled. Then those of the most expensive task come first, because most is still to follow on them.
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
"""Asks for training runs that may be made at the same time, is told their results, and returns what it found."""


def drive(
    entries: Sequence[Entry[E]], pool: Pool[TrainingJob, Trained], ended: Callable[[TrainingJob, Trained], None]
) -> list[E]:
    """Gives every entry the runs that it asks for until all have returned.

    Args:
        entries: each asks for at least one run at a time; what they find does not depend on the order.
        pool: makes the runs.
        ended: told of every run that has ended.

    Returns:
        What the entries returned, in their order.
    """
    found: dict[int, E] = {}
    asked: dict[int, list[TrainingJob]] = {}
    told: dict[int, dict[int, Trained]] = {}
    waiting: list[tuple[bool, float, int, tuple[int, int]]] = []
    flying: dict[int, tuple[int, int]] = {}
    numbers, loops = count(), set[tuple[Problem, str]]()

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
            heapq.heappush(waiting, (compiled, -_cost(job.problem), next(numbers), (entry, place)))

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
    """The training loop of a run: all programs share the interpreter's, each baseline has one of its own."""
    return job.problem, job.contender.name if job.contender.is_baseline else ""


@cache
def _cost(problem: Problem) -> float:
    """About how long a run of a problem takes, in a unit of no meaning."""
    task = problem.load()
    return float(task.steps) * task.batch_size * task.parameters
