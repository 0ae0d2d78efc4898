"""The inbox of a run: proposed programs as files in its folder, until the search takes them up.

A run file has one writer, the search. ``propose`` therefore leaves each program as a file in the run's folder
``proposals``, under its final name only once it is complete. The search records a proposal in the run file, together
with the ticket at which it enters, and then removes the file. Files are read as data, with limits; a file that is not a
valid proposal is renamed to ``NAME.refused`` and kept.
"""

from __future__ import annotations

import os
import secrets
import stat
import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from optsearch.dsl.program import Program, ProgramError
from optsearch.dsl.syntax import MAX_CHARACTERS, parse
from optsearch.runs.store.errors import RunError, StorageError
from optsearch.runs.store.opening import make_durable
from optsearch.search.proposals import Proposal

INBOX = "proposals"
"""Name of the folder within the folder of a run."""

MOST_WAITING = 1000
"""Maximum number of proposals that wait for a run."""

LONGEST_NAME = 100
"""Maximum number of characters of a source or file name."""

_SUFFIX, _REFUSED = ".json", ".refused"
_LARGEST = 8 * MAX_CHARACTERS
_PLAIN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class _File(BaseModel):
    """Content of a file of the inbox."""

    model_config = ConfigDict(extra="forbid", strict=True)

    source: str = Field(min_length=1, max_length=LONGEST_NAME)
    file: str = Field(min_length=1, max_length=LONGEST_NAME)
    program: str = Field(max_length=MAX_CHARACTERS)


def add(run: Path, source: str, programs: Sequence[tuple[str, Program]]) -> list[str]:
    """Leaves programs in the inbox, each durably and under its final name only once it is complete.

    Args:
        run: the run folder.
        source: name of the person or program that proposes them.
        programs: file name and verified program of each, in the order in which they are to enter.

    Returns:
        The keys of the proposals.

    Raises:
        RunError: the inbox cannot be written.
    """
    folder = run / INBOX
    keys: list[str] = []
    try:
        folder.mkdir(exist_ok=True)
        _require_folder(folder)
        for file, program in programs:
            key = f"{time.time_ns():020d}-{len(keys):04d}-{secrets.token_hex(4)}"
            text = _File(source=source, file=file, program=str(program)).model_dump_json()
            _write(folder / f".{key}.new", folder / f"{key}{_SUFFIX}", text.encode())
            keys.append(key)
        make_durable(folder)
    except OSError as error:
        raise RunError(f"{folder}: cannot write in this folder: {error.strerror}") from error
    return keys


def waiting(run: Path) -> list[str]:
    """Keys of the waiting proposals, the oldest first.

    Raises:
        RunError: the inbox is not a folder.
    """
    folder = run / INBOX
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{folder}: cannot be read: {error.strerror}") from error
    _require_folder(folder)
    return sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX) and name[0] != ".")


def read(run: Path, key: str) -> Proposal:
    """Reads a waiting proposal.

    Raises:
        ProgramError: the file is not a valid proposal.
    """
    path = run / INBOX / f"{key}{_SUFFIX}"
    try:
        descriptor = os.open(path, _PLAIN)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ProgramError("it is not a regular file")
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise ProgramError(f"it has more than {_LARGEST:,} bytes")
        found = _File.model_validate_json(data)
        if not (found.source.isprintable() and found.file.isprintable()):
            raise ProgramError("its names hold characters that cannot be printed")
        return Proposal(key, found.source, found.file, parse(found.program))
    except OSError as error:
        raise ProgramError(f"it cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise ProgramError(f"it is not a proposal: {error.errors(include_url=False)[0]['msg']}") from error


def remove(run: Path, key: str) -> None:
    """Removes a proposal that is recorded in the run file."""
    (run / INBOX / f"{key}{_SUFFIX}").unlink(missing_ok=True)


def refuse(run: Path, key: str) -> None:
    """Renames the file of an invalid proposal, so that it no longer waits."""
    path = run / INBOX / f"{key}{_SUFFIX}"
    try:
        os.replace(path, path.with_suffix(_REFUSED))
    except OSError as error:
        raise StorageError(f"{path}: an invalid proposal cannot be renamed: {error.strerror}: remove it") from error


def clear(run: Path) -> None:
    """Removes all waiting proposals, when the run is replaced."""
    for key in waiting(run):
        remove(run, key)


def _write(new: Path, path: Path, data: bytes) -> None:
    with new.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)


def _require_folder(folder: Path) -> None:
    if folder.is_symlink() or not folder.is_dir():
        raise RunError(f"{folder}: this is not a folder, or a link to one, and none is followed: remove it")
