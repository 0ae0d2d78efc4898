"""Proposals of a run: those that have entered its search, and those that wait."""

from __future__ import annotations

from dataclasses import dataclass

from optsearch.dsl.program import ProgramError
from optsearch.runs.store import inbox
from optsearch.runs.store.reader import RunReader
from optsearch.runs.summary.searches import SEARCH


@dataclass(frozen=True, slots=True)
class ProposedProgram:
    """A proposal that has not been refused.

    Attributes:
        id: id of the program within the run; None while it waits.
        source: name of the person or program that proposed it.
        file: name of its file.
        fitness: its fitness; None if it did not train or has not been evaluated.
        outcome: name of the outcome of its evaluation; None if it has not been evaluated.
    """

    id: str | None
    source: str
    file: str
    fitness: float | None = None
    outcome: str | None = None


def proposals(store: RunReader) -> list[ProposedProgram]:
    """The proposals of a run in the order in which they enter; those that wait come last.

    Args:
        store: the run.
    """
    found: list[ProposedProgram] = []
    recorded: set[str] = set()
    if SEARCH in [search.name for search in store.searches()]:
        search = store.search(SEARCH)
        settled = store.settled(search)
        for ticket, proposal in store.proposals(search).items():
            fitness = store.ticket(search, ticket).fitness if ticket < settled else None
            outcome, value = (None, None) if fitness is None else (fitness.outcome, fitness.value)
            found.append(ProposedProgram(search.program_id(ticket), proposal.source, proposal.file, value, outcome))
            recorded.add(proposal.key)
    for key in inbox.waiting(store.folder):
        try:
            proposal = inbox.read(store.folder, key)
        except ProgramError:  # refused when the search next takes up proposals
            continue
        if key not in recorded:
            found.append(ProposedProgram(None, proposal.source, proposal.file))
    return found
