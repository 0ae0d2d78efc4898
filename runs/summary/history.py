"""Statistics of a search over time, for charts and tables.

One pass over the tickets of a search, without their programs, and one over its results produce arrays by ticket. All
statistics are computed from these arrays, so a search of 300,000 programs takes seconds. Fractions over time refer to
consecutive windows without overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.records import Arm
from optsearch.search.population import redundancy

WINDOWS = 50
"""Number of windows of a chart over time."""

LOOKED_AT = 12
"""Number of programs per window whose statements are counted."""

Row = dict[str, Any]
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class SearchHistory:
    """Arrays of a search, indexed by ticket; ticket 0 is the warm start.

    Attributes:
        arm: the search.
        parents: ticket of the parent; -1 for none.
        owners: ticket of the equivalent program that was evaluated.
        kinds: name of the mutation, such as ``insert``; empty for none.
        fitness: fitness of the ticket's owner; NaN if it did not train.
        outcomes: name of the outcome by owner.
    """

    arm: Arm
    parents: Array
    owners: Array
    kinds: Sequence[str]
    fitness: Array
    outcomes: dict[int, str]

    def __len__(self) -> int:
        return len(self.parents)

    def id(self, ticket: int) -> str:
        """Id of a ticket within the run."""
        return self.arm.program_id(ticket)


def read_history(store: RunReader, arm: Arm) -> SearchHistory:
    """Reads the history of a search.

    Args:
        store: the run.
        arm: the search.
    """
    parents: list[int] = []
    owners: list[int] = []
    kinds: list[str] = []
    for parent, mutation, owner in store.links(arm):
        parents.append(-1 if parent is None else parent)
        owners.append(owner)
        kinds.append(mutation.split(" ", 1)[0] if parent is not None else "")
    known = np.full(len(parents), np.nan)
    outcomes: dict[int, str] = {}
    for result in store.evaluations(arm):
        if result.ticket < len(parents):  # results of later tickets may already be recorded
            outcomes[result.ticket] = result.fitness.outcome
            if result.fitness.trained:
                known[result.ticket] = result.fitness.value
    places = np.array(owners, dtype=np.int64)
    return SearchHistory(arm, np.array(parents, dtype=np.int64), places, kinds, known[places], outcomes)


def best_so_far(history: SearchHistory) -> list[Row]:
    """The best program at each improvement and at the end: ``programs``, ``fitness``, ``program``."""
    if not np.isfinite(history.fitness).any():
        return []
    values = np.where(np.isfinite(history.fitness), history.fitness, np.inf)
    running = np.minimum.accumulate(values)
    changed = np.flatnonzero((running < np.concatenate([[np.inf], running[:-1]])) & np.isfinite(running))
    rows = [{"programs": int(t), "fitness": float(running[t]), "program": history.id(int(t))} for t in changed]
    last = len(history) - 1
    if rows[-1]["programs"] != last:
        rows.append(rows[-1] | {"programs": last})
    return rows


def evaluated_points(history: SearchHistory, most: int) -> tuple[list[Row], int]:
    """Successfully trained programs: ``programs``, ``fitness``, ``program``; and the number of omitted ones.

    Args:
        history: history of the search.
        most: maximum number of points; more are subsampled evenly.
    """
    owners = np.flatnonzero(np.isfinite(history.fitness) & (history.owners == np.arange(len(history))))
    kept = owners[:: max(-(-len(owners) // most), 1)]
    rows = [{"programs": int(t), "fitness": float(history.fitness[t]), "program": history.id(int(t))} for t in kept]
    return rows, len(owners) - len(kept)


def over_time(store: RunReader, history: SearchHistory) -> list[Row]:
    """Windows of the search: ``programs`` at the end of each, and statistics of the window.

    ``hits`` is the fraction of programs that are equivalent to an earlier one. ``redundant`` is the fraction of
    statements that cannot influence the update, in a sample of the programs. ``best``, ``tenth``, ``median`` and
    ``ninetieth`` are quantiles of the fitness of trained members of the population at the end of the window.
    """
    total = len(history) - 1
    if total < 1:
        return []
    size = store.config.population.size
    edges = np.unique(np.linspace(0, total, min(WINDOWS, total) + 1).astype(np.int64))
    hits = history.owners != np.arange(len(history))
    rows: list[Row] = []
    for first, last in zip(edges[:-1] + 1, edges[1:], strict=True):
        row: Row = {"programs": int(last), "hits": float(np.mean(hits[first : last + 1]))}
        row["redundant"] = redundancy(store.programs(history.arm, _spread(int(first), int(last))))
        alive = history.fitness[max(last + 1 - size, 0) : last + 1]
        alive = alive[np.isfinite(alive)]
        names = ("best", "tenth", "median", "ninetieth")
        marks = np.quantile(alive, (0.0, 0.1, 0.5, 0.9)) if len(alive) else [None] * 4
        rows.append(row | {name: None if x is None else float(x) for name, x in zip(names, marks, strict=True)})
    return rows


def outcomes_over_time(history: SearchHistory) -> list[Row]:
    """Windows of evaluations: ``programs`` at the end, ``outcome``, and ``share`` and ``count`` of the outcome."""
    owners = np.array(sorted(ticket for ticket in history.outcomes if ticket), dtype=np.int64)
    names = sorted({history.outcomes[int(owner)] for owner in owners})
    rows: list[Row] = []
    for window in np.array_split(owners, min(WINDOWS // 2, max(len(owners), 1))):
        found = [history.outcomes[int(owner)] for owner in window]
        rows += [
            {
                "programs": int(window[-1]),
                "outcome": name,
                "share": found.count(name) / len(found),
                "count": found.count(name),
            }
            for name in names
            if found
        ]
    return rows


VERDICTS = ("better", "same meaning", "no better", "failed")
"""Verdicts on a child relative to its parent."""


def mutation_statistics(history: SearchHistory) -> list[Row]:
    """Statistics of the effects of each kind of mutation.

    Returns:
        For each kind the number of ``children``, the number with each verdict, and the ``median_gain`` in fitness of
        the better ones, None if there are none.
    """
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
    rows: list[Row] = []
    for kind in sorted(set(kinds.tolist())):
        of_kind = kinds == kind
        gains = (before - mine)[of_kind & (verdict == 0)]
        gains = gains[np.isfinite(gains)]
        counts = {name: int(np.sum(verdict[of_kind] == place)) for place, name in enumerate(VERDICTS)}
        median = float(np.median(gains)) if len(gains) else None
        rows.append({"kind": kind, "children": int(np.sum(of_kind)), **counts, "median_gain": median})
    return rows


def _spread(first: int, last: int) -> list[int]:
    """At most ``LOOKED_AT`` evenly spaced integers from ``first`` to ``last``."""
    return sorted({int(t) for t in np.linspace(first, last, min(LOOKED_AT, last - first + 1))})
