"""The best semantically distinct programs of a search."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from optsearch.dsl.dataflow import prune
from optsearch.dsl.program import Program
from optsearch.runs.store.reader import RunReader
from optsearch.runs.summary.finalists import best, finalist_mean
from optsearch.runs.summary.searches import SEARCH


@dataclass(frozen=True, slots=True)
class RankedProgram:
    """A program of the leaderboard.

    Attributes:
        id: id of the program within the run.
        fitness: fitness of the program; None if it did not train.
        program: the program.
        live: the program without dead statements.
        finalist: mean loss, or score with several tasks, on the selection seeds; None if the program is no finalist, or
            a run failed.
        best: True for the best program of the search, which the selection seeds decide.
    """

    id: str
    fitness: float | None
    program: Program
    live: Program
    finalist: float | None
    best: bool


@dataclass(frozen=True, slots=True)
class RankedChild(RankedProgram):
    """A program of the leaderboard with its parent.

    Attributes:
        mutation: description of the mutation of the parent.
        parent: the parent; None for the warm start and for independently sampled programs.
        parent_id: id of the parent within the run; None without a parent.
    """

    mutation: str
    parent: Program | None
    parent_id: str | None


def leaderboard(store: RunReader, count: int) -> list[RankedProgram]:
    """The best distinct programs of the main search, in order of increasing fitness.

    Args:
        store: the run.
        count: maximum number of programs.

    Raises:
        RunError: the run has no main search yet.
    """
    search = store.search(SEARCH)
    ranked: list[RankedProgram] = []
    finals, entries = store.finals(), store.leaderboard(search, count)
    chosen = best(store, search, finals).ticket if entries else None
    for entry in entries:
        program, name = store.ticket(search, entry.ticket).candidate.program, search.program_id(entry.ticket)
        mean = finalist_mean(store, name, finals)
        is_best = entry.ticket == chosen
        ranked.append(RankedProgram(name, entry.fitness.value, program, prune(program), mean, is_best))
    return ranked


def with_parents(store: RunReader, ranked: Iterable[RankedProgram]) -> list[RankedChild]:
    """Adds the mutation and the parent to each program of a leaderboard."""
    children: list[RankedChild] = []
    for row in ranked:
        search, ticket = store.find(row.id)
        item = store.ticket(search, ticket).candidate
        parent, parent_id = None, None
        if item.parent is not None:
            parent, parent_id = store.ticket(search, item.parent).candidate.program, search.program_id(item.parent)
        children.append(
            RankedChild(
                row.id,
                row.fitness,
                item.program,
                row.live,
                row.finalist,
                row.best,
                item.mutation,
                parent,
                parent_id,
            )
        )
    return children
