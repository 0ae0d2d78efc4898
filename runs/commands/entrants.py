"""Candidates of a funnel: the best programs of one or several runs, without semantic or behavioural duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.program import Program
from optsearch.runs.library.references import recorded
from optsearch.runs.store.errors import RunError
from optsearch.runs.store.reader import RunReader
from optsearch.runs.summary.searches import without_controls
from optsearch.runs.summary.selections import Double, EnteredProgram
from optsearch.selection.behaviour import stand_ins
from optsearch.selection.funnel import CandidatesConfig


@dataclass(frozen=True, slots=True)
class Entrant:
    """A program that enters a funnel.

    Attributes:
        name: run and id, as ``RUN:ID``.
        program: the program, with the learning rate of its evaluation.
        fitness: fitness in the search.
        fingerprint: semantic fingerprint of the program.
    """

    name: str
    program: Program
    fitness: float
    fingerprint: str

    @property
    def recorded(self) -> EnteredProgram:
        """The program as recorded in the settings of a study."""
        return EnteredProgram(self.name, self.fingerprint, self.fitness, str(self.program))


@dataclass(frozen=True, slots=True)
class Candidates:
    """The programs that enter a funnel.

    Attributes:
        entrants: the programs, best first.
        considered: number of programs at the top of the runs' leaderboards.
        doubles: the programs among them for which an entrant stands.
    """

    entrants: tuple[Entrant, ...]
    considered: int
    doubles: tuple[Double, ...]


def candidates(stores: Sequence[RunReader], config: CandidatesConfig) -> Candidates:
    """Chooses the programs that enter a funnel.

    Runs contribute their best remaining program in turn, because fitness values of different tasks are not comparable.

    Args:
        stores: the runs.
        config: number and filters of candidates.

    Raises:
        RunError: no program has trained yet, or a program does not match its recorded fingerprint.
    """
    queues = [_best(store, name, config.per_run) for name, store in zip(run_names(stores), stores, strict=True)]
    turns = [queue[place] for place in range(max(map(len, queues))) for queue in queues if place < len(queue)]
    unique = {candidate.fingerprint: candidate for candidate in reversed(turns)}
    ordered = list(unique.values())[::-1]
    stand = stand_ins([candidate.program for candidate in ordered], config.distance)
    found = [ordered[index] for index in dict.fromkeys(stand)][: config.most]
    if not found:
        raise RunError(f"{stores[0].folder}: no program has trained yet: continue the search")
    of = {candidate.fingerprint: ordered[index] for candidate, index in zip(ordered, stand, strict=True)}
    doubles = tuple(
        Double(candidate.name, of[candidate.fingerprint].name, unique[candidate.fingerprint] is not candidate)
        for candidate in turns
        if of[candidate.fingerprint] is not candidate and of[candidate.fingerprint] in found
    )
    return Candidates(tuple(found), sum(map(len, queues)), doubles)


def run_names(stores: Sequence[RunReader]) -> list[str]:
    """Display names of runs: folder names, or paths if two folders have the same name."""
    names = [store.folder.name for store in stores]
    return [str(s.folder) if names.count(name) > 1 else name for name, s in zip(names, stores, strict=True)]


def _best(store: RunReader, run: str, count: int) -> list[Entrant]:
    """The best programs of a run's searches, in order of increasing fitness."""
    found: list[Entrant] = []
    for search in without_controls(store):
        for entry in store.leaderboard(search, count):
            if entry.fitness.value is None:
                continue
            name = f"{run}:{search.program_id(entry.ticket)}"
            program = recorded(store, name, search, entry.ticket).scored
            found.append(Entrant(name, program, entry.fitness.value, fingerprint(program)))
    return sorted(found, key=lambda candidate: (candidate.fitness, candidate.name))[:count]
