"""Snapshots: the state of an unfinished training run, stored so that another process can resume it.

A snapshot is a file in the user's cache, named after a key that determines every bit of the state. It is only ever a
shortcut: a missing, damaged or unwritable file costs time and changes no result. A file is written under a temporary
name, made durable and renamed, so that a process killed at any moment, or another one with the same run, always leaves
or finds a complete file. It starts with a sha256 digest of the rest, which is an npz archive without pickles.

The `Checkpoint` of fine-tuning is something else: parameters of a run that has ended.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from io import BufferedReader
from pathlib import Path

import numpy as np

FORMAT = 1
"""Incremented when the format of a file changes."""

KEPT_DAYS = 14.0
"""Age in days at which a snapshot is deleted; its run has been abandoned."""

KEPT_BYTES = 8_000_000_000
"""Size of all snapshots of a folder, in bytes; the oldest are deleted to make room."""

DIGEST_BYTES = 32
"""Length of the sha256 digest at the start of a file."""

_COMPLETE, _TEMPORARY = ".npz", ".part"
"""Endings of complete and of temporary files."""

_log = logging.getLogger(__name__)
_said: set[str] = set()


class StateSnapshot:
    """The stored state of one training run.

    Args:
        folder: folder of the file; created on the first write.
        key: all that determines the state, as hex digits; another key is another run.

    Attributes:
        path: the file.
    """

    def __init__(self, folder: Path, key: str):
        self.path = folder / f"{key[:32]}{_COMPLETE}"
        self._key = np.frombuffer(key.encode(), np.uint8)

    def read(self, like: Sequence[np.ndarray]) -> list[np.ndarray] | None:
        """Reads the state.

        Args:
            like: arrays with the shapes and dtypes of the state.

        Returns:
            The arrays of the state; None if there is no file, or one that is damaged, of another run or of another
            form, which is deleted.
        """
        try:
            with self.path.open("rb") as file:
                arrays = self._intact(file, like)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._say_once("snapshots cannot be read", error)
            return None
        if arrays is None:
            _log.warning("%s is damaged or not of this run: training begins at the first step", self.path)
            self.delete()
        return arrays

    def write(self, arrays: Sequence[np.ndarray]) -> None:
        """Stores the state; if that fails, logs a warning, once in each process, and keeps the previous state."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            make_room(self.path.parent, sum(array.nbytes for array in arrays))
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.stem, suffix=_TEMPORARY)
        except OSError as error:
            self._say_once("training continues without snapshots", error)
            return
        try:
            with os.fdopen(handle, "w+b") as file:
                file.write(bytes(DIGEST_BYTES))
                np.savez(file, self._key, *map(as_bytes, arrays))
                file.seek(DIGEST_BYTES)
                digest = hashlib.file_digest(file, "sha256").digest()
                file.seek(0)
                file.write(digest)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self.path)
        except OSError as error:
            self._say_once("training continues without snapshots", error)
        finally:
            with suppress(OSError):
                os.unlink(name)  # no longer there if it was renamed

    def delete(self) -> None:
        """Deletes the file, if there is one."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _say_once(self, what: str, error: OSError) -> None:
        message = f"{what}: {self.path.parent}: {error.strerror}"
        if message not in _said:
            _said.add(message)
            _log.warning("%s", message)

    def _intact(self, file: BufferedReader, like: Sequence[np.ndarray]) -> list[np.ndarray] | None:
        digest = file.read(DIGEST_BYTES)
        if hashlib.file_digest(file, "sha256").digest() != digest:
            return None
        file.seek(DIGEST_BYTES)
        with np.load(file, allow_pickle=False) as archive:
            if not np.array_equal(archive["arr_0"], self._key) or len(archive.files) != 1 + len(like):
                return None
            found = [archive[f"arr_{place}"] for place in range(1, 1 + len(like))]
        if any(array.nbytes != wanted.nbytes for array, wanted in zip(found, like, strict=True)):
            return None
        return [array.view(wanted.dtype).reshape(wanted.shape) for array, wanted in zip(found, like, strict=True)]


def as_bytes(array: np.ndarray) -> np.ndarray:
    """The bytes of an array, uint8 [bytes]: npz would pickle dtypes that are not NumPy's own, such as bfloat16."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def make_room(folder: Path, size: int) -> None:
    """Deletes the files older than ``KEPT_DAYS``, and the oldest beyond ``KEPT_BYTES``, those of killed writers too.

    Args:
        folder: folder of snapshots.
        size: size in bytes of the file for which there has to be room.
    """
    found: list[tuple[float, int, Path]] = []
    for path in folder.iterdir():
        with suppress(OSError):  # another process has deleted it
            if path.suffix in (_COMPLETE, _TEMPORARY):
                about = path.stat()
                found.append((about.st_mtime, about.st_size, path))
    oldest = time.time() - KEPT_DAYS * 24 * 3600
    for modified, bytes_there, path in sorted(found, reverse=True):
        size += bytes_there
        if modified < oldest or size > KEPT_BYTES:
            with suppress(OSError):
                path.unlink(missing_ok=True)
