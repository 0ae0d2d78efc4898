"""The Pareto front of a search: the programs that no other one beats in loss, state and length at once."""

from __future__ import annotations

from dataclasses import dataclass

from optsearch.runs.store.reader import RunReader
from optsearch.runs.summary.searches import SEARCH
from optsearch.search.evolution import WARM_START
from optsearch.search.population.archive import Size, dominates, size_of

CONSIDERED = 5_000
"""Number of programs of lowest fitness that are considered; measuring them takes about a second."""


@dataclass(frozen=True, slots=True)
class FrontProgram:
    """A program of the front.

    Attributes:
        id: id of the program within the run.
        fitness: its fitness.
        size: its state arrays as large as the parameters, and its live statements.
    """

    id: str
    fitness: float
    size: Size


def front(store: RunReader) -> list[FrontProgram]:
    """The front of the main search, in order of increasing fitness; empty before the search begins.

    Only programs at least as good as the warm start are considered, and of these the ``CONSIDERED`` best. The first is
    the program of lowest fitness; each further one has less state or fewer statements than all before it.

    Args:
        store: the run.
    """
    if SEARCH not in [search.name for search in store.searches()]:
        return []
    search = store.search(SEARCH)
    board = store.leaderboard(search, CONSIDERED)
    warm = next((entry.fitness.key for entry in board if entry.ticket == WARM_START), None)
    entries = [entry for entry in board if warm is None or entry.fitness.key <= warm]
    found: list[FrontProgram] = []
    for entry, program in zip(entries, store.programs(search, [entry.ticket for entry in entries]), strict=True):
        size = size_of(program)
        if entry.fitness.value is not None and not any(dominates(known.size, size) for known in found):
            found.append(FrontProgram(search.program_id(entry.ticket), entry.fitness.value, size))
    return found
