"""How a search went, as columns: what its charts and tables are made of.

One pass over the tickets of a search, without their programs, and one over its results give arrays by ticket; all else
is arithmetic on them, so that a search of 300,000 programs takes seconds. Shares over time are those of windows, which
follow each other without overlap.
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
"""Windows of a chart over time."""

LOOKED_AT = 12
"""Programs of a window whose statements are counted."""

Row = dict[str, Any]
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class SearchHistory:
    """One search by ticket; the warm start is ticket 0.

    Attributes:
        arm: the search.
        parents: ticket of the parent; -1 for none.
        owners: ticket whose evaluation stands for this one.
        kinds: name of the mutation, such as ``insert``; empty for none.
        fitness: fitness of each ticket, its owner's; not a number where it did not train.
        outcomes: the outcome's name by owner.
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
        """A ticket's id within the run."""
        return self.arm.program_id(ticket)


def read_history(store: RunReader, arm: Arm) -> SearchHistory:
    """Reads a search.

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
        if result.ticket < len(parents):  # later ones are known before their turn has come
            outcomes[result.ticket] = result.fitness.outcome
            if result.fitness.trained:
                known[result.ticket] = result.fitness.value
    places = np.array(owners, dtype=np.int64)
    return SearchHistory(arm, np.array(parents, dtype=np.int64), places, kinds, known[places], outcomes)


def best_so_far(history: SearchHistory) -> list[Row]:
    """The best program whenever it changes, and at the end: ``programs``, ``fitness``, ``program``."""
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
    """Programs that were evaluated and trained: ``programs``, ``fitness``, ``program``; and how many are left out.

    Args:
        history: a search.
        most: points to give; of more, every so many is taken.
    """
    owners = np.flatnonzero(np.isfinite(history.fitness) & (history.owners == np.arange(len(history))))
    kept = owners[:: max(-(-len(owners) // most), 1)]
    rows = [{"programs": int(t), "fitness": float(history.fitness[t]), "program": history.id(int(t))} for t in kept]
    return rows, len(owners) - len(kept)


def over_time(store: RunReader, history: SearchHistory) -> list[Row]:
    """Windows of the search: ``programs`` at the end of each, and what there is in it.

    ``hits`` is the share of the window's programs that an earlier one stands for, ``redundant`` that of statements that
    cannot influence the update, in some of the window's programs; ``best``, ``tenth``, ``median`` and ``ninetieth``
    are of the population's fitness at the window's end, as far as it trained.
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
    """Windows of evaluations: ``programs`` at the end, ``outcome``, ``share`` and ``count`` of that outcome."""
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
"""What became of a child, against its parent."""


def mutation_statistics(history: SearchHistory) -> list[Row]:
    """What each kind of mutation led to.

    Returns:
        For each kind its number of ``children``, how many of them have each verdict, the ``median_gain`` in fitness of
        those that are better, None without any.
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
    """At most ``LOOKED_AT`` whole numbers from ``first`` to ``last``, evenly spread."""
    return sorted({int(t) for t in np.linspace(first, last, min(LOOKED_AT, last - first + 1))})
