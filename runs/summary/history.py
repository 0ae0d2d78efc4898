"""Statistics of a search over time, for charts and tables.

One pass over the tickets of a search, without their programs, and one over its results produce arrays by ticket. All
statistics are computed from these arrays, so a search of 300,000 programs takes seconds. Fractions over time refer to
consecutive windows without overlap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.records import Search
from optsearch.search.population.population import redundancy

WINDOWS = 50
"""Number of windows of a chart over time."""

LOOKED_AT = 12
"""Number of programs per window whose statements are counted."""

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class SearchHistory:
    """Arrays of a search, indexed by ticket; ticket 0 is the warm start.

    Attributes:
        search: the search.
        parents: ticket of the parent; -1 for none.
        owners: ticket of the equivalent program that was evaluated.
        kinds: name of the mutation, such as ``insert``; empty for none.
        fitness: fitness of the ticket's owner; NaN if it did not train.
        outcomes: name of the outcome by owner.
    """

    search: Search
    parents: Array
    owners: Array
    kinds: Sequence[str]
    fitness: Array
    outcomes: dict[int, str]

    def __len__(self) -> int:
        return len(self.parents)

    def id(self, ticket: int) -> str:
        """Id of a ticket within the run."""
        return self.search.program_id(ticket)

    @property
    def evaluated(self) -> Array:
        """True for tickets that were evaluated, and False for those that are equivalent to an earlier one."""
        return self.owners == np.arange(len(self))

    @property
    def evaluations(self) -> Array:
        """Number of evaluations up to each ticket, without the warm start's."""
        return np.cumsum(self.evaluated) - 1

    @property
    def best_by_evaluation(self) -> Array:
        """Best fitness after each evaluation, indexed by their number; NaN until a program has trained."""
        return np.fmin.accumulate(self.fitness[self.evaluated])


@dataclass(frozen=True, slots=True)
class Point:
    """A program of a search.

    Attributes:
        programs: number of generated programs at this point.
        fitness: fitness of the program.
        program: id of the program within the run.
        evaluations: number of evaluated programs at this point, without the warm start.
    """

    programs: int
    fitness: float
    program: str
    evaluations: int


@dataclass(frozen=True, slots=True)
class Window:
    """Statistics of consecutive programs, and of the population at their end.

    Attributes:
        programs: number of generated programs at the end of the window.
        hits: fraction of programs that are equivalent to an earlier one.
        redundant: fraction of statements that cannot influence the update, in a sample of the programs; None if there
            are no statements.
        best: lowest fitness of the population; None, as the quantiles, if none of its members trained.
        tenth: 10 % quantile of the fitness of the trained members.
        median: median of the fitness of the trained members.
        ninetieth: 90 % quantile of the fitness of the trained members.
    """

    programs: int
    hits: float
    redundant: float | None
    best: float | None
    tenth: float | None
    median: float | None
    ninetieth: float | None


@dataclass(frozen=True, slots=True)
class OutcomeShare:
    """Frequency of one outcome among consecutive evaluations.

    Attributes:
        programs: number of generated programs at the end of the window.
        outcome: name of the outcome.
        share: fraction of the evaluations with this outcome.
        count: number of evaluations with this outcome.
    """

    programs: int
    outcome: str
    share: float
    count: int


@dataclass(frozen=True, slots=True)
class MutationStatistics:
    """Effects of one kind of mutation.

    Attributes:
        kind: name of the mutation, such as ``insert``.
        children: number of programs that it produced.
        verdicts: number of these programs with each of ``VERDICTS``.
        median_gain: median improvement in fitness of the better ones; None if there are none.
    """

    kind: str
    children: int
    verdicts: Mapping[str, int]
    median_gain: float | None


def read_history(store: RunReader, search: Search) -> SearchHistory:
    """Reads the history of a search.

    Args:
        store: the run.
        search: the search.
    """
    parents: list[int] = []
    owners: list[int] = []
    kinds: list[str] = []
    for parent, mutation, owner in store.links(search):
        parents.append(-1 if parent is None else parent)
        owners.append(owner)
        kinds.append(mutation.split(" ", 1)[0] if parent is not None else "")
    known = np.full(len(parents), np.nan)
    outcomes: dict[int, str] = {}
    for result in store.evaluations(search):
        if result.ticket < len(parents):  # results of later tickets may already be recorded
            outcomes[result.ticket] = result.fitness.outcome
            if result.fitness.trained:
                known[result.ticket] = result.fitness.value
    places = np.array(owners, dtype=np.int64)
    return SearchHistory(search, np.array(parents, dtype=np.int64), places, kinds, known[places], outcomes)


