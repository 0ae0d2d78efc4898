"""The programs that a funnel begins with: the best of one or several runs, each meaning and each behaviour once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.program import Program
from optsearch.runs.library.references import recorded
from optsearch.runs.store.errors import RunError
from optsearch.runs.store.reader import RunReader
from optsearch.runs.summary.arms import searches
from optsearch.selection.behaviour import distinct
from optsearch.selection.funnel import CandidatesConfig


@dataclass(frozen=True, slots=True)
class Entrant:
    """A program that enters a funnel.

    Attributes:
        name: run and id, as users write it.
        program: the program, at the learning rate that it was scored at.
        fitness: what the search found.
        fingerprint: its meaning.
    """

    name: str
    program: Program
    fitness: float
    fingerprint: str

    def as_values(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "fitness": self.fitness,
            "program": str(self.program),
        }


def candidates(stores: Sequence[RunReader], config: CandidatesConfig) -> tuple[list[Entrant], int]:
    """The programs that enter, and how many were looked at.

    Runs take turns, each with its best that is left, so that none is shut out by fitness values of another task.

    Args:
        stores: the runs.
        config: how many.

    Raises:
        RunError: nothing has trained yet, or a program does not mean what was stored with it.
    """
    queues = [_best(store, name, config.per_run) for name, store in zip(run_names(stores), stores, strict=True)]
    considered = sum(map(len, queues))
    turns = [queue[place] for place in range(max(map(len, queues))) for queue in queues if place < len(queue)]
    unique = list({candidate.fingerprint: candidate for candidate in reversed(turns)}.values())[::-1]
    kept = distinct([candidate.program for candidate in unique], config.distance)
    found = [unique[index] for index in kept][: config.most]
    if not found:
        raise RunError(f"{stores[0].folder}: no program has been evaluated yet: let the search run on")
    return found, considered


def run_names(stores: Sequence[RunReader]) -> list[str]:
    """What to call the runs: their folders' names, or where two have the same name their paths."""
    names = [store.folder.name for store in stores]
    return [str(s.folder) if names.count(name) > 1 else name for name, s in zip(names, stores, strict=True)]


def _best(store: RunReader, run: str, count: int) -> list[Entrant]:
    """The best programs of a run's searches, lowest fitness first."""
    found: list[Entrant] = []
    for arm in searches(store):
        for entry in store.leaderboard(arm, count):
            if entry.fitness.value is None:
                continue
            name = f"{run}:{arm.program_id(entry.ticket)}"
            program = recorded(store, name, arm, entry.ticket).scored
            found.append(Entrant(name, program, entry.fitness.value, fingerprint(program)))
    return sorted(found, key=lambda candidate: (candidate.fitness, candidate.name))[:count]
