"""Resolves references to programs: names of library and discovered programs, files, and programs of runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from optsearch.dsl.fingerprint import FINGERPRINT_VERSION, fingerprint
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program, ProgramError
from optsearch.dsl.syntax import MAX_CHARACTERS, parse
from optsearch.dsl.verify import nearest, verify
from optsearch.runs.library.discovery import DISCOVERED, Discovery
from optsearch.runs.store.errors import RunError
from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.records import Search
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.finalists import best_ticket
from optsearch.search.events import Settled

MOST_LISTED = 5
"""Number of runs that an error message names."""

RUNS_FOLDER = Path("optsearch-runs")
"""Default folder of runs, unless --out is given."""


@dataclass(frozen=True, slots=True)
class NamedProgram:
    """A resolved reference to a program.

    Attributes:
        name: short name for tables and titles.
        program: the program; for a program of a run, with the learning rate of its evaluation.
        source: description of the source.
        run: folder and id of a program of a run; None for others.
        tasks: tasks of the search that found the program; empty for others.
        rate: factor on the learning rate that the search found best.
        discovery: entry of a discovered program; None for others.
    """

    name: str
    program: Program
    source: str
    run: tuple[Path, str] | None = None
    tasks: tuple[str, ...] = ()
    rate: float = 1.0
    discovery: Discovery | None = None


def run_folder(reference: str, others: Iterable[str] = ()) -> Path:
    """Resolves the folder of a run from a path or a name in ``optsearch-runs/``.

    Args:
        reference: the path or name.
        others: further names to suggest in the error message.

    Raises:
        RunError: the run does not exist.
    """
    for folder in existing_run(reference):
        return folder
    known = [entry.name for entry in sorted(RUNS_FOLDER.glob("*")) if RunStore.exists(entry)]
    reason = "it is a folder without a run file" if Path(reference).is_dir() else "there is no such folder"
    hint = nearest(reference, [*known, *others]) or _listed_runs(known)
    raise RunError(f"'{reference}' is not a run: {reason}{hint}")


def _listed_runs(names: list[str]) -> str:
    """Names the runs that exist, for a reference that resembles none of them."""
    if not names:
        return f"; there are no runs in {RUNS_FOLDER}"
    more = f" and {len(names) - MOST_LISTED} more: `optsearch runs` lists them" if len(names) > MOST_LISTED else ""
    return f"; the runs in {RUNS_FOLDER} are {', '.join(names[:MOST_LISTED])}{more}"


def existing_run(reference: str) -> list[Path]:
    """The folder of a run as a list, which is empty if there is none."""
    return [folder for folder in (Path(reference), RUNS_FOLDER / reference) if RunStore.exists(folder)][:1]


def run_folders(reference: str) -> list[Path]:
    """Resolves the folder of a run, or the folders of all runs of a study.

    Raises:
        RunError: the run does not exist.
    """
    for folder in (Path(reference), RUNS_FOLDER / reference):
        inside = [entry for entry in sorted(folder.glob("*")) if RunStore.exists(entry)]
        if inside and not RunStore.exists(folder):
            return inside
    return [run_folder(reference)]


def program_names() -> list[str]:
    """Names of the shipped programs, known optimizers first."""
    return [*LIBRARY, *DISCOVERED]


def is_program(reference: str) -> bool:
    """True if a reference names a standalone program or file, not a run or a program of a run."""
    return reference in LIBRARY or reference in DISCOVERED or Path(reference).is_file()


def load_program(reference: str | Program) -> NamedProgram:
    """Resolves a reference to a program.

    Args:
        reference: one of: the name of a library or discovered program; a file; ``RUN:ID``, where RUN is as in
            ``run_folder`` and ID is ``best`` or an id listed by ``optsearch show RUN``; a run, which stands for its
            best program; a program, which is named after its fingerprint.

    Raises:
        ProgramError: the program does not exist, or its text is invalid; the message names the file.
        ConfigError: the files of a discovered program are damaged.
        RunError: the run cannot be read, or does not contain the program.
    """
    if isinstance(reference, Program):
        verify(reference)
        return NamedProgram(f"program-{fingerprint(reference)[:8]}", reference, "Program given as a value")
    if reference in LIBRARY:
        return NamedProgram(reference, LIBRARY[reference], f"Library program {reference}")
    if reference in DISCOVERED:
        found = DISCOVERED[reference]
        source, tasks = f"Discovered program {reference}: {found.source}", tuple(found.record.origin.tasks)
        return NamedProgram(reference, found.program, source, tasks=tasks, discovery=found)
    path = Path(reference)
    if path.is_file():
        return NamedProgram(path.stem, _read(path), f"File {path.name}")
    run, colon, program_id = reference.rpartition(":")
    if colon or path.is_dir() or (RUNS_FOLDER / reference).is_dir():
        return _from_run(run if colon else reference, program_id if colon else "best")
    hint = nearest(reference, program_names()) or ","
    raise ProgramError(f"no program '{reference}': it is no file, no library program{hint} and no RUN:ID")


def _from_run(run: str, program_id: str) -> NamedProgram:
    folder = run_folder(run)
    with RunStore.read(folder) as store:
        search, ticket = best_ticket(store) if program_id == "best" else store.find(program_id)
        name = search.program_id(ticket)
        settled = recorded(store, f"{run}:{name}", search, ticket)
        config = store.config
        source = f"Program {name} of the run {folder.name} (campaign {config.name}, seed {config.seed})"
        about = (folder, name), tuple(config.fitness_task_names), settled.fitness.rate
        return NamedProgram(f"{folder.name}:{name}", settled.scored, source, *about)


def recorded(store: RunReader, name: str, search: Search, ticket: int) -> Settled:
    """Reads a program of a run, and verifies its recorded fingerprint.

    Args:
        store: the run.
        name: name of the program in error messages.
        search: search of the program.
        ticket: ticket of the program.

    Raises:
        RunError: the program does not match its recorded fingerprint.
    """
    settled = store.ticket(search, ticket)
    was, meaning = settled.candidate.fingerprint, fingerprint(settled.candidate.program)
    if store.meta("fingerprint_version") == FINGERPRINT_VERSION and meaning != was:
        raise RunError(
            f"{name}: the program has another meaning than was stored with it ({meaning}, not {was}): "
            f"`optsearch verify {store.folder}` says what else is wrong"
        )
    return settled


def read_program(opened: Callable[[], AbstractContextManager[BinaryIO]]) -> Program:
    """Reads a program from a file of text.

    Args:
        opened: opens the file.

    Raises:
        ProgramError: the file cannot be read, is no text, or holds no valid program.
    """
    try:
        with opened() as file:
            data = file.read(MAX_CHARACTERS + 1)
        return parse(data.decode("utf-8"))
    except OSError as error:
        raise ProgramError(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ProgramError(f"not a text file: byte {error.start} is not UTF-8") from error


def _read(path: Path) -> Program:
    try:
        return read_program(partial(path.open, "rb"))
    except ProgramError as error:
        raise ProgramError(f"{path}: {error}") from error
