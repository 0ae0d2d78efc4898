"""Records of one search in a run file, and proposals that wait for it, for its session."""

from __future__ import annotations

from collections.abc import Sequence

from optsearch.dsl.program import Program, ProgramError
from optsearch.runs.store import inbox
from optsearch.runs.store.records import Search
from optsearch.runs.store.writer import RunStore
from optsearch.search.events import Evaluated, Settled
from optsearch.search.evolution import History
from optsearch.search.meta_validation import Validation
from optsearch.search.proposals import Proposal, check_length
from optsearch.search.variation.mutation_config import LimitsConfig


class SearchLedger:
    """Records of one search.

    Args:
        store: the run.
        search: the search.
    """

    def __init__(self, store: RunStore, search: Search):
        self._store, self._search = store, search

    def history(self, tail: int | None) -> History | None:
        """All results and the last ``tail`` tickets, or all of them; None if nothing is recorded yet.

        Raises:
            DamagedRunError: a record is damaged or missing.
        """
        begun = self._store.settled(self._search) or self._store.count_evaluations(self._search)
        return self._store.history(self._search, tail) if begun else None

    def append(self, evaluated: Sequence[Evaluated], settled: Sequence[Settled]) -> None:
        """Records results and settled tickets durably."""
        self._store.append(self._search, evaluated, settled)

    def add_validation(self, validation: Validation) -> None:
        """Records a meta-validation durably."""
        self._store.add_validation(self._search, validation)

    def program(self, ticket: int) -> Program:
        """The program of a settled ticket."""
        return self._store.ticket(self._search, ticket).candidate.program


class SearchInbox:
    """Proposals that wait for one search.

    Args:
        store: the run.
        search: the search.
        limits: bounds on programs; longer ones are refused.
    """

    def __init__(self, store: RunStore, search: Search, limits: LimitsConfig):
        self._store, self._search, self._limits = store, search, limits
        self._recorded = {proposal.key for proposal in store.proposals(search).values()}

    def first(self) -> Proposal | None:
        """Returns the oldest valid proposal, and refuses invalid ones before it; None if none waits."""
        folder = self._store.folder
        for key in inbox.waiting(folder):
            if key in self._recorded:  # the process was killed before it removed the file
                inbox.remove(folder, key)
                continue
            try:
                proposal = inbox.read(folder, key)
                check_length(proposal.program, self._limits)
            except ProgramError:
                inbox.refuse(folder, key)
                continue
            return proposal
        return None

    def enter(self, ticket: int, proposal: Proposal) -> None:
        """Records durably that a proposal enters at a ticket, and removes its file."""
        self._store.add_proposal(self._search, ticket, proposal)
        self._recorded.add(proposal.key)
        inbox.remove(self._store.folder, proposal.key)