def best_so_far(history: SearchHistory) -> list[Point]:
    """The best program at each improvement and at the end; empty if no program has trained."""
    if not np.isfinite(history.fitness).any():
        return []
    values = np.where(np.isfinite(history.fitness), history.fitness, np.inf)
    running = np.minimum.accumulate(values)
    changed = np.flatnonzero((running < np.concatenate([[np.inf], running[:-1]])) & np.isfinite(running))
    evaluations = history.evaluations
    points = [Point(int(t), float(running[t]), history.id(int(t)), int(evaluations[t])) for t in changed]
    last = len(history) - 1
    if points[-1].programs != last:
        points.append(replace(points[-1], programs=last, evaluations=int(evaluations[last])))
    return points


def evaluated_points(history: SearchHistory, most: int) -> tuple[list[Point], int]:
    """Programs that were evaluated and trained, and the number of omitted ones.

    Args:
        history: history of the search.
        most: maximum number of points; more are subsampled evenly.
    """
    owners, evaluations = np.flatnonzero(np.isfinite(history.fitness) & history.evaluated), history.evaluations
    kept = owners[:: max(-(-len(owners) // most), 1)]
    points = [Point(int(t), float(history.fitness[t]), history.id(int(t)), int(evaluations[t])) for t in kept]
    return points, len(owners) - len(kept)


def over_time(store: RunReader, history: SearchHistory) -> list[Window]:
    """Statistics of a search in consecutive windows.

    Args:
        store: the run.
        history: history of the search.
    """
    total = len(history) - 1
    if total < 1:
        return []
    size = store.config.population.size
    edges = np.unique(np.linspace(0, total, min(WINDOWS, total) + 1).astype(np.int64))
    hits = ~history.evaluated
    windows: list[Window] = []
    for first, last in zip(edges[:-1] + 1, edges[1:], strict=True):
        redundant = redundancy(store.programs(history.search, _spread(int(first), int(last))))
        alive = history.fitness[max(last + 1 - size, 0) : last + 1]
        alive = alive[np.isfinite(alive)]
        marks = np.quantile(alive, (0.0, 0.1, 0.5, 0.9)).tolist() if len(alive) else [None] * 4
        windows.append(Window(int(last), float(np.mean(hits[first : last + 1])), redundant, *marks))
    return windows


def outcomes_over_time(history: SearchHistory) -> list[OutcomeShare]:
    """Frequency of each outcome in consecutive windows of the evaluations, without the warm start."""
    owners = np.array(sorted(ticket for ticket in history.outcomes if ticket), dtype=np.int64)
    names = sorted({history.outcomes[int(owner)] for owner in owners})
    shares: list[OutcomeShare] = []
    for window in np.array_split(owners, min(WINDOWS // 2, max(len(owners), 1))):
        found = [history.outcomes[int(owner)] for owner in window]
        counts = [(name, found.count(name)) for name in names if found]
        shares += [OutcomeShare(int(window[-1]), name, count / len(found), count) for name, count in counts]
    return shares


VERDICTS = ("better", "same meaning", "no better", "failed")
"""Verdicts on a child relative to its parent."""


def mutation_statistics(history: SearchHistory) -> list[MutationStatistics]:
    """Statistics of the effects of each kind of mutation, sorted by its name."""
    child = np.flatnonzero(history.parents >= 0)
    if not len(child):
        return []
    parent = history.parents[child]
    mine, before = history.fitness[child], history.fitness[parent]
    same = history.owners[child] == history.owners[parent]
    better = (mine < before) | (np.isfinite(mine) & ~np.isfinite(before) & ~same)
    failed = ~np.isfinite(mine) & ~same
    verdict = np.select([same, better, failed], [1, 0, 3], 2)
    kinds = np.array([history.kinds[int(t)] for t in child])
    found: list[MutationStatistics] = []
    for kind in sorted(set(kinds.tolist())):
        of_kind = kinds == kind
        gains = (before - mine)[of_kind & (verdict == 0)]
        gains = gains[np.isfinite(gains)]
        counts = {name: int(np.sum(verdict[of_kind] == place)) for place, name in enumerate(VERDICTS)}
        median = float(np.median(gains)) if len(gains) else None
        found.append(MutationStatistics(kind, int(np.sum(of_kind)), counts, median))
    return found


def _spread(first: int, last: int) -> list[int]:
    """At most ``LOOKED_AT`` evenly spaced integers from ``first`` to ``last``."""
    return sorted({int(t) for t in np.linspace(first, last, min(LOOKED_AT, last - first + 1))})
