"""One search's part of a run file, as its session sees it."""

from __future__ import annotations

from collections.abc import Sequence

from dsl.program import Program
from runs.reader import Arm
from runs.store import RunStore
from search.events import Evaluated, Settled
from search.meta_validation import Validation


class ArmLedger:
    """Records of one search.

    Args:
        store: the run.
        arm: the search.
    """

    def __init__(self, store: RunStore, arm: Arm):
        self._store, self._arm = store, arm

    def append(self, evaluated: Sequence[Evaluated], settled: Sequence[Settled]) -> None:
        """Make results and settled tickets durable."""
        self._store.append(self._arm, evaluated, settled)

    def add_validation(self, validation: Validation) -> None:
        """Make a meta-validation durable."""
        self._store.add_validation(self._arm, validation)

    def program(self, ticket: int) -> Program:
        """The program of a settled ticket."""
        return self._store.ticket(self._arm, ticket).candidate.program
