"""Trainings that are kept, so that the same command goes on after an interruption: one line of JSON each.

A training is a pure function of program, task and seed, so a kept one is as good as a new one. A line also says under
which versions, on which kind of processor it was made, since others round differently; lines from elsewhere are left
alone and not used. A line counts once it is on disk. Every line has a checksum; the one that a killed process left
unfinished is cut off.
"""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path

from proxy_tasks.registry import get_task
from proxy_tasks.task import TaskError
from runs.errors import DamagedRunError, RunError, StorageError
from runs.lock import WriterLock
from runs.machine import made_with

FILE = "trainings.jsonl"


class Trainings(dict[str, float | None]):
    """Losses by ``fingerprint task seed``, each durable once it is set; to be closed.

    Args:
        folder: where they are kept; made if it does not exist.
        force: whether to begin anew.

    Raises:
        RunError: the folder cannot be used, or another process writes it.
        DamagedRunError: a line is not as it was written.
    """

    def __init__(self, folder: Path, *, force: bool = False):
        super().__init__()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{folder}: cannot make this folder: {error.strerror}") from error
        self.folder, self._lock = folder, WriterLock(folder)
        self._made_with = made_with()
        try:
            mode = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if force else 0)
            self._descriptor = os.open(folder / FILE, mode, 0o644)
            self._read()
        except OSError as error:
            self._lock.release()
            raise RunError(f"{folder / FILE}: cannot be used: {error.strerror}") from error
        except DamagedRunError:
            self.close()
            raise

    def __setitem__(self, key: str, loss: float | None) -> None:
        """Makes a loss durable."""
        line = json.dumps([key, _version(key), self._made_with, loss], allow_nan=False)
        data = f"{zlib.crc32(line.encode()):08x} {line}\n".encode()
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
            os.fsync(self._descriptor)
        except OSError as error:
            raise StorageError(f"{self.folder / FILE}: cannot be written: {error.strerror}") from error
        super().__setitem__(key, loss)

    def close(self) -> None:
        """Lets others write."""
        os.close(self._descriptor)
        self._lock.release()

    def _read(self) -> None:
        data = (self.folder / FILE).read_bytes()
        end = data.rfind(b"\n") + 1
        for number, line in enumerate(data[:end].splitlines(), start=1):
            check, _, body = line.partition(b" ")
            if check != b"%08x" % zlib.crc32(body):
                raise DamagedRunError(
                    f"{self.folder / FILE}: line {number} is not as it was written: remove it, or --force to begin anew"
                )
            key, version, made_with, loss = json.loads(body)
            if version and version == _version(key) and made_with == self._made_with:
                super().__setitem__(key, loss)
        os.ftruncate(self._descriptor, end)
        os.lseek(self._descriptor, end, os.SEEK_SET)


def _version(key: str) -> str:
    """Version of the key's task; empty where there is no such task any more."""
    try:
        return get_task(key.split()[1]).version
    except TaskError:
        return ""
