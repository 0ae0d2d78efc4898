"""Records of one search in a run file, for its session."""

from __future__ import annotations

from collections.abc import Sequence

from optsearch.dsl.program import Program
from optsearch.runs.store.records import Search
from optsearch.runs.store.writer import RunStore
from optsearch.search.events import Evaluated, Settled
from optsearch.search.evolution import History
from optsearch.search.meta_validation import Validation


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
