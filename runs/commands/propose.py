"""Proposes programs to a run: verifies them, refuses duplicates, and leaves the others in the run's inbox.

Nothing is trained here. The search takes waiting proposals up while it runs, at most the share of its evaluations that
the campaign allows; proposals to a search that does not run wait until it is resumed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from optsearch.dsl.errors import UserError
from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.program import Program, ProgramError
from optsearch.runs.library.references import load_program, read_program
from optsearch.runs.store import inbox
from optsearch.runs.store.compatibility import version_fault
from optsearch.runs.store.errors import RunError
from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.searches import SEARCH, search_spent
from optsearch.runs.summary.status import status
from optsearch.search.proposals import check_length

When = Literal["running", "resumed", "extended"]

STANDARD_INPUT = "-"
"""Stands for a program on the standard input."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A program to propose.

    Attributes:
        name: how the call names it: a file as it was given, or another name.
        read: returns the program, or raises UserError.
        recorded: name under which the run records it.
    """

    name: str
    read: Callable[[], Program]
    recorded: str

    @classmethod
    def from_file(cls, file: str) -> Draft:
        """A program in a file; ``-`` for the standard input."""
        name = "standard input" if file == STANDARD_INPUT else Path(file).name
        return cls(file, partial(_read, file), name)

    @classmethod
    def from_reference(cls, program: str | Program, number: int) -> Draft:
        """A program as a value, or by its name, file or ``RUN:ID``; values are called by their number."""
        name = program if isinstance(program, str) else f"program {number}"
        return cls(name, lambda: load_program(program).program, name)


@dataclass(frozen=True, slots=True)
class Offered:
    """What became of one program.

    Attributes:
        file: its name in the call.
        fingerprint: fingerprint of its program; None if it has no valid program.
        refusal: reason for which it was refused; None if it was accepted.
        equals: id of the program of the run with the same meaning; None if there is none.
    """

    file: str
    fingerprint: str | None
    refusal: str | None = None
    equals: str | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """Result of a call of ``propose``.

    Attributes:
        run: the run folder.
        source: name under which the programs are recorded.
        files: what became of each program, in order.
        waiting: number of proposals that now wait for the run, those of earlier calls included.
        when: when the search takes them up: ``running`` (now), ``resumed``, or ``extended`` (resumed with a larger
            budget).
        next: the same as a sentence.
    """

    run: Path
    source: str
    files: tuple[Offered, ...]
    waiting: int
    when: When
    next: str

    @property
    def refused(self) -> int:
        """Number of programs that were refused."""
        return sum(offered.refusal is not None for offered in self.files)


def propose(run: Path, drafts: Sequence[Draft], source: str) -> Offer:
    """Proposes programs to the main search of a run.

    Valid programs are accepted even if others are refused.

    Args:
        run: the run folder.
        drafts: the programs.
        source: name under which the programs are recorded.

    Returns:
        What became of each program.

    Raises:
        RunError: the folder is not a run of this version, its campaign admits no proposals, its inbox is full or cannot
            be written, or ``source`` is no name.
    """
    if not (source.strip() and source.isprintable() and len(source) <= inbox.LONGEST_NAME):
        raise RunError(f"source {source!r:.60}: use a name of 1 to {inbox.LONGEST_NAME} printable characters")
    if [draft.name for draft in drafts].count(STANDARD_INPUT) > 1:
        raise RunError("the standard input is given twice: name it once")
    with RunStore.read(run) as store:
        _check(store)
        known = _waiting(store)
        room = inbox.MOST_WAITING - len(inbox.waiting(run))
        offered: list[Offered] = []
        accepted: list[tuple[str, Program]] = []
        for draft in drafts:
            program, answer = _look(store, draft, known)
            if program is not None and len(accepted) == room:
                answer = Offered(
                    draft.name,
                    answer.fingerprint,
                    f"{inbox.MOST_WAITING} proposals wait for this run, as many as may: try again when some have "
                    "entered the search",
                )
            elif program is not None:
                accepted.append((_printable(draft.recorded), program))
                known[answer.fingerprint or ""] = draft.name
            offered.append(answer)
        if accepted:
            inbox.add(run, source, accepted)
        return Offer(run, source, tuple(offered), len(inbox.waiting(run)), *_next(store))


def _check(store: RunReader) -> None:
    fault = version_fault(store)
    if fault is not None:
        raise RunError(f"{store.folder}: {fault}: only that version can take proposals up")
    if store.config.proposals.share == 0.0:
        raise RunError(
            f"{store.folder}: the campaign admits no proposals (proposals.share is 0): start a run with a larger share"
        )


def _waiting(store: RunReader) -> dict[str, str]:
    """Fingerprints of the proposals that wait or have entered without a result, with the names of their files."""
    known: dict[str, str] = {}
    if SEARCH in [search.name for search in store.searches()]:
        entered = store.proposals(store.search(SEARCH)).values()
        known = {fingerprint(proposal.program): proposal.file for proposal in entered}
    for key in inbox.waiting(store.folder):
        try:
            proposal = inbox.read(store.folder, key)
        except ProgramError:
            continue
        known[fingerprint(proposal.program)] = proposal.file
    return known


def _look(store: RunReader, draft: Draft, known: dict[str, str]) -> tuple[Program | None, Offered]:
    """Reads a program; None if it is refused."""
    name = draft.name
    try:
        program = draft.read()
        check_length(program, store.config.limits)
    except UserError as error:
        return None, Offered(name, None, str(error))
    meaning = fingerprint(program)
    if SEARCH in [search.name for search in store.searches()]:
        search = store.search(SEARCH)
        owner = store.owner_of(search, meaning)
        if owner is not None:
            equal = search.program_id(owner)
            reason = f"it is equivalent to program {equal} of the run: `optsearch show {store.folder}:{equal}`"
            return None, Offered(name, meaning, reason, equal)
    if meaning in known:
        return None, Offered(name, meaning, f"it is equivalent to {known[meaning]}, which has been proposed already")
    return program, Offered(name, meaning)


def _read(file: str) -> Program:
    try:
        if file == STANDARD_INPUT:
            return read_program(lambda: nullcontext(sys.stdin.buffer))
        return read_program(partial(Path(file).open, "rb"))
    except ValueError as error:
        if isinstance(error, ProgramError):
            raise
        raise ProgramError(f"not the name of a file: {error}") from error  # such as one with a null character


def _printable(name: str) -> str:
    """A name that a run can record."""
    return "".join(c if c.isprintable() else "?" for c in name)[: inbox.LONGEST_NAME] or "?"


def _next(store: RunReader) -> tuple[When, str]:
    """Says when waiting proposals enter the search."""
    now, config = status(store), store.config
    begun = SEARCH in [search.name for search in store.searches()]
    if begun and search_spent(store, config):
        return "extended", (
            "the search has spent its budget: proposals wait until it is resumed with a larger one, such as "
            f"`--set budget.{config.budget.counted[0]}=...`"
        )
    share = f"at most {config.proposals.share:.0%} of its evaluations"
    if now == "running":
        return "running", f"the running search takes them up, {share}"
    return "resumed", f"the search takes them up when it is resumed, {share}"
