"""Exceptions of runs on disk, with messages for users."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from optsearch.dsl.errors import UserError


class RunError(UserError, RuntimeError):
    """The run folder cannot be used as requested; the message names the folder, the reason and the remedy."""


class StorageError(RunError):
    """The disk is full, or cannot be read or written; recorded data are not lost."""

    exit_code = 1


class DamagedRunError(RunError):
    """The run file is damaged: a record does not match its checksum, or SQLite cannot read it."""

    exit_code = 1


@contextmanager
def plain_errors(path: Path) -> Generator[None]:
    """Converts errors of SQLite to messages for users."""
    try:
        yield
    except DamagedRunError as error:
        raise error if str(error).startswith(str(path)) else DamagedRunError(f"{path}: {error}") from error
    except UnicodeDecodeError as error:
        raise DamagedRunError(f"{path}: the file is damaged: a text is not UTF-8: restore it from a copy") from error
    except sqlite3.Error as error:
        text = str(error)
        if "full" in text:
            raise StorageError(f"{path}: the disk is full: make space and start the same command again") from error
        if "locked" in text or "readonly" in text:
            raise RunError(f"{path}: the file cannot be used now: {text}") from error
        if "unable to open" in text or "disk I/O" in text:
            raise StorageError(f"{path}: the file cannot be read or written: {text}") from error
        raise DamagedRunError(f"{path}: the file is damaged: {text}: restore it from a copy") from error
