"""Counts of a search, and its best program so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from optsearch.runs.store.records import Search
from optsearch.search.events import Progress, Settled
from optsearch.search.population.population import redundancy


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of a search, without its warm start.

    Attributes:
        generated: number of generated programs.
        evaluated: number of evaluated programs.
        cache_hits: number of programs that are equivalent to an earlier one, whose evaluation applies.
        outcomes: number of evaluations with each outcome, sorted by its name.
    """

    generated: int = 0
    evaluated: int = 0
    cache_hits: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)

    @staticmethod
    def of(progress: Progress) -> Counts:
        """The counts of the progress of a search."""
        outcomes = dict(sorted(progress.outcomes.items()))
        return Counts(progress.generated, progress.evaluated, progress.cache_hits, outcomes)

    @property
    def hit_rate(self) -> float:
        """Fraction of cache hits among the generated programs; 0 before the first program."""
        return self.cache_hits / max(self.generated, 1)


@dataclass(frozen=True, slots=True)
class Leader:
    """The program of lowest fitness of a search.

    Attributes:
        id: id of the program within the run.
        fitness: fitness of the program.
    """

    id: str
    fitness: float


def leader(search: Search, progress: Progress) -> Leader | None:
    """The program of lowest fitness of a search; None if no program has trained yet."""
    best = progress.best
    return None if best is None else Leader(search.program_id(best.ticket), best.fitness)


def redundant_share(members: Iterable[Settled]) -> float | None:
    """Fraction of the members' statements that cannot influence the update; None if there are no statements."""
    return redundancy(item.candidate.program for item in members)
