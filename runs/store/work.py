"""What `evaluate`, `select` and `simplify` are doing: a small file for each command, beside the cache of its trainings.

The file is an aid for `watch` and `runs`. It is replaced as a whole, at most once a second, and holds no results. The
same command writes the same file again.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

WORK = "work"
"""Folder of these files within the folder of runs."""

INTERVAL_S = 1.0
"""Seconds between two versions of a file."""

LARGEST = 100_000
"""Number of bytes of a file above which it is not read."""

Command = Literal["evaluate", "select", "simplify"]
WorkStatus = Literal["running", "finished", "interrupted", "failed", "crashed"]
Short = Annotated[str, Field(max_length=1000)]


@dataclass(frozen=True, slots=True)
class Work:
    """One command and its progress.

    Attributes:
        command: the command.
        subjects: the programs or runs that it was given.
        runs: resolved folders of the runs that they belong to.
        tasks: names of the tasks.
        status: status; ``crashed`` if the process was killed.
        done: number of finished training runs.
        total: number of training runs; None if unknown.
        line: the progress in one line.
        started: date and time of the start.
        updated: date and time of the latest version.
        process: number of the process.
        host: name of its machine.
    """

    command: Command
    subjects: tuple[Short, ...]
    runs: tuple[Short, ...]
    tasks: tuple[Short, ...]
    status: WorkStatus
    done: int
    total: int | None
    line: Annotated[str, Field(max_length=10_000)]
    started: Short
    updated: Short
    process: int
    host: Short

    @property
    def name(self) -> str:
        """Name of the work and its file: the command, and a digest of what it was given."""
        given = json.dumps([self.subjects, self.tasks, self.runs]).encode()
        return f"{self.command}-{hashlib.sha256(given).hexdigest()[:8]}"

    @property
    def alive(self) -> bool:
        """True unless its process is known to have ended; processes of other machines count as alive."""
        if self.host != socket.gethostname():
            return True
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return False
        except OSError:
            return True
        return True


_WORK: TypeAdapter[Work] = TypeAdapter(Work)


class WorkLog:
    """Writes the progress of a command.

    Args:
        folder: the folder of runs.
        work: the command as it starts.
    """

    def __init__(self, folder: Path, work: Work):
        self._path, self._work = folder / WORK / f"{work.name}.json", work
        self._line: Callable[[], str] = str
        self._write()

    def update(self, done: int, total: int | None, line: Callable[[], str]) -> None:
        """Notes the progress, and writes it if the latest version is old enough.

        Args:
            done: number of finished training runs.
            total: number of training runs; None if unknown.
            line: returns the progress in one line.
        """
        self._work, self._line = replace(self._work, done=done, total=total), line
        if time.monotonic() - self._written >= INTERVAL_S:
            self._write()

    def end(self, status: WorkStatus) -> None:
        """Writes how the command ended."""
        self._work = replace(self._work, status=status)
        self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        new = self._path.with_suffix(f".{os.getpid()}")
        with suppress(OSError):  # an aid: the results do not depend on it
            new.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps(asdict(replace(self._work, updated=_now(), line=self._line()))), encoding="utf-8")
            os.replace(new, self._path)


@contextmanager
def working(
    folder: Path, command: Command, subjects: Sequence[str], runs: Sequence[Path], tasks: Sequence[str]
) -> Generator[WorkLog]:
    """Writes the progress of a command, and how it ends.

    Args:
        folder: the folder of runs.
        command: the command.
        subjects: the programs or runs that it was given.
        runs: folders of the runs that they belong to.
        tasks: names of the tasks.

    Yields:
        The log to update.
    """
    about = tuple(subjects), tuple(str(run.resolve()) for run in runs), tuple(tasks)
    log = WorkLog(folder, Work(command, *about, "running", 0, None, "", _now(), _now(), os.getpid(), _host()))
    try:
        yield log
    except KeyboardInterrupt:
        log.end("interrupted")
        raise
    except BaseException:
        log.end("failed")
        raise
    log.end("finished")


def read_work(folder: Path) -> list[Work]:
    """The commands of a folder of runs, latest first; files that are damaged or larger than allowed are left out.

    Args:
        folder: the folder of runs.
    """
    found: list[Work] = []
    for path in folder.glob(f"{WORK}/*.json"):
        with suppress(OSError, ValidationError, UnicodeDecodeError):
            if path.is_symlink() or path.stat().st_size > LARGEST:
                continue
            work = _WORK.validate_json(path.read_text(encoding="utf-8"))
            if path.stem == work.name:
                dead = work.status == "running" and not work.alive
                found.append(replace(work, status="crashed") if dead else work)
    return sorted(found, key=lambda work: work.updated, reverse=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _host() -> str:
    return socket.gethostname()
