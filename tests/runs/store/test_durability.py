"""No data loss and no silent corruption: bit flips, truncated files, kills and a full disk."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from stored_search import TAIL, create, resume, run_search, undisturbed

from optsearch.runs.store.errors import DamagedRunError, RunError
from optsearch.runs.store.lock import LOCK_FILE, is_locked
from optsearch.runs.store.reader import RUN_FILE
from optsearch.runs.store.writer import RunStore
from optsearch.search.evolution import Evolution


@pytest.fixture
def finished(tmp_path: Path) -> tuple[Path, Evolution]:
    with create(tmp_path / "run") as store:
        _, evolution = run_search(store)
    return tmp_path / "run", evolution


def read_everything(folder: Path) -> tuple[Any, ...]:
    """All that people and searches read."""
    with RunStore.read(folder) as reader:
        search = reader.search("search")
        evaluated = {result.ticket: result for result in reader.evaluations(search)}
        return (
            tuple(reader.meta(key) for key in ("campaign", "settings", "status", "about", "created")),
            reader.searches(),
            tuple(evaluated.values()),
            tuple(reader.tickets(search, 0, evaluated)),
            reader.history(search, TAIL).settled,
            reader.finals(),
        )


def damage(folder: Path, change: Any) -> bytes:
    original = (folder / RUN_FILE).read_bytes()
    (folder / RUN_FILE).write_bytes(change(bytearray(original)))
    for suffix in ("-wal", "-shm"):
        (folder / f"{RUN_FILE}{suffix}").unlink(missing_ok=True)
    return original


def flip(bit: int) -> Any:
    def change(data: bytearray) -> bytes:
        data[bit // 8] ^= 1 << (bit % 8)
        return bytes(data)

    return change


def truncate(length: int) -> Any:
    return lambda data: bytes(data[:length])


def check_damage(finished: tuple[Path, Evolution], flips: int, seed: int) -> None:
    folder, _ = finished
    truth, size = read_everything(folder), (folder / RUN_FILE).stat().st_size
    draws, noticed = random.Random(seed), 0
    for number in range(flips):
        cut = number % 4 == 3
        change = truncate(draws.randrange(size)) if cut else flip(draws.randrange(8 * size))
        original = damage(folder, change)
        try:
            found = read_everything(folder)
        except RunError as error:
            noticed += str(folder) in str(error)
        else:
            assert found == truth  # a bit in unused space
        (folder / RUN_FILE).write_bytes(original)
    assert noticed > flips / 3


def test_flipped_bits_and_cut_files_are_never_silently_wrong(finished: tuple[Path, Evolution]) -> None:
    check_damage(finished, 120, 0)


@pytest.mark.slow
def test_many_flipped_bits_and_cut_files_are_never_silently_wrong(finished: tuple[Path, Evolution]) -> None:
    check_damage(finished, 3000, 1)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE evaluations SET fitness = 0.0 WHERE ticket = 0", r"table evaluations, record \(0, 0\)"),
        ("UPDATE evaluations SET outcome = 'ok' WHERE outcome = 'hurdle'", r"table evaluations, record \(0, \d+\)"),
        ("DELETE FROM evaluations WHERE ticket > 0", "table evaluations: records are missing"),
        ("DELETE FROM tickets WHERE ticket = 3", r"table tickets: record \(0, 3\) is missing"),
        ("UPDATE tickets SET parent = 0 WHERE ticket = 100", r"table tickets, record \(0, 100\)"),
        ("UPDATE totals SET tickets = 5", r"table totals, record \(0\)"),
        ("UPDATE meta SET value = '2' WHERE key = 'settings'", r"table meta, record \(settings\)"),
        ("DROP TABLE finals", "has not the tables"),
    ],
)
def test_changed_records_are_named(finished: tuple[Path, Evolution], sql: str, said: str) -> None:
    connection = sqlite3.connect(finished[0] / RUN_FILE)
    with connection:
        connection.execute(sql)
    connection.close()
    with pytest.raises(DamagedRunError, match=said):
        read_everything(finished[0])


WRITER = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
import stored_search
from optsearch.runs.store.writer import RunStore
folder = Path({folder!r})
store = stored_search.resume(folder) if RunStore.exists(folder) else stored_search.create(folder)
with store:
    print("ready", flush=True)
    search, evolution = stored_search.run_search(store, {programs})
    print(evolution.population_digest(), flush=True)
"""


def start_writer(folder: Path, programs: int) -> subprocess.Popen[str]:
    code = WRITER.format(tests=str(Path(__file__).parents[1]), folder=str(folder), programs=programs)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def check_kills(folder: Path, kills: int, programs: int) -> None:
    draws = random.Random(kills)
    for _ in range(kills):
        with start_writer(folder, programs) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            time.sleep(draws.uniform(0.0, 0.25))
            os.kill(writer.pid, signal.SIGKILL)
        with RunStore.read(folder) as reader:  # every moment is readable
            for search in reader.searches():
                reader.history(search, TAIL)
    with resume(folder) as store:
        _, evolution = run_search(store, programs)
        assert evolution.population_digest() == undisturbed(folder.parent / "undisturbed", programs)


def test_kill_in_the_middle_of_writing(tmp_path: Path) -> None:
    check_kills(tmp_path / "run", 3, 1500)


@pytest.mark.slow
def test_kill_at_fifty_moments(tmp_path: Path) -> None:
    check_kills(tmp_path / "run", 50, 20_000)


def test_a_kill_frees_the_lock(tmp_path: Path) -> None:
    with start_writer(tmp_path / "run", 10**6) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        assert is_locked(tmp_path / "run")
        with pytest.raises(RunError, match=f"process {writer.pid} on"):
            resume(tmp_path / "run")
        os.kill(writer.pid, signal.SIGKILL)
    assert not is_locked(tmp_path / "run")
    assert (tmp_path / "run" / LOCK_FILE).exists()
    resume(tmp_path / "run").close()


def test_a_full_disk_is_said_and_loses_nothing(tmp_path: Path) -> None:
    with create(tmp_path / "run") as store:
        run_search(store, stop_after=5)
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(RunError, match="the disk is full: make space"):
            run_search(store, 5000)
    with resume(tmp_path / "run") as store:
        _, evolution = run_search(store)
    assert evolution.population_digest() == undisturbed(tmp_path / "other", 100)
