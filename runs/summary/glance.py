"""Values of a live view that are queried rarely: redundancy, the best program, and meta-validation."""

from __future__ import annotations

from dataclasses import dataclass

from optsearch.dsl.program import Program
from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.records import Search
from optsearch.runs.summary.meta_validation import meta_validation
from optsearch.runs.summary.searches import SEARCH
from optsearch.search.events import Progress


@dataclass(frozen=True, slots=True)
class Glance:
    """Values of a live view that are queried rarely, besides the counts.

    Attributes:
        redundancy: fraction of redundant statements in the population; None if there are no statements.
        program: the best program; None if not known yet.
        ticket: ticket of this program; None without one.
        validation: description of the meta-validation; empty without.
    """

    redundancy: float | None = None
    program: Program | None = None
    validation: str = ""
    ticket: int | None = None


def glance(store: RunReader, search: Search, progress: Progress, redundant: float | None) -> Glance:
    """Reads the values of a live view besides the counts.

    Args:
        store: the run.
        search: the current search.
        progress: progress of this search.
        redundant: fraction of redundant statements in the population; None if there are no statements.
    """
    program = ticket = None
    if progress.best is not None and progress.best.ticket < store.settled(search):
        ticket = progress.best.ticket
        program = store.ticket(search, ticket).candidate.program
    validation = meta_validation(store, search) if search.name == SEARCH else None
    words = ""
    if validation is not None and validation.carry_forward is not None:
        latest = validation.programs[-1]
        loss = "does not train" if latest.loss is None else f"{latest.loss:.5f}"
        words = f"{validation.task}: latest {loss}, best program {validation.carry_forward}"
    return Glance(redundant, program, words, ticket)


def rivals(store: RunReader, search: Search) -> dict[str, float]:
    """Best fitness of the searches before another, by name."""
    found: dict[str, float] = {}
    for other in store.searches():
        for entry in store.leaderboard(other, 1) if other.number < search.number else ():
            if entry.fitness.value is not None:
                found[other.name] = entry.fitness.value
    return found
