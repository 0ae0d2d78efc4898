"""Searches without training: fitness is a function of the fingerprint, and results arrive in random order."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program
from optsearch.search.budget import Budget
from optsearch.search.events import Evaluated, Settled
from optsearch.search.evolution import Evolution, History
from optsearch.search.meta_validation import Validation
from optsearch.search.population.population import PopulationConfig
from optsearch.search.scoring.evaluate import EvaluatorStatistics
from optsearch.search.scoring.fitness import Fitness, Job
from optsearch.search.variation.mutate import Mutator
from optsearch.search.variation.mutation_config import MutationWeights


def made_up_fitness(program: Program) -> Fitness:
    """A fitness that follows from the meaning alone; three programs of ten do not train."""
    number = int(hashlib.sha256(fingerprint(program).encode()).hexdigest()[:8], 16)
    if number % 10 < 3:
        return Fitness(None, "non_finite", 7, 0.25)
    return Fitness((number % 997) / 997, "ok", 300, 0.5)


class MadeUpEvaluator:
    """Gives made-up results in random order, a few at a time."""

    statistics = EvaluatorStatistics()

    def __init__(self, workers: int = 1, order: int = 0):
        self.workers = workers
        self.evaluated: list[int] = []
        self._random = random.Random(order)
        self._jobs: list[Job] = []

    def submit(self, jobs: Sequence[Job]) -> None:
        self._jobs.extend(jobs)

    def collect(self, timeout_s: float) -> list[tuple[Job, Fitness]]:
        self._random.shuffle(self._jobs)
        count = self._random.randint(0, min(len(self._jobs), 3))
        done, self._jobs = self._jobs[:count], self._jobs[count:]
        self.evaluated += [job.ticket for job in done]
        return [(job, made_up_fitness(job.program)) for job in done]

    def close(self) -> None:
        self._jobs.clear()


@dataclass
class Ledger:
    """What a store keeps, in memory."""

    evaluated: list[Evaluated] = field(default_factory=list)
    settled: list[Settled] = field(default_factory=list)

    validations: list[Validation] = field(default_factory=list)

    def append(self, evaluated: Sequence[Evaluated], settled: Sequence[Settled]) -> None:
        self.evaluated += evaluated
        self.settled += settled

    def add_validation(self, validation: Validation) -> None:
        self.validations.append(validation)

    def program(self, ticket: int) -> Program:
        return self.settled[ticket].candidate.program

    def history(self, tail: int) -> History:
        return History(len(self.settled) - 1, tuple(self.settled[-tail:]), list(self.evaluated))


class Watched(Ledger):
    """Calls a function in the place of recording."""

    def __init__(self, record: Callable[[Sequence[Evaluated], Sequence[Settled]], None]):
        super().__init__()
        self._record = record

    def append(self, evaluated: Sequence[Evaluated], settled: Sequence[Settled]) -> None:
        self._record(evaluated, settled)


def make_evolution(history: History | None = None, **changes: Any) -> Evolution:
    """A small search; keyword arguments replace its settings."""
    settings: dict[str, Any] = {
        "name": "search",
        "seed": 3,
        "population": PopulationConfig(size=20, tournament=3),
        "look_ahead": 16,
        "variation": Mutator(MutationWeights()),
        "budget": Budget(programs=200),
        "history": history,
        "warm_start": LIBRARY["adamw"],
    }
    return Evolution(**(settings | changes))
