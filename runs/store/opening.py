"""Opens the file of a run: connection, checks of its version and tables, and durability of its folder."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from optsearch.runs.store.decoding import refuse_links
from optsearch.runs.store.errors import RunError, plain_errors
from optsearch.runs.store.reader import RUN_FILE
from optsearch.runs.store.schema import APPLICATION_ID, SCHEMA_VERSION, check_schema

BUSY_TIMEOUT_S = 10.0
"""Seconds for which SQLite waits for another process."""


def is_run(folder: Path) -> bool:
    """True if a folder contains a run."""
    return (folder / RUN_FILE).is_file()


def connect(path: Path) -> sqlite3.Connection:
    """Opens a file for writing, with a write-ahead log that is synchronised at every commit."""
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def require_run(folder: Path) -> None:
    """Checks that a folder contains a run.

    Raises:
        RunError: the folder does not exist, is not a run, or contains a symbolic link in place of a file.
    """
    if not folder.exists():
        raise RunError(f"{folder}: the folder does not exist")
    if not is_run(folder):
        raise RunError(f"{folder}: the folder is not a run: it contains no file {RUN_FILE}")
    refuse_links(folder, RUN_FILE)


def check_version(connection: sqlite3.Connection, folder: Path) -> int:
    """Returns the schema version of a run file.

    Raises:
        RunError: the file is not that of a run, or a newer version of the program created it.
        DamagedRunError: a table is missing, or the file contains other objects.
    """
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION_ID or version < 1:
        raise RunError(f"{folder}: {RUN_FILE} is not a run file, or it is damaged")
    if version > SCHEMA_VERSION:
        raise RunError(
            f"{folder}: the run was written by a newer version (format {version}, this program reads up to "
            f"{SCHEMA_VERSION}): upgrade this program"
        )
    with plain_errors(folder / RUN_FILE):
        check_schema(connection, version)
    return version


def make_durable(folder: Path) -> None:
    """Writes the entries of a folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
