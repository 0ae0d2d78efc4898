"""A repeated command gives the same result after failures of the driver, its workers, Ray, or the disk."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from command_line import Command
from disturbed import COMMAND, QUICK, descendants, finish, kill, result, search_command, show, start, wait_for_line

from optsearch.runs.commands.search import Campaign, load_named
from optsearch.runs.store.writer import RunStore

LONGER = ("--set", "budget.programs=3000")


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the search that nothing disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    config, text = load_named("quickstart", QUICK[1::2])
    Campaign(config, text, folder).run(workers=0, quiet=True)
    return folder


@pytest.fixture
def undisturbed(calm: Path, optsearch: Command) -> dict[str, Any]:
    return result(optsearch("show", calm, "--json").json())


@pytest.fixture
def finished(optsearch: Command) -> Callable[[Path], dict[str, Any]]:
    """``finished(folder)``: repeats a search's command here; gives the results that no disturbance may change."""
    return lambda folder: result(optsearch(*search_command(folder)[len(COMMAND) :], "--json").json())


@pytest.fixture(scope="session")
def longer(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return result(finish(search_command(tmp_path_factory.mktemp("longer") / "run", *LONGER)))


def check_kills(folder: Path, kills: int, expected: dict[str, Any], *more: str) -> None:
    """Kills the driver at random moments, reads what it left, and lets the last sitting end."""
    draws, done = random.Random(kills), 0
    durable: set[int] = set()
    for number in range(kills):
        process = start(search_command(folder, *more))
        deadline = time.monotonic() + 120
        while number > 0 and not RunStore.exists(folder) and time.monotonic() < deadline:
            time.sleep(0.02)  # on a busy machine a start takes longer than the time below
        time.sleep(draws.uniform(0.3, 4.0))
        kill(process.pid)
        process.communicate()
        if not RunStore.exists(folder):
            continue
        with RunStore.read(folder) as store:
            done += 1
            for search in store.searches():
                tickets = {evaluated.ticket for evaluated in store.evaluations(search)}
                assert durable <= tickets, "a durable evaluation is lost"
                durable = tickets
    assert done > 0
    assert result(finish(search_command(folder, *more))) == expected


@pytest.mark.slow  # `test_cli.py` kills it once
def test_kills_of_the_driver(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    check_kills(tmp_path / "run", 3, undisturbed)


@pytest.mark.slow
def test_fifty_kills_of_the_driver(tmp_path: Path, longer: dict[str, Any]) -> None:
    check_kills(tmp_path / "run", 50, longer, *LONGER)


@pytest.mark.slow
def test_kills_while_workers_train_what_decides(tmp_path: Path) -> None:
    more = ("--set", "finalists={count: 8, seeds: 8}", "--set", "fresh_seeds=8")
    folder = tmp_path / "run"
    for least in (5, 40):
        process = start(search_command(folder, *more, workers=2))
        wait_for_line(process, "Choosing among the finalists")
        deadline = time.monotonic() + 120
        while finals_of(folder) < least and time.monotonic() < deadline:
            time.sleep(0.02)
        kill(process.pid)
        process.communicate()
        assert least <= finals_of(folder) < 8 * 8 + 2 * 8, "killed while they were trained"
    disturbed = result(finish(search_command(folder, *more, workers=2)))
    assert finals_of(folder) == 8 * 8 + 2 * 8
    assert disturbed == result(finish(search_command(tmp_path / "calm", *more)))


def finals_of(folder: Path) -> int:
    with RunStore.read(folder) as store:
        return len(store.finals())


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers(tmp_path: Path, longer: dict[str, Any], workers: int) -> None:
    assert result(finish(search_command(tmp_path / "run", *LONGER, workers=workers))) == longer


def check_worker_kills(folder: Path, expected: dict[str, Any], interval_s: float) -> None:
    process, killed = start(search_command(folder, *LONGER, workers=2)), 0
    while process.poll() is None:
        time.sleep(interval_s)
        for worker in descendants(process.pid, "ray::_Worker")[:1]:
            kill(worker)
            killed += 1
    assert process.communicate()[1] is not None
    assert process.returncode == 0
    assert killed > 0
    assert result(show(folder)) == expected


@pytest.mark.slow
def test_kills_of_workers_every_few_seconds(tmp_path: Path, longer: dict[str, Any]) -> None:
    check_worker_kills(tmp_path / "run", longer, 5.0)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["raylet", "gcs_server"])
def test_ray_itself_is_killed(tmp_path: Path, longer: dict[str, Any], victim: str) -> None:
    folder = tmp_path / "run"
    process = start(search_command(folder, *LONGER, workers=2))
    wait_for_line(process, "search:")
    deadline = time.monotonic() + 60
    while not descendants(process.pid, "ray::_Worker.evaluate") and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    victims = descendants(process.pid, victim)
    assert victims
    for number in victims:
        kill(number)
    process.communicate(timeout=120)
    assert process.returncode in (0, 1)  # workers that are there already can do without the GCS until the search ends
    assert result(finish(search_command(folder, *LONGER, workers=2))) == longer


@pytest.mark.slow
def test_nothing_is_left_behind(tmp_path: Path) -> None:
    process = start(search_command(tmp_path / "run", workers=2))
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert not left_behind(process.pid)


def left_behind(session: int) -> list[Path]:
    """Processes of a session."""
    return [folder for folder in Path("/proc").glob("[0-9]*") if _session(folder) == session]


def _session(folder: Path) -> int:
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[3])
    except OSError:
        return -1


