"""Write access to a run: one SQLite file in a folder, with one writer and any number of concurrent readers.

Records are durable when the call returns (write-ahead log, synchronous=FULL), and a search uses results only after they
are recorded. A killed process loses at most the evaluations in flight; the file needs no repair, and the kernel
releases the writer lock. ``schema`` describes the records and the detection of damage.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from optsearch.dsl.fingerprint import FINGERPRINT_VERSION
from optsearch.runs.store import inbox
from optsearch.runs.store.compatibility import differences, task_changes, version_fault
from optsearch.runs.store.decoding import Cell
from optsearch.runs.store.errors import RunError, plain_errors
from optsearch.runs.store.lock import LOCK_FILE, WriterLock, is_locked
from optsearch.runs.store.opening import BUSY_TIMEOUT_S, check_version, connect, is_run, make_durable, require_run
from optsearch.runs.store.reader import RUN_FILE, RunReader, has_log
from optsearch.runs.store.records import Final, JsonObject, Search
from optsearch.runs.store.schema import (
    SCHEMA_VERSION,
    create_tables,
    insert,
    pack_details,
    pack_program,
    signed,
)
from optsearch.runs.store.stream import FinalsRecorded, Record, ResultsRecorded, ValidationRecorded
from optsearch.search.events import Evaluated, Settled
from optsearch.search.evolution import SEARCH_VERSION
from optsearch.search.meta_validation import Validation
from optsearch.search.proposals import Proposal

_NEW_FILE = "run.sqlite.new"


class RunStore(RunReader):
    """A run open for writing, from ``create``, ``resume`` or ``amend`` to ``close`` or the end of a ``with`` block."""

    def __init__(self, folder: Path, connection: sqlite3.Connection, lock: WriterLock):
        super().__init__(folder, connection)
        self._lock = lock
        self._session = 0
        self._began = time.monotonic()
        self._listener: Callable[[Record], None] | None = None

    def listen(self, listener: Callable[[Record], None]) -> None:
        """Sets the receiver of every further record of results, which is called once the record is durable."""
        self._listener = listener

    # Opening

    @staticmethod
    def exists(folder: Path) -> bool:
        """True if a folder contains a run."""
        return is_run(folder)

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        campaign: str,
        settings: JsonObject,
        about: Mapping[str, str],
        tasks: Mapping[str, str],
        force: bool = False,
    ) -> RunStore:
        """Creates a new run and opens it for writing.

        Args:
            folder: run folder; created if it does not exist.
            campaign: original text of the campaign.
            settings: all settings as JSON values; ``resume`` compares them.
            about: versions of packages and type of machine, as JSON values.
            tasks: versions by name of all tasks that the run trains on; ``resume`` compares them.
            force: if True, removes an existing run.

        Raises:
            RunError: the folder contains a run or other files, another process writes the run, or it cannot be written.
        """
        if folder.exists() and not folder.is_dir():
            raise RunError(f"{folder}: this is a file, not a folder: choose another with --out")
        if cls.exists(folder) and not force:
            raise RunError(
                f"{folder}: there is a run already: choose another folder with --out, or --force to replace it"
            )
        ours = {RUN_FILE, _NEW_FILE, LOCK_FILE, *(f"{n}{s}" for n in (RUN_FILE, _NEW_FILE) for s in ("-wal", "-shm"))}
        if folder.exists() and not cls.exists(folder) and any(entry.name not in ours for entry in folder.iterdir()):
            raise RunError(f"{folder}: the folder holds other files: choose an empty or new one with --out")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{folder}: cannot make this folder: {error.strerror}") from error
        lock = WriterLock(folder)
        try:
            for name in sorted(ours - {LOCK_FILE}):
                (folder / name).unlink(missing_ok=True)
            inbox.clear(folder)
            with plain_errors(folder / RUN_FILE):
                connection = connect(folder / _NEW_FILE)
                with connection:
                    create_tables(connection)
                    created = {"campaign": campaign, "settings": settings, "about": about, "status": "new"}
                    created |= {"created": _now(), "fingerprint_version": FINGERPRINT_VERSION}
                    created |= {"search_version": SEARCH_VERSION, "tasks": tasks}
                    for key, value in created.items():
                        connection.execute(insert("meta"), signed("meta", (key, _dump(value))))
                connection.execute("PRAGMA journal_mode = DELETE")  # leaves a single complete file
                connection.close()
            os.replace(folder / _NEW_FILE, folder / RUN_FILE)
            make_durable(folder)
            return cls._open_writer(folder, lock, about)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def resume(
        cls,
        folder: Path,
        *,
        settings: JsonObject,
        about: Mapping[str, str],
        tasks: Mapping[str, str],
        extendable: Sequence[str] = ("budget", "controls"),
        complete: Callable[[JsonObject], JsonObject] = dict,
    ) -> RunStore:
        """Opens a run for writing, to resume it.

        Args:
            folder: the run folder.
            settings: all settings as JSON values.
            about: versions of packages and type of machine of this session.
            tasks: current versions by name of all tasks that the run trains on.
            extendable: top-level settings that may differ from the recorded ones; they are replaced.
            complete: function that adds missing settings to those recorded by an older version.

        Raises:
            RunError: the folder is not a run; another process writes it; its settings, its task versions or the version
                of the program differ.
        """
        store = cls.amend(folder, about)
        try:
            recorded = _plain(complete(store.meta("settings")))
            changes = [d for d in differences(recorded, _plain(settings)) if d[0].split(".")[0] not in extendable]
            if changes:
                listed = "; ".join(f"{key} is {_dump(was)} there and {_dump(now)} here" for key, was, now in changes)
                raise RunError(
                    f"{folder}: the run was started with other settings: {listed}: use the same settings to go on with "
                    "it, another folder (--out), or --force to start again"
                )
            fault = version_fault(store)
            if fault is not None:
                raise RunError(f"{folder}: {fault}: go on with the version that started it")
            changed = task_changes(store, tasks)
            if changed:
                raise RunError(
                    f"{folder}: {'; '.join(changed)}: losses of two versions cannot be compared. Bring the task back "
                    "to what it was, choose another folder (--out), or --force to start again"
                )
            if recorded != _plain(settings):
                store.set_meta("settings", settings)
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def amend(cls, folder: Path, about: Mapping[str, str]) -> RunStore:
        """Opens a run to add studies; its searches are not modified.

        Args:
            folder: the run folder.
            about: versions of packages and type of machine of this session.

        Raises:
            RunError: the folder is not a run, another process writes it, or a newer version of the program created it.
        """
        require_run(folder)
        lock = WriterLock(folder)
        try:
            return cls._open_writer(folder, lock, about)
        except BaseException:
            lock.release()
            raise

    @staticmethod
    def read(folder: Path) -> RunReader:
        """Opens a snapshot of a run for reading, even while another process writes it.

        Runs in read-only folders are supported.

        Args:
            folder: the run folder.

        Raises:
            RunError: the folder is not a run, a newer version of the program created it, or the folder is read-only and
                its write-ahead log has not been merged into the file.
        """
        require_run(folder)
        path = folder / RUN_FILE
        still = not os.access(folder, os.W_OK) and not is_locked(folder)  # SQLite cannot create its index of the log
        if still and has_log(folder) and not (folder / f"{RUN_FILE}-shm").exists():
            raise RunError(
                f"{folder}: the latest records are in {RUN_FILE}-wal, which can only be merged where the folder can be "
                "written: copy the whole folder to such a place"
            )
        mode = "immutable=1" if still and not has_log(folder) else "mode=ro"
        with plain_errors(path):
            connection = sqlite3.connect(
                f"{path.resolve().as_uri()}?{mode}", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None
            )
            check_version(connection, folder)
            connection.execute("BEGIN")
        return RunReader(folder, connection)

    @classmethod
    def _open_writer(cls, folder: Path, lock: WriterLock, about: Mapping[str, str]) -> RunStore:
        path = folder / RUN_FILE
        with plain_errors(path):
            connection = connect(path)
            version = check_version(connection, folder)
            store = cls(folder, connection, lock)
            connection.execute("PRAGMA trusted_schema = OFF")
            with connection:
                if version < SCHEMA_VERSION:
                    connection.execute("BEGIN IMMEDIATE")
                    create_tables(connection, after=version)
                count = connection.execute("SELECT count(*) FROM sessions").fetchone()[0]
                store._session = count + 1
                cells = (count + 1, _now(), 0.0, _dump(about))
                connection.execute(insert("sessions"), signed("sessions", cells))
        return store

    def close(self) -> None:
        """Closes the file and releases the lock."""
        super().close()
        self._lock.release()

    # Writing

    def set_meta(self, key: str, value: Any) -> None:
        """Records a named JSON value."""
        with plain_errors(self.path), self._connection:
            self._replace("meta", (key, _dump(value)))

    def add_search(self, name: str, prefix: str, settings: JsonObject) -> Search:
        """Returns a search by name; creates it if the run does not have it."""
        for search in self.searches():
            if search.name == name:
                return search
        number = len(self.searches())
        with plain_errors(self.path), self._connection:
            self._connection.execute(insert("arms"), signed("arms", (number, name, prefix, _dump(settings))))
            self._connection.execute(insert("totals"), signed("totals", (number, 0, 0, 0, 0)))
            self._replace("meta", ("arms", _dump(number + 1)))
        return self.search(name)

    def append(self, search: Search, evaluated: Sequence[Evaluated], settled: Sequence[Settled]) -> None:
        """Records results and settled tickets durably, in one transaction.

        Args:
            search: the search.
            evaluated: new results.
            settled: newly settled tickets, in order and without gaps between calls.
        """
        self._lock.require(self.folder)
        evaluations = [
            signed(
                "evaluations", (search.number, e.ticket, e.fingerprint, f.outcome, f.value, f.steps, f.seconds, curves)
            )
            for e in evaluated
            for f in (e.fitness,)
            for curves in (pack_details(f),)
        ]
        tickets = [
            signed("tickets", (search.number, c.ticket, c.parent, c.mutation, c.owner, pack_program(str(c.program))))
            for c in (item.candidate for item in settled)
        ]
        with plain_errors(self.path), self._connection:
            _, count, count_sum, done, done_sum, *_ = self._totals(search)
            self._connection.executemany(insert("evaluations"), evaluations)
            self._connection.executemany(insert("tickets"), tickets)
            for expected, ticket in enumerate(tickets, start=count):
                if ticket[1] != expected:
                    raise ValueError(f"ticket {ticket[1]} was recorded where {expected} was due")
            totals = (
                search.number,
                count + len(tickets),
                count_sum + sum(int(row[-1] or 0) for row in tickets),
                done + len(evaluations),
                done_sum + sum(int(row[-1] or 0) for row in evaluations),
            )
            self._replace("totals", totals)
            self._note_time()
        self._tell(ResultsRecorded(search, tuple(evaluated), tuple(settled)))

    def add_validation(self, search: Search, validation: Validation) -> None:
        """Records a meta-validation durably."""
        fitness = validation.fitness
        cells = (search.number, validation.ticket, validation.evaluations, fitness.outcome, fitness.value)
        cells += (fitness.steps, fitness.seconds)
        with plain_errors(self.path), self._connection:
            self._connection.execute(
                insert("validations").replace("INSERT", "INSERT OR REPLACE"), signed("validations", cells)
            )
            total = self._connection.execute("SELECT count(*), sum(checksum) FROM validations").fetchone()
            self._replace("meta", ("validations", _dump(total)))
            self._note_time()
        self._tell(ValidationRecorded(search, validation))

    def add_proposal(self, search: Search, ticket: int, proposal: Proposal) -> None:
        """Records durably that a proposal enters a search at a ticket."""
        self._lock.require(self.folder)
        about = (proposal.key, proposal.source, proposal.file, pack_program(str(proposal.program)))
        self._record("proposals", (search.number, ticket, *about))

    def add_final(self, finals: Sequence[Final]) -> None:
        """Records runs on further seeds durably; replaces existing ones."""
        self._lock.require(self.folder)
        rows = [
            signed("finals", (f.contender, f.task, f.seed, f.outcome, f.loss, f.test_loss, f.accuracy, f.steps))
            for f in finals
        ]
        with plain_errors(self.path), self._connection:
            self._connection.executemany(insert("finals").replace("INSERT", "INSERT OR REPLACE"), rows)
            total = self._connection.execute("SELECT count(*), sum(checksum) FROM finals").fetchone()
            self._replace("meta", ("finals", _dump(total)))
            self._note_time()
        self._tell(FinalsRecorded(tuple(finals)))

    def add_study(self, settings: JsonObject) -> int:
        """Creates a study and returns its number."""
        number = len(self.studies()) + 1
        self._record("studies", (number, _now(), _dump(settings), "running"))
        return number

    def add_stage(self, study: int, name: str, result: JsonObject) -> None:
        """Records the next stage of a study durably."""
        stage = len(self.studies()[study - 1].stages)
        self._record("stages", (study, stage, name, _dump(result)))

    def finish_study(self, study: int) -> None:
        """Marks a study as finished."""
        found = self.studies()[study - 1]
        self._record("studies", (study, found.created, _dump(found.settings), "finished"))

    def _record(self, table: str, cells: Sequence[Cell]) -> None:
        """Writes a record, and updates the number of records in ``meta``."""
        with plain_errors(self.path), self._connection:
            self._replace(table, cells)
            query = f"SELECT count(*), sum(checksum) FROM {table}"  # noqa: S608 - the table is a constant
            self._replace("meta", (table, _dump(self._connection.execute(query).fetchone())))

    def add_failure(self, search: Search, ticket: int, program: str, details: str) -> None:
        """Records an internal exception with the program that caused it."""
        with plain_errors(self.path), self._connection:
            number = self._connection.execute("SELECT count(*) FROM failures").fetchone()[0] + 1
            cells = (number, search.number, ticket, program, details)
            self._connection.execute(insert("failures"), signed("failures", cells))

    def _tell(self, record: Record) -> None:
        if self._listener is not None:
            self._listener(record)

    def _replace(self, table: str, cells: Sequence[Cell]) -> None:
        self._connection.execute(insert(table).replace("INSERT", "INSERT OR REPLACE"), signed(table, cells))

    def _note_time(self) -> None:
        row = self._row("sessions", "session = ?", (self._session,))
        self._replace("sessions", (*row[:2], time.monotonic() - self._began, row[3]))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Converts a value to the form in which JSON returns it."""
    return json.loads(_dump(value))
