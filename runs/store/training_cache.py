"""A persistent cache of training runs, shared by all commands.

One SQLite file per folder stores the training runs of `evaluate`, `select` and `simplify`, and supports concurrent
processes. The key of a run consists of the version of the task, the executed computation, tuned values and seed, and
the processor, the accelerator and the numerical packages, which affect rounding. Each run is stored durably before its
result is used, so that an interrupted command can resume.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from optsearch.proxy_tasks.machine import made_on
from optsearch.proxy_tasks.outcome import Outcome, TrainingResult
from optsearch.proxy_tasks.run import Trained
from optsearch.runs.store.decoding import check_cells, read_json, refuse_links
from optsearch.runs.store.environment import available_cores, made_with
from optsearch.runs.store.errors import DamagedRunError, RunError, plain_errors
from optsearch.runs.store.schema import check_tables, checksum
from optsearch.search.pool import Here, Pool
from optsearch.search.scoring.evaluate import this_machine
from optsearch.search.workers.ray_runtime import check_share
from optsearch.selection.scripts.script import TrainingScript

FILE = "trainings.sqlite"
TRAININGS_ID = 0x6F707472  # "optr"
_COLUMNS = "key TEXT PRIMARY KEY, result TEXT NOT NULL, checksum INTEGER NOT NULL"
_CREATE = f"CREATE TABLE IF NOT EXISTS trainings ({_COLUMNS}) WITHOUT ROWID"
_LOOK_COLUMNS = "meaning TEXT, task TEXT, first INTEGER, last INTEGER, settings TEXT, checksum INTEGER NOT NULL"
_CREATE_LOOKS = (
    f"CREATE TABLE IF NOT EXISTS looks ({_LOOK_COLUMNS}, PRIMARY KEY (meaning, task, first, last, settings)) "
    "WITHOUT ROWID"
)
_BUSY_TIMEOUT_S = 30.0


class _Kept(BaseModel):
    """Stored values of a training run."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    outcome: Outcome
    loss: float | None
    test_loss: float | None
    accuracy: float | None = Field(ge=0.0, le=1.0)
    steps: int = Field(ge=0)
    train_losses: tuple[float, ...]
    loss_so_far: float | None = None
    validation_losses: tuple[float | None, ...] = ()
    seconds: float = Field(ge=0.0)

    @model_validator(mode="after")
    def _ended(self) -> Self:
        if any((loss is None) != (self.outcome is not Outcome.OK) for loss in (self.loss, self.test_loss)):
            raise ValueError(f"the outcome '{self.outcome.value}' with the losses {self.loss} and {self.test_loss}")
        if len(self.validation_losses) not in (0, len(self.train_losses)):
            raise ValueError(f"{len(self.validation_losses)} validation losses at {len(self.train_losses)} checkpoints")
        return self


_KEPT: TypeAdapter[Any] = TypeAdapter(_Kept)


class Keyed(Protocol):
    """A requested training run."""

    @property
    def key(self) -> str:
        """Cache key of the result apart from the machine, as returned by `training_key`."""
        ...


J = TypeVar("J", bound=Keyed)


