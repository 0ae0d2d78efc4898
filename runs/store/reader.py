"""Read access to a run, for resuming searches and for inspection.

Every record is verified when it is read. A reader never writes, and sees a snapshot of the run from when it was opened.
"""

from __future__ import annotations

import heapq
import json
import math
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, TypeAdapter

from optsearch.dsl.program import Program, ProgramError
from optsearch.dsl.syntax import parse
from optsearch.runs.store.decoding import ABOUT, META, STAGE, STUDY, Cell, read_json
from optsearch.runs.store.errors import DamagedRunError, RunError, plain_errors
from optsearch.runs.store.records import Final, Search, SessionRecord, Stage, Study
from optsearch.runs.store.rows import check_links, check_outcome, read_evaluated, read_fitness
from optsearch.runs.store.schema import ADDED, COLUMNS, unpack_program, verified
from optsearch.search.algorithms import AlgorithmName
from optsearch.search.config import CampaignConfig
from optsearch.search.events import Best, Candidate, Evaluated, Progress, Settled
from optsearch.search.evolution import WARM_START, History
from optsearch.search.meta_validation import Validation
from optsearch.search.population.population import population_digest
from optsearch.search.proposals import Proposal

RUN_FILE = "run.sqlite"

REQUIRED = ("campaign", "settings", "about", "status", "created", "fingerprint_version")
"""Keys of the table ``meta`` that every run has."""


SETTINGS: TypeAdapter[Any] = TypeAdapter(CampaignConfig)
"""Model of the settings of a run, including those recorded by older versions."""


class _SearchSettings(BaseModel):
    """Settings of one search."""

    algorithm: AlgorithmName
    stage: Literal["first"] | None = None
    start: str = "0"


SEARCH_SETTINGS: TypeAdapter[Any] = TypeAdapter(_SearchSettings)


@lru_cache(maxsize=32)
def _config(settings: str) -> CampaignConfig:
    return CampaignConfig.model_validate(json.loads(settings))


def has_log(folder: Path) -> bool:
    """True if a run file has a nonempty write-ahead log; SQLite removes it when the last process closes the file."""
    log = folder / f"{RUN_FILE}-wal"
    return log.exists() and log.stat().st_size > 0