def test_ctrl_c_twice_stops_at_once_and_loses_nothing(
    tmp_path: Path, undisturbed: dict[str, Any], optsearch: Command, finished: Callable[[Path], dict[str, Any]]
) -> None:
    folder = tmp_path / "run"
    process = start(search_command(folder))
    wait_for_line(process, "search:")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert optsearch("show", folder, "--json").json()["status"] in ("interrupted", "crashed")
    assert finished(folder) == undisturbed


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_sigterm_interrupts_a_comparison_as_ctrl_c_does(workers: int, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    options = ["--kept-in", str(kept), "--workers", str(workers)]
    process = start([*COMMAND, "evaluate", "lion", "--task", "digits", *options])
    deadline = time.monotonic() + 120.0
    while stored_trainings(kept) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "The same command resumes" in said
    assert 2 <= stored_trainings(kept) < 3 * 5 * 51
    while left_behind(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left_behind(process.pid)


def stored_trainings(folder: Path) -> int:
    """Number of finished training runs; 0 before the first."""
    try:
        with closing(sqlite3.connect(f"file:{folder / 'trainings.sqlite'}?mode=ro", uri=True)) as kept:
            return kept.execute("SELECT count(*) FROM trainings").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def test_two_drivers_on_one_run(tmp_path: Path, undisturbed: dict[str, Any], optsearch: Command) -> None:
    folder = tmp_path / "run"
    first = start(search_command(folder))
    wait_for_line(first, "search:")
    second = optsearch(*search_command(folder)[len(COMMAND) :])
    assert second.code == 2
    assert f"process {first.pid} on" in second.err
    first.communicate(timeout=120)
    assert first.returncode == 0
    assert result(optsearch("show", folder, "--json").json()) == undisturbed


@pytest.mark.slow
def test_readers_never_hold_the_writer_up(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    folder, looks = tmp_path / "run", 0
    process = start(search_command(folder))
    wait_for_line(process, "search:")
    while process.poll() is None:
        with RunStore.read(folder) as store:
            for search in store.searches():
                before = store.settled(search)
                store.verify_records()
                assert store.settled(search) == before, "a reader sees one moment"
        looks += 1
    assert process.communicate()[1] is not None
    assert process.returncode == 0
    assert looks > 3
    assert result(show(folder)) == undisturbed


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes; only root can make one."""
    mount = tmp_path / "disk"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(mount)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small file system needs the right to mount one")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


def test_a_full_disk_stops_cleanly_and_goes_on_after_space_is_made(
    small_disk: Path, undisturbed: dict[str, Any], finished: Callable[[Path], dict[str, Any]]
) -> None:
    folder, ballast = small_disk / "run", small_disk / "ballast"
    ballast.write_bytes(b"x" * (4 * 2**20 - 200_000))
    full = start(search_command(folder))
    said = full.communicate(timeout=120)[1]
    assert full.returncode == 1
    assert "the disk is full: make space and start the same command again" in said
    assert "Traceback" not in said
    ballast.unlink()
    assert finished(folder) == undisturbed
