"""Training runs that are kept and shared between studies: what was trained once is never trained again.

One SQLite file holds them for all studies that are started in a folder; any number of them may use it at a time. A run
is known by version of the task, meaning of the contender, tuned values and seed, and by what else decides its last
digits: processor and numerical packages. It is durable before it counts, and so an interrupted study goes on.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from proxy_tasks.outcome import Outcome, TrainingResult
from runs.errors import DamagedRunError, RunError, plain_errors
from runs.machine import made_with
from runs.schema import checksum
from selection.contender import Job, Trained
from selection.evaluation import Map

FILE = "trials.sqlite"
TRIALS_ID = 0x6F707472  # "optr"
_TABLE = "trials (key TEXT PRIMARY KEY, result TEXT NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID"
_BUSY_TIMEOUT_S = 30.0


class Trials:
    """The kept runs of a folder, as a map of jobs that trains only what is not there; to be closed.

    Args:
        folder: where the file is; made if it does not exist.

    Attributes:
        known: runs that were there already.
        trained: runs that were trained here.

    Raises:
        RunError: the folder or the file cannot be used.
    """

    def __init__(self, folder: Path):
        self.path = folder / FILE
        self.known = self.trained = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{folder}: cannot make this folder: {error.strerror}") from error
        self._made_with = made_with()
        with plain_errors(self.path):
            self._connection = sqlite3.connect(self.path, timeout=_BUSY_TIMEOUT_S)
            application = self._connection.execute("PRAGMA application_id").fetchone()[0]
            if application not in (0, TRIALS_ID):
                raise RunError(f"{self.path}: this is no file of training runs: choose another folder with --kept-in")
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            with self._connection:
                self._connection.execute(f"CREATE TABLE IF NOT EXISTS {_TABLE}")
                self._connection.execute(f"PRAGMA application_id = {TRIALS_ID}")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def map(self, run: Map) -> Map:
        """The map that looks here first, and keeps what ``run`` trains."""

        def mapped(train: Callable[[Job], Trained], jobs: Iterable[Job], /) -> Iterator[Trained]:
            jobs = list(jobs)
            keys = [self._key(job) for job in jobs]
            there = {key: found for key in dict.fromkeys(keys) if (found := self._find(key)) is not None}
            missing = {key: job for key, job in zip(keys, jobs, strict=True) if key not in there}
            results = zip(missing, run(train, list(missing.values())), strict=True) if missing else iter(())
            for key in keys:
                while key not in there:
                    made, trained = next(results)
                    self._keep(made, trained)
                    there[made] = trained
                self.known += key not in missing
                yield there[key]

        return mapped

    def _key(self, job: Job) -> str:
        return f"{job.key}; {self._made_with}"

    def _find(self, key: str) -> Trained | None:
        with plain_errors(self.path):
            row = self._connection.execute("SELECT result, checksum FROM trials WHERE key = ?", (key,)).fetchone()
            if row is None:
                return None
            if checksum("trials", (key, row[0])) != row[1]:
                raise DamagedRunError("a training run is not as it was written: remove the file to train again")
            return _unpacked(row[0])

    def _keep(self, key: str, trained: Trained) -> None:
        text = _packed(trained)
        with plain_errors(self.path), self._connection:
            statement = "INSERT OR REPLACE INTO trials VALUES (?, ?, ?)"
            self._connection.execute(statement, (key, text, checksum("trials", (key, text))))
        self.trained += 1


def _packed(trained: Trained) -> str:
    return json.dumps(asdict(trained.result) | {"outcome": trained.result.outcome.value, "seconds": trained.seconds})


def _unpacked(text: str) -> Trained:
    values = json.loads(text)
    seconds, outcome, losses = values.pop("seconds"), values.pop("outcome"), values.pop("train_losses")
    return Trained(TrainingResult(outcome=Outcome(outcome), train_losses=tuple(losses), **values), seconds)