class Trainings:
    """The training cache of a folder; must be closed.

    Args:
        folder: folder of the cache file; created if it does not exist.

    Attributes:
        known: number of cache hits.
        trained: number of cache misses, which were trained.

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
        refuse_links(folder, FILE)
        with plain_errors(self.path):
            self._connection = sqlite3.connect(self.path, timeout=_BUSY_TIMEOUT_S)
            self._connection.execute("PRAGMA trusted_schema = OFF")
            application = self._connection.execute("PRAGMA application_id").fetchone()[0]
            if application not in (0, TRAININGS_ID):
                raise RunError(f"{self.path}: this is no file of training runs: choose another folder with --kept-in")
            if self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                # Files of earlier releases have no table of looks.
                has_looks = self._connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'looks'")
                create = _create if has_looks.fetchone()[0] else (lambda known: known.execute(_CREATE))
                check_tables(self._connection, create, "kept training runs")
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            with self._connection:
                _create(self._connection)
                self._connection.execute(f"PRAGMA application_id = {TRAININGS_ID}")

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def find(self, key: str, machine: str | None = None) -> Trained | None:
        """Looks up a run; None if it is not cached.

        Args:
            key: cache key apart from the machine.
            machine: machine that would train it, as in ``Trained.machine``; None for the CPU of this process.

        Raises:
            DamagedRunError: the record is damaged or invalid.
        """
        key = f"{key}; {made_with(machine)}"
        with plain_errors(self.path):
            query = "SELECT key, result, checksum FROM trainings WHERE key = ?"
            row = self._connection.execute(query, (key,)).fetchone()
            if row is None:
                return None
            if checksum("trainings", row[:-1]) != row[-1]:
                raise DamagedRunError("a training run is not as it was written: remove the file to train again")
            check_cells("trainings", _COLUMNS, row)
            return _unpacked(key, row[1])

    def keep(self, key: str, trained: Trained) -> None:
        """Stores a run durably, under the machine that trained it.

        Raises:
            StorageError: the disk is full, or the file cannot be written.
        """
        key, text = f"{key}; {made_with(trained.machine)}", _packed(trained)
        with plain_errors(self.path), self._connection:
            statement = "INSERT OR REPLACE INTO trainings VALUES (?, ?, ?)"
            self._connection.execute(statement, (key, text, checksum("trainings", (key, text))))

    def look(self, meaning: str, task: str, seeds: range, settings: str) -> int:
        """Records that a comparison has used fresh seeds of a program, and counts the others that have.

        Args:
            meaning: fingerprint of the program.
            task: version of the task.
            seeds: places of the seeds among the fresh seeds of each replicate.
            settings: identity of the comparison, such as a hash of its settings.

        Returns:
            The number of other comparisons of this program on this task that have used some of these seeds.

        Raises:
            StorageError: the disk is full, or the file cannot be written.
        """
        row = (meaning, task, seeds.start, seeds.stop, settings)
        with plain_errors(self.path), self._connection:
            self._connection.execute(
                "INSERT OR IGNORE INTO looks VALUES (?, ?, ?, ?, ?, ?)", (*row, checksum("looks", row))
            )
            query = (
                "SELECT count(DISTINCT settings) FROM looks "
                "WHERE meaning = ? AND task = ? AND first < ? AND last > ? AND settings <> ?"
            )
            return int(
                self._connection.execute(query, (meaning, task, seeds.stop, seeds.start, settings)).fetchone()[0]
            )


class KeptPool(Generic[J]):
    """A pool that trains only runs that are not cached, each of them once, and caches the results.

    Args:
        kept: the cache.
        pool: the pool that trains.
        machine: returns the machine on which the pool trains, as in ``Trained.machine``; called at most once, when it
            is needed. Defaults to the CPU of this process.
        time_limit_s: time limit of a run in seconds. A cached run that reached a lower one is trained again.
    """

    def __init__(
        self,
        kept: Trainings,
        pool: Pool[J, Trained],
        *,
        machine: Callable[[], str] = made_on,
        time_limit_s: float = 0.0,
    ):
        self._kept, self._pool, self._time_limit_s = kept, pool, time_limit_s
        self._asked_machine = cache(machine)
        self._ready = deque[tuple[int, Trained]]()
        self._keys: dict[int, str] = {}
        self._others: dict[str, list[int]] = {}

    @property
    def room(self) -> int:
        """Free capacity of the underlying pool."""
        return self._pool.room

    @property
    def machine(self) -> str:
        """The machine on which the pool trains; may wait until a worker has started."""
        return self._asked_machine()

    def submit(self, number: int, value: J) -> None:
        """Submits a requested run."""
        key = value.key
        if key in self._others:
            self._others[key].append(number)
        elif (found := self._kept.find(key, self.machine)) is not None and not self._was_shorter(found):
            self._kept.known += 1
            self._ready.append((number, found))
        else:
            self._keys[number], self._others[key] = key, []
            self._pool.submit(number, value)

    def _was_shorter(self, found: Trained) -> bool:
        return found.result.outcome is Outcome.TIME_LIMIT and found.seconds < self._time_limit_s

    def collect(self) -> tuple[int, Trained]:
        """Number and result of a run that was cached, or has been trained and stored."""
        if self._ready:
            return self._ready.popleft()
        number, trained = self._pool.collect()
        key = self._keys.pop(number)
        self._kept.keep(key, trained)
        self._kept.trained += 1
        self._ready.extend((other, trained) for other in self._others.pop(key))
        return number, trained


def _create(connection: sqlite3.Connection) -> None:
    connection.execute(_CREATE)
    connection.execute(_CREATE_LOOKS)


def _packed(trained: Trained) -> str:
    return json.dumps(asdict(trained.result) | {"outcome": trained.result.outcome.value, "seconds": trained.seconds})


def _unpacked(key: str, text: str) -> Trained:
    values = read_json("trainings", key, text, _KEPT)
    seconds, outcome = values.pop("seconds"), values.pop("outcome")
    curves = {name: tuple(values.pop(name, ())) for name in ("train_losses", "validation_losses")}
    return Trained(TrainingResult(outcome=Outcome(outcome), **curves, **values), seconds)


@contextmanager
def training(
    train: Callable[[J], Trained],
    folder: Path,
    workers: int | None,
    address: str | None = None,
    imports: Sequence[str] = (),
    *,
    gpus: float = 0.0,
    script: TrainingScript | None = None,
) -> Generator[tuple[KeptPool[J], Trainings]]:
    """Opens a caching pool that trains on Ray workers or in this process.

    Args:
        train: function that executes a training run.
        folder: folder of the cache.
        workers: number of concurrent runs; 0 for sequential runs in this process, None for one per core, or per share
            of a GPU.
        address: address of a Ray cluster to join; None starts a local one.
        imports: ``module:object`` references of user-defined tasks.
        gpus: share of a GPU of each worker; 0 for none.
        script: the script that is trained, whose runs have its resources and time limit; None for tasks.

    Raises:
        RunError: the folder cannot be used.
        WorkerError: Ray cannot be started or joined, or has too few CPUs or GPUs for a run.
    """
    check_share(workers, gpus, address)
    count = _count(workers, address, script.cpus if script else 1, gpus)
    limit = script.time_limit_s if script else 0.0
    kept = Trainings(folder)
    try:
        if count == 0:
            machine = made_on if script else this_machine
            yield KeptPool(kept, Here(train), machine=machine, time_limit_s=limit), kept
            return
        from optsearch.search.workers.ray_pool import RayPool, WorkerPool

        with redirect_stdout(sys.stderr):  # Ray prints node events, but stdout is for results
            if gpus:
                pool = WorkerPool(train, count, gpus=gpus, address=address, imports=imports)
            elif script:
                pool = RayPool(train, count, address=address, cpus=script.cpus, gpus=script.gpus)
            else:
                pool = RayPool(train, count, address=address, imports=imports)
            try:
                machine = made_on if script else pool.machine
                yield KeptPool(kept, pool, machine=machine, time_limit_s=limit), kept
            finally:
                pool.close()
    finally:
        kept.close()


def worker_words(workers: int | None, address: str | None, *, cpus: int = 1, gpus: float = 0.0) -> str:
    """Description of the workers; empty if the cluster or its GPUs determine their number."""
    count = _count(workers, address, cpus, gpus)
    return "" if count is None else "in this process" if count == 0 else f"{count} worker{'' if count == 1 else 's'}"


def _count(workers: int | None, address: str | None, cpus: int, gpus: float) -> int | None:
    return max(available_cores() // cpus, 1) if workers is None and address is None and not gpus else workers