class RunReader:
    """Read access to an open run.

    Args:
        folder: the run folder.
        connection: open connection to the run file.
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection):
        self.folder, self.path, self._connection = folder, folder / RUN_FILE, connection

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def meta(self, key: str, default: Any = None) -> Any:
        """A named JSON value: ``campaign``, ``settings``, ``about``, ``status``, ``created``, or one added later."""
        with plain_errors(self.path):
            rows = self._rows("meta", "+key = ?", (key,))  # the plus sign forces a full scan, without the index
            text = next((row[1] for row in rows), None)
            if text is None:
                if key in REQUIRED:
                    raise DamagedRunError(f"table meta: record ({key}) is missing")
                return default
            return read_json("meta", key, text, SETTINGS if key == "settings" else META[key])

    @property
    def config(self) -> CampaignConfig:
        """Settings of the run; settings unknown to the version that recorded them have their defaults."""
        return _config(json.dumps(self.meta("settings"), sort_keys=True))

    def searches(self) -> tuple[Search, ...]:
        """The searches of the run, in the order in which they were added."""
        with plain_errors(self.path):
            searches = [
                Search(row[0], row[1], row[2], read_json("arms", row[0], row[3], SEARCH_SETTINGS))
                for row in self._rows("arms", "1 ORDER BY +arm")
            ]
            if [search.number for search in searches] != list(range(self.meta("arms", 0))):
                raise DamagedRunError("table arms: a record is missing")
            return tuple(searches)

    def search(self, name: str) -> Search:
        """Returns a search by name.

        Raises:
            RunError: the run has no such search.
        """
        for search in self.searches():
            if search.name == name:
                return search
        raise RunError(f"{self.folder}: the run has no search named '{name}'")

    def find(self, program_id: str) -> tuple[Search, int]:
        """Resolves a program id such as ``8123``, ``c8123`` or ``0`` to search and ticket.

        Raises:
            RunError: the run has no such program.
        """
        for search in self.searches():
            if program_id == "0" and self.settled(search):
                return search, WARM_START
            digits = program_id.removeprefix(search.prefix)
            number = program_id.startswith(search.prefix) and digits.isascii() and digits.isdigit() and len(digits) < 16
            if number and int(digits) < self.settled(search):
                return search, int(digits)
        raise RunError(
            f"{self.folder}: the run has no program '{program_id}': `optsearch show {self.folder}` lists them"
        )

    def settled(self, search: Search) -> int:
        """Number of recorded tickets, including the warm start."""
        with plain_errors(self.path):
            return self._totals(search)[1]

    def history(self, search: Search, tail: int | None) -> History:
        """State from which ``Evolution`` resumes: all results, and the last ``tail`` tickets with their programs.

        Args:
            search: the search.
            tail: number of tickets; None for all.

        Raises:
            DamagedRunError: a record is damaged or missing.
        """
        results = list(self.evaluations(search))
        settled = self.settled(search)
        with plain_errors(self.path):
            ticket_sum = self._totals(search)[2]
            where, key = "FROM tickets WHERE arm = ?", (search.number,)
            found = self._connection.execute(f"SELECT count(*), total(checksum) {where}", key).fetchone()
            if found[0] != settled or int(found[1]) != ticket_sum:
                raise DamagedRunError(f"table tickets: {settled} records were written and {found[0]} others are there")
        by_ticket = {result.ticket: result for result in results}
        recent = self.tickets(search, 0 if tail is None else max(settled - tail, 0), by_ticket)
        return History(settled - 1, tuple(recent), results)

    def verify_records(self) -> dict[str, int]:
        """Reads all records of the file, and checks that none is damaged or missing.

        Returns:
            Number of records of each table.

        Raises:
            DamagedRunError: a record is damaged or missing.
        """
        with plain_errors(self.path):
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            tables = [table for table in COLUMNS if ADDED.get(table, 1) <= version]
            counts = {table: sum(1 for _ in self._rows(table, "1")) for table in tables}
        for search in self.searches():
            self.history(search, 0)
            self.validations(search)
            self.proposals(search)
        self.finals()
        self.studies()
        self.sessions()
        for key in META:
            self.meta(key)
        return counts

    def count_evaluations(self, search: Search) -> int:
        """Number of recorded results, including the warm start."""
        with plain_errors(self.path):
            return int(self._totals(search)[3])

    def evaluations(self, search: Search) -> Iterator[Evaluated]:
        """All results in ticket order, starting with the warm start; verifies each record and that none is missing."""
        with plain_errors(self.path):
            _, _, _, count, total, *_ = self._totals(search)
            for row in self._rows("evaluations", "arm = ? ORDER BY ticket", (search.number,)):
                count, total = count - 1, total - row[-1]
                yield read_evaluated(row)
            if count or total:
                raise DamagedRunError("table evaluations: records are missing or were replaced")

    def tickets(
        self, search: Search, first: int, evaluated: Mapping[int, Evaluated], last: int | None = None
    ) -> Iterator[Settled]:
        """Tickets from ``first`` to ``last`` (None: the end), in order, with their programs and fitness.

        Args:
            search: the search.
            first: lowest ticket.
            evaluated: results by ticket, at least of all owners.
            last: highest ticket.

        Raises:
            DamagedRunError: a record is damaged or missing.
        """
        with plain_errors(self.path):
            end = self._totals(search)[1] - 1
            upper = end if last is None else min(last, end)
            where = "arm = ? AND ticket BETWEEN ? AND ? ORDER BY ticket"
            for row in self._rows("tickets", where, (search.number, first, upper)):
                _, ticket, parent, mutation, owner, packed, _ = check_links(row)
                if ticket != first:
                    break
                first += 1
                if owner not in evaluated:
                    raise DamagedRunError(f"table evaluations: record ({search.number}, {owner}) is missing")
                result = evaluated[owner]
                program = self._parsed(search.program_id(ticket), packed)
                candidate = Candidate(ticket, parent, mutation, program, result.fingerprint, owner, evaluate=False)
                yield Settled(candidate, result.fitness)
            if first <= upper:
                raise DamagedRunError(f"table tickets: record ({search.number}, {first}) is missing")

    def links(self, search: Search) -> Iterator[tuple[int | None, str, int]]:
        """Parent, mutation and owner of all recorded tickets in order; skips the programs, which are slow to read."""
        with plain_errors(self.path):
            for row in self._rows("tickets", "arm = ? ORDER BY ticket", (search.number,)):
                _, _, parent, mutation, owner, *_ = check_links(row)
                yield parent, mutation, owner

    def ticket(self, search: Search, ticket: int) -> Settled:
        """Returns a ticket with its program and fitness.

        Raises:
            RunError: the ticket is not recorded.
        """
        with plain_errors(self.path):
            if not 0 <= ticket < self._totals(search)[1]:
                raise RunError(f"{self.folder}: the run has no program '{search.program_id(ticket)}'")
            row = check_links(self._row("tickets", "arm = ? AND ticket = ?", (search.number, ticket)))
            result = self.evaluation(search, int(row[4]))
        return next(self.tickets(search, ticket, {result.ticket: result}, ticket))

    def evaluation(self, search: Search, owner: int) -> Evaluated:
        """The result of an owner ticket."""
        with plain_errors(self.path):
            return read_evaluated(self._row("evaluations", "arm = ? AND ticket = ?", (search.number, owner)))

    def validations(self, search: Search) -> tuple[Validation, ...]:
        """Meta-validations of a search, in the order in which their programs were selected."""
        with plain_errors(self.path):
            if self._connection.execute("PRAGMA user_version").fetchone()[0] < ADDED["validations"]:
                return ()
            rows = list(self._rows("validations", "1 ORDER BY +evaluations, +ticket"))
            if [len(rows), sum(row[-1] for row in rows)] != self.meta("validations", [0, 0]):
                raise DamagedRunError("table validations: records are missing or were replaced")
            mine = [row for row in rows if row[0] == search.number]
            return tuple(Validation(row[1], row[2], read_fitness("validations", row, row[3:7])) for row in mine)

    def proposals(self, search: Search) -> dict[int, Proposal]:
        """Proposals of a search by the ticket at which they enter.

        Raises:
            DamagedRunError: a record is damaged or missing.
            RunError: a program is not valid in this version.
        """
        with plain_errors(self.path):
            if self._connection.execute("PRAGMA user_version").fetchone()[0] < ADDED["proposals"]:
                return {}
            rows = list(self._rows("proposals", "1 ORDER BY +arm, +ticket"))
            if [len(rows), sum(row[-1] for row in rows)] != self.meta("proposals", [0, 0]):
                raise DamagedRunError("table proposals: records are missing or were replaced")
            mine = [row for row in rows if row[0] == search.number]
            return {
                ticket: Proposal(key, source, file, self._parsed(search.program_id(ticket), packed))
                for _, ticket, key, source, file, packed, _ in mine
            }

    def owner_of(self, search: Search, fingerprint: str) -> int | None:
        """Ticket of the recorded evaluation of a fingerprint; None if there is none."""
        with plain_errors(self.path):
            for row in self._rows("evaluations", "arm = ? AND fingerprint = ?", (search.number, fingerprint)):
                return read_evaluated(row).ticket
        return None

    def lineage(self, search: Search, ticket: int) -> tuple[Settled, ...]:
        """A ticket and its ancestors, ending with the warm start."""
        line = [self.ticket(search, ticket)]
        while line[-1].candidate.parent is not None:
            line.append(self.ticket(search, line[-1].candidate.parent))
        return tuple(line)

    def progress(self, search: Search) -> Progress:
        """Counts, outcomes and the best program of a search, over all recorded tickets."""
        settled = self.settled(search)
        outcomes: Counter[str] = Counter()
        best: Best | None = None
        key: tuple[float, ...] = (math.inf,)
        warm_start, steps = None, 0
        for result in self.evaluations(search):
            fitness = result.fitness
            if result.ticket >= settled:
                break
            if result.ticket == WARM_START:
                warm_start = fitness.value
            else:
                outcomes[fitness.outcome] += 1
                steps += fitness.steps
            if fitness.value is not None and fitness.key < key:
                best, key = Best(result.ticket, fitness.value), fitness.key
        generated, evaluated = max(settled - 1, 0), outcomes.total()
        return Progress(generated, evaluated, generated - evaluated, dict(outcomes), best, warm_start, steps=steps)

    def leaderboard(self, search: Search, count: int) -> list[Evaluated]:
        """The best semantically distinct programs, in order of increasing fitness; ties in ticket order."""
        settled = self.settled(search)
        trained = (r for r in self.evaluations(search) if r.ticket < settled and r.fitness.trained)
        return heapq.nsmallest(count, trained, key=lambda r: (r.fitness.key, r.ticket))

    def programs(self, search: Search, tickets: Sequence[int]) -> list[Program]:
        """The programs of some recorded tickets."""
        with plain_errors(self.path):
            rows = (self._row("tickets", "arm = ? AND ticket = ?", (search.number, ticket)) for ticket in tickets)
            return [parse(unpack_program(row[5])) for row in rows]

    def population(self, search: Search, size: int) -> tuple[Settled, ...]:
        """Members of the population after the recorded tickets, oldest first, without the founders."""
        settled = self.settled(search)
        first = max(settled - size, 0)
        with plain_errors(self.path):
            rows = self._rows("tickets", "arm = ? AND ticket BETWEEN ? AND ?", (search.number, first, settled))
            owners = {int(row[4]) for row in rows}
        return tuple(self.tickets(search, first, {owner: self.evaluation(search, owner) for owner in owners}))

    def population_digest(self, search: Search, size: int, members: Sequence[Settled] | None = None) -> str:
        """Digest of the population after the recorded tickets; equals ``Evolution.population_digest()``.

        Args:
            search: the search.
            size: population size.
            members: population, as returned by `population`; None to read it.
        """
        tail = self.population(search, size) if members is None else members
        founders = [self.ticket(search, WARM_START)] * (size - len(tail)) if tail else []
        return population_digest(
            (str(item.candidate.program), item.fitness.value if item.fitness.trained else None)
            for item in (*founders, *tail)
        )

    def finals(self) -> tuple[Final, ...]:
        """Runs on fresh seeds, by contender, task and seed."""
        with plain_errors(self.path):
            rows = list(self._rows("finals", "1 ORDER BY +contender, +task, +seed"))
            if [len(rows), sum(row[-1] for row in rows)] != self.meta("finals", [0, 0]):
                raise DamagedRunError("table finals: records are missing or were replaced")
            for row in rows:
                check_outcome("finals", row, row[3], row[4])
            return tuple(Final(*row[:-1]) for row in rows)

    def studies(self) -> tuple[Study, ...]:
        """Studies of the run's programs, in the order of their creation."""
        with plain_errors(self.path):
            if self._connection.execute("PRAGMA user_version").fetchone()[0] < ADDED["studies"]:
                return ()
            rows = {table: list(self._rows(table, "1")) for table in ("studies", "stages")}
            for table, found in rows.items():
                if [len(found), sum(row[-1] for row in found)] != self.meta(table, [0, 0]):
                    raise DamagedRunError(f"table {table}: records are missing or were replaced")
            stages: dict[int, list[Stage]] = {}
            for number, _, name, result, _ in sorted(rows["stages"], key=lambda row: (int(row[0]), int(row[1]))):
                stages.setdefault(number, []).append(Stage(name, read_json("stages", number, result, STAGE)))
            ordered = sorted(rows["studies"], key=lambda row: row[0])
            return tuple(
                Study(r[0], r[1], read_json("studies", r[0], r[2], STUDY), r[3], tuple(stages.get(r[0], ())))
                for r in ordered
            )

    def sessions(self) -> tuple[SessionRecord, ...]:
        """Sessions in order."""
        with plain_errors(self.path):
            rows = list(self._rows("sessions", "1 ORDER BY session"))
            return tuple(SessionRecord(row[1], row[2], read_json("sessions", row[0], row[3], ABOUT)) for row in rows)

    def seconds(self) -> float:
        """Recorded time spent on the run, over all sessions."""
        with plain_errors(self.path):
            return sum(row[2] for row in self._rows("sessions", "1"))

    def _parsed(self, name: str, packed: bytes) -> Program:
        try:
            return parse(unpack_program(packed))
        except ProgramError as error:
            raise RunError(f"program {name} is not valid in this version: {error}") from error

    def _totals(self, search: Search) -> Sequence[Any]:
        return self._row("totals", "arm = ?", (search.number,))

    def _row(self, table: str, where: str, key: Sequence[Cell]) -> Sequence[Any]:
        for row in self._rows(table, where, key):
            return row
        raise DamagedRunError(f"table {table}: record ({', '.join(map(str, key))}) is missing")

    def _rows(self, table: str, where: str, key: Sequence[Cell] = ()) -> Iterator[Sequence[Any]]:
        query = f"SELECT {COLUMNS[table]} FROM {table} WHERE {where}"  # noqa: S608 - all parts are constants
        for row in self._connection.execute(query, tuple(key)):
            yield verified(table, row)
