"""Schema of a run file, and the format of its records.

Each row is a record, and its last column is a checksum over the table's name and all other columns. SQLite's integrity
check examines pages and misses most flipped bits inside a record; the checksum detects them. ``totals`` stores the
number of records of each search and the sum of their checksums, and ``meta`` does so for searches, validations, finals,
studies, stages and proposals, so that missing records are detected too.

A run holds several searches: the main search, and each of its controls. The tables call a search an ``arm``. Tickets
are numbered in each search from 0, the warm start. A program's id consists of the search's prefix and the ticket:
``8123`` belongs to the main search, ``c8123`` to the control, and ``0`` is the warm start of every search.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from optsearch.runs.store.decoding import DETAILS, Cell, check_cells, inflate, read_json
from optsearch.runs.store.errors import DamagedRunError
from optsearch.search.scoring.fitness import Fitness

APPLICATION_ID = 0x6F707473  # "opts"
SCHEMA_VERSION = 4
"""Schema version, incremented with every change of the tables. Older versions are readable, and migrated on resumption.

1: initial version. 2: table ``validations``; ``curves`` may hold an object with the losses on several tasks and further
values of a result, whose unknown keys are ignored. 3: tables ``studies`` and ``stages``. 4: table ``proposals``.
"""

TABLES = {
    "meta": "key TEXT PRIMARY KEY, value TEXT NOT NULL",
    "sessions": "session INTEGER PRIMARY KEY, started TEXT NOT NULL, seconds REAL NOT NULL, machine TEXT NOT NULL",
    "arms": "arm INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, prefix TEXT NOT NULL UNIQUE, settings TEXT NOT NULL",
    "tickets": "arm INTEGER NOT NULL, ticket INTEGER NOT NULL, parent INTEGER, mutation TEXT NOT NULL, "
    "owner INTEGER NOT NULL, program BLOB NOT NULL",
    "evaluations": "arm INTEGER NOT NULL, ticket INTEGER NOT NULL, fingerprint TEXT NOT NULL, outcome TEXT NOT NULL, "
    "fitness REAL, steps INTEGER NOT NULL, seconds REAL NOT NULL, curves TEXT NOT NULL",
    "totals": "arm INTEGER PRIMARY KEY, tickets INTEGER NOT NULL, ticket_sum INTEGER NOT NULL, "
    "evaluations INTEGER NOT NULL, evaluation_sum INTEGER NOT NULL",
    "finals": "contender TEXT NOT NULL, task TEXT NOT NULL, seed INTEGER NOT NULL, outcome TEXT NOT NULL, loss REAL, "
    "test_loss REAL, accuracy REAL, steps INTEGER NOT NULL",
    "validations": "arm INTEGER NOT NULL, ticket INTEGER NOT NULL, evaluations INTEGER NOT NULL, "
    "outcome TEXT NOT NULL, loss REAL, steps INTEGER NOT NULL, seconds REAL NOT NULL",
    "proposals": "arm INTEGER NOT NULL, ticket INTEGER NOT NULL, key TEXT NOT NULL, source TEXT NOT NULL, "
    "file TEXT NOT NULL, program BLOB NOT NULL",
    "studies": "study INTEGER PRIMARY KEY, created TEXT NOT NULL, settings TEXT NOT NULL, status TEXT NOT NULL",
    "stages": "study INTEGER NOT NULL, stage INTEGER NOT NULL, name TEXT NOT NULL, result TEXT NOT NULL",
    "failures": "failure INTEGER PRIMARY KEY, arm INTEGER NOT NULL, ticket INTEGER NOT NULL, program TEXT NOT NULL, "
    "details TEXT NOT NULL",
}
"""Column definitions of each table, without the final checksum."""

KEYS = {
    "tickets": "arm, ticket",
    "evaluations": "arm, ticket",
    "validations": "arm, ticket",
    "proposals": "arm, ticket",
    "finals": "contender, task, seed",
    "stages": "study, stage",
}
"""Primary keys of tables with composite keys."""

COLUMNS = {
    table: ", ".join([column.split()[0] for column in columns.split(", ")] + ["checksum"])
    for table, columns in TABLES.items()
}
"""Column names of each table, for queries."""

_KEY_LENGTH = {table: 3 if table == "finals" else 2 if table in KEYS else 1 for table in TABLES}

ADDED = {"validations": 2, "studies": 3, "stages": 3, "proposals": 4}
"""Schema version in which a table was added."""


def check_schema(connection: sqlite3.Connection, version: int) -> None:
    """Checks that a file contains exactly the tables of its version, and no triggers, views or other indices.

    Raises:
        DamagedRunError: a table is missing, or the file contains other objects.
    """
    check_tables(connection, lambda known: create_tables(known, upto=version), f"format {version}")


def check_tables(connection: sqlite3.Connection, create: Callable[[sqlite3.Connection], object], of: str) -> None:
    """Checks that a file contains exactly the expected tables, and no triggers, views or other indices.

    Args:
        connection: connection to the file.
        create: function that creates the tables in an empty file.
        of: owner of the tables, for error messages.

    Raises:
        DamagedRunError: a table is missing, or the file contains other objects.
    """
    known = sqlite3.connect(":memory:")
    try:
        create(known)
        query = "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"  # the others are automatic indices
        expected, found = (set(one.execute(query)) for one in (known, connection))
    finally:
        known.close()
    if expected != found:
        names = ", ".join(sorted({f"{row[0]} {row[1]!s:.40}" for row in expected ^ found}))
        raise DamagedRunError(
            f"the file has not the tables of {of} ({names}): it was damaged or made by something else, and "
            "nothing in it is read: restore it from a copy"
        )


def create_tables(connection: sqlite3.Connection, after: int = 0, upto: int = SCHEMA_VERSION) -> None:
    """Creates the tables of a new file, or those added after one version up to another."""
    for table, columns in TABLES.items():
        if not after < ADDED.get(table, 1) <= upto:
            continue
        key = f", PRIMARY KEY ({KEYS[table]})" if table in KEYS else ""
        connection.execute(f"CREATE TABLE {table} ({columns}, checksum INTEGER NOT NULL{key})")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def checksum(table: str, cells: Sequence[Cell]) -> int:
    """CRC-32 of a record: of the table's name and the cells in order, with their types."""
    return zlib.crc32(repr((table, *cells)).encode())


