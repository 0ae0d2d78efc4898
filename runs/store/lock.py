"""Exclusive writer lock of a run; the kernel releases it when the process ends for any reason."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import time
from pathlib import Path

from optsearch.runs.store.errors import RunError, StorageError

LOCK_FILE = "run.lock"
_ATTEMPTS, _PAUSE_S = 5, 0.05

_PLAIN = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""Flags for untrusted folders: the lock must not be a link to another file, nor a pipe, which would block."""


class WriterLock:
    """Exclusive lock of a run folder, acquired on creation, and released by ``release`` or the end of the process.

    Args:
        folder: an existing run folder.

    Raises:
        RunError: another process holds the lock, or the folder cannot be written.
    """

    def __init__(self, folder: Path):
        path = folder / LOCK_FILE
        try:
            self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT | _PLAIN, 0o644)
        except OSError as error:
            if path.is_symlink():
                raise RunError(f"{path}: this is a symbolic link, and none is followed: remove it") from error
            raise RunError(f"{folder}: cannot write in this folder: {error.strerror}") from error
        about = os.fstat(self._descriptor)
        if not stat.S_ISREG(about.st_mode) or about.st_nlink != 1:
            os.close(self._descriptor)
            raise RunError(f"{path}: this is no lock of a run, but another file: remove it")
        try:
            _take(self._descriptor)
        except BlockingIOError:
            holder = os.read(self._descriptor, 200).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise RunError(
                f"{folder}: another process is writing this run ({holder or 'process unknown'}): "
                "wait until it ends, stop it with Ctrl-C, or choose another folder with --out"
            ) from None
        except OSError as error:
            os.close(self._descriptor)
            raise RunError(
                f"{folder}: this file system cannot lock files ({error.strerror}): use a local disk"
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)

    def require(self, folder: Path) -> None:
        """Checks that the run folder is still in place, because SQLite continues to write to a deleted file.

        Raises:
            StorageError: the folder has been deleted, moved or replaced.
        """
        try:
            there = self._descriptor is not None and os.path.samestat(
                os.fstat(self._descriptor), os.stat(folder / LOCK_FILE)
            )
        except OSError:
            there = False
        if not there:
            raise StorageError(
                f"{folder}: the folder was deleted or moved while the run was written, so nothing more can be saved: "
                "put it back and start the same command again"
            )

    def release(self) -> None:
        """Releases the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _take(descriptor: int) -> None:
    """Acquires the lock; retries briefly, because `is_locked` holds the lock for a moment."""
    for _ in range(_ATTEMPTS - 1):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(_PAUSE_S)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_locked(folder: Path) -> bool:
    """True if a process is writing the run."""
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDONLY | _PLAIN)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
