"""Meta-validation: evaluates the best program on a larger task that is not part of the fitness.

Long searches overfit to the proxy task: fitness improves while the loss on larger tasks rises. When the best program
changes, it is therefore also trained on a larger task, at most once per given number of evaluations. The selection
depends only on the results in ticket order, so it is independent of the number of workers. Meta-validation does not
influence the search.

Source: Chen et al. 2023 (arXiv:2302.06675), section 2.3, "meta-overfitting".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from optsearch.proxy_tasks.seeds import SEARCH
from optsearch.search.events import Evaluated
from optsearch.search.scoring.fitness import Fitness

Seed = Annotated[int, Field(ge=SEARCH.start, lt=SEARCH.stop)]
"""Training seed in the range that is valid in settings."""


class MetaValidationConfig(BaseModel):
    """Task, interval and seeds of meta-validation.

    Attributes:
        task: a task that is not part of the fitness; it should be larger than those of the fitness.
        every_evaluations: minimum number of evaluations of the search between two meta-validations.
        seeds: training seeds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    task: str
    every_evaluations: int = Field(default=1000, ge=1, le=1_000_000_000)
    seeds: list[Seed] = Field(default=[0], min_length=1, max_length=64)


@dataclass(frozen=True, slots=True)
class Validation:
    """Meta-validation of one program.

    Attributes:
        ticket: ticket of the program.
        evaluations: number of evaluations of the search when the program was selected.
        fitness: fitness on the larger task.
    """

    ticket: int
    evaluations: int
    fitness: Fitness


class MetaValidation:
    """Selects programs for meta-validation and tracks pending ones.

    Args:
        every: minimum number of evaluations between two selections.
        results: settled results of the search, in ticket order.
        known: validations of earlier sessions.
    """

    def __init__(self, every: int, results: Iterable[Evaluated] = (), known: Iterable[Validation] = ()):
        self._every = every
        self._known = {validation.ticket for validation in known}
        self._evaluations = self._latest = 0
        self._best: tuple[tuple[float, ...], int] | None = None
        self._chosen: int | None = None
        self._due: dict[int, int] = {}  # ticket -> number of evaluations when it was selected
        for result in results:
            self.note(result.ticket, result.fitness)

    @property
    def waiting(self) -> bool:
        """True if a selected program has no result yet."""
        return bool(self._due)

    def note(self, ticket: int, fitness: Fitness) -> None:
        """Processes the next result in ticket order; ``ticket`` is the evaluated ticket."""
        self._evaluations += ticket > 0
        if fitness.trained:
            self._best = min(self._best or (fitness.key, ticket), (fitness.key, ticket))
        if self._chosen is None or self._evaluations - self._latest >= self._every:
            self._choose()

    def finish(self) -> None:
        """Selects the best program at the end of the search, regardless of the interval."""
        self._choose()

    def due(self) -> list[int]:
        """Returns the selected programs without a known result, in order of selection."""
        return list(self._due)

    def tell(self, ticket: int, fitness: Fitness) -> Validation:
        """Reports the fitness of a selected program on the larger task."""
        self._known.add(ticket)
        return Validation(ticket, self._due.pop(ticket), fitness)

    def _choose(self) -> None:
        if self._best is None or self._best[1] == self._chosen:
            return
        self._chosen, self._latest = self._best[1], self._evaluations
        if self._chosen not in self._known:
            self._due[self._chosen] = self._evaluations
