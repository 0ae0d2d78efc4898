"""Meta-validation: the best program is watched on a larger task that has no part in its fitness.

A search that goes on for long finds programs that are good at the proxy task alone: fitness falls while the loss on
larger tasks rises. So whenever the best program changes it is trained on another task too, at most once in so many
evaluations. Which programs those are follows from the results in ticket order alone, so it is the same for every number
of workers; when they are trained has no influence on the search.

Source: Chen et al. 2023 (arXiv:2302.06675), section 2.3, "meta-overfitting".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from optsearch.proxy_tasks.seeds import SEARCH
from optsearch.search.events import Evaluated
from optsearch.search.fitness import Fitness

Seed = Annotated[int, Field(ge=SEARCH.start, lt=SEARCH.stop)]
"""A training seed that settings may name."""


class MetaValidationConfig(BaseModel):
    """Where and how often the best program is watched.

    Attributes:
        task: a task that is not part of the fitness, larger if it is to say something.
        every_evaluations: evaluations of the search between two programs that are watched.
        seeds: training seeds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    task: str
    every_evaluations: int = Field(default=1000, ge=1, le=1_000_000_000)
    seeds: list[Seed] = Field(default=[0], min_length=1, max_length=64)


@dataclass(frozen=True, slots=True)
class Validation:
    """The best program of a moment, on the larger task.

    Attributes:
        ticket: the program.
        evaluations: evaluations of the search after which it was chosen.
        fitness: what it reached on the larger task.
    """

    ticket: int
    evaluations: int
    fitness: Fitness


class MetaValidation:
    """Says which programs to train on the larger task, and keeps what is known.

    Args:
        every: evaluations between two programs.
        results: the results of the search that are settled, in ticket order.
        known: validations of earlier sessions.
    """

    def __init__(self, every: int, results: Iterable[Evaluated] = (), known: Iterable[Validation] = ()):
        self._every = every
        self._known = {validation.ticket for validation in known}
        self._evaluations = self._latest = 0
        self._best: tuple[tuple[float, ...], int] | None = None
        self._chosen: int | None = None
        self._due: dict[int, int] = {}  # ticket -> evaluations after which it was chosen
        for result in results:
            self.note(result.ticket, result.fitness)

    @property
    def waiting(self) -> bool:
        """Whether a program was chosen whose result is not known."""
        return bool(self._due)

    def note(self, ticket: int, fitness: Fitness) -> None:
        """Takes in the next result in ticket order; ``ticket`` is the one that was evaluated."""
        self._evaluations += ticket > 0
        if fitness.trained:
            self._best = min(self._best or (fitness.key, ticket), (fitness.key, ticket))
        if self._chosen is None or self._evaluations - self._latest >= self._every:
            self._choose()

    def finish(self) -> None:
        """The search is over: its best program is chosen whenever the last choice was."""
        self._choose()

    def due(self) -> list[int]:
        """Programs to train, in the order in which they were chosen; those that are known are left out."""
        return list(self._due)

    def tell(self, ticket: int, fitness: Fitness) -> Validation:
        """Takes in what a program that was due has reached."""
        self._known.add(ticket)
        return Validation(ticket, self._due.pop(ticket), fitness)

    def _choose(self) -> None:
        if self._best is None or self._best[1] == self._chosen:
            return
        self._chosen, self._latest = self._best[1], self._evaluations
        if self._chosen not in self._known:
            self._due[self._chosen] = self._evaluations