def signed(table: str, cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """The cells of a record followed by its checksum."""
    return (*cells, checksum(table, cells))


def verified(table: str, row: Sequence[Cell]) -> Sequence[Cell]:
    """Verifies a row and returns it unchanged.

    Raises:
        DamagedRunError: the checksum does not match, or a cell violates its column definition.
    """
    if checksum(table, row[:-1]) != row[-1]:
        key = ", ".join(str(cell) for cell in row[: _KEY_LENGTH[table]])
        raise DamagedRunError(
            f"table {table}, record ({key}): the record does not match its checksum, so the file was damaged after it "
            "was written: restore it from a copy"
        )
    check_cells(table, TABLES[table], row)
    return row


def insert(table: str) -> str:
    """The SQL statement that inserts a signed record."""
    places = ", ".join("?" * (TABLES[table].count(", ") + 2))
    return f"INSERT INTO {table} VALUES ({places})"  # noqa: S608 - all parts are constants


_CALLS = """
  v = arccosh(arcsinh(arctanh(arccos(arcsin(arctan(cosine_sim(clip_by_global_norm(global_norm(expm1(exp10(log10(log1p(
  v = reciprocal(negative(minimum(maximum(power(square(interp(sign(sqrt(cbrt(cube(tanh(sinh(cosh(clip(norm(dot(exp2(
  v = log2(exp(log(abs(sin(cos(tan(pi()e()eps()
"""

_DICTIONARY = (
    _CALLS
    + "\n  v10 = \n  v9 = \n  v8 = \n  v7 = \n  v6 = \n  v5 = \n  v4 = \n  v3 = \n  v2 = \n  v1 = "
    + "def train(w, g, lr):\n  return update\n"
    + "def train(w, g, m, lr):\n  update = sign(update)\n  return update, m\n"
    + "def train(w, g, m, v, lr):\n  g2 = square(g)\n  m = interp(g, m, 0.9)\n  v = interp(g2, v, 0.999)\n"
    + "  sqrt_v = sqrt(v)\n  update = m / sqrt_v\n  wd = w * 0.01\n  update = update + wd\n  lr = lr * 0.001\n"
    + "  update = update * lr\n  return update, m, v\n"
).encode()
"""Compression dictionary for programs; part of the format, so it changes only with ``SCHEMA_VERSION``."""


def pack_program(text: str) -> bytes:
    """Compresses a program's text to about a third of its size."""
    packer = zlib.compressobj(level=6, wbits=-15, zdict=_DICTIONARY)
    return packer.compress(text.encode()) + packer.flush()


def unpack_program(packed: bytes) -> str:
    """Decompresses a text that ``pack_program`` compressed.

    Raises:
        DamagedRunError: the bytes are not a packed program.
    """
    return inflate(packed, _DICTIONARY)


def pack_details(fitness: Fitness) -> str:
    """Encodes the further values of a result as JSON; empty if there are none.

    The values are training curves, the loss on each of several tasks, a learning rate that differs from the program's,
    the progress of a stopped program, and the warm start's loss with each seed.
    """
    more = {"rate": fitness.rate} if fitness.rate != 1.0 else {}
    more |= {"loss_so_far": fitness.loss_so_far} if fitness.loss_so_far is not None else {}
    more |= {"cases": fitness.cases} if fitness.cases else {}
    if fitness.losses or more:
        return json.dumps({"curves": fitness.curves, "losses": fitness.losses, **more})
    return json.dumps(fitness.curves) if fitness.curves else ""


def unpack_details(text: str, record: object, fitness: Fitness) -> Fitness:
    """Decodes the further values of a result; unknown keys, which later versions may add, are ignored.

    Args:
        text: output of ``pack_details``.
        record: key of the record, for errors.
        fitness: the result without further values.

    Raises:
        DamagedRunError: the text is not valid output of ``pack_details``.
    """
    if not text:
        return fitness
    value = read_json("evaluations", record, text, DETAILS)
    found = value if isinstance(value, dict) else {"curves": value}
    return replace(
        fitness,
        curves=tuple(map(tuple, found["curves"])),
        losses=tuple(found.get("losses", ())),
        rate=found.get("rate", 1.0),
        loss_so_far=found.get("loss_so_far"),
        cases=tuple(found.get("cases", ())),
    )
