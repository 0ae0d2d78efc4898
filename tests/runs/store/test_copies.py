"""Runs are readable in read-only folders, and as incomplete copies."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Command
from made_up_run import made_up_run

from optsearch.runs.store.reader import RUN_FILE
from optsearch.runs.store.writer import RunStore


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up_run(tmp_path_factory.mktemp("made") / "run", programs=40)


def reopened(folder: Path, status: str) -> RunStore:
    with RunStore.read(folder) as reader:
        settings, tasks = reader.meta("settings"), reader.meta("tasks")
    store = RunStore.resume(folder, settings=settings, about={}, tasks=tasks)
    store.set_meta("status", status)
    return store


def shown_read_only(folder: Path) -> subprocess.CompletedProcess[str]:
    """What `show` says of a folder that is mounted for reading alone."""
    mounted = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
    inside = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mounted, "sh", str(folder)]
    if shutil.which("unshare") is None or subprocess.run([*inside, "true"], capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    show = [sys.executable, "-c", "from optsearch.runs.cli.app import main; main()", "show", str(folder)]
    return subprocess.run([*inside, *show], capture_output=True, text=True, timeout=120)


def test_a_run_on_a_read_only_mount_is_read(made_up: Path, optsearch: Command, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made_up, tmp_path / "run"))
    said = shown_read_only(folder)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout == optsearch("show", folder).out


@pytest.mark.parametrize("index", [True, False])
def test_a_log_on_a_read_only_mount(index: bool, made_up: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made_up, tmp_path / "run"))
    with reopened(folder, "running"):
        copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    if not index:
        (copy / f"{RUN_FILE}-shm").unlink()
    said = shown_read_only(copy)
    if index:
        assert said.returncode == 0
        assert ": crashed\n" in said.stdout
    else:
        assert said.returncode == 2
        assert "copy the whole folder" in said.stderr


@pytest.mark.slow
def test_a_copy_without_its_log_says_so(made_up: Path, optsearch: Command, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made_up, tmp_path / "run"))
    copy = tmp_path / "copy"
    with reopened(folder, "running"):
        assert optsearch("show", folder, "--json").json()["status"] == "running"
        whole = Path(shutil.copytree(folder, tmp_path / "whole"))
    with reopened(folder, "running"):
        copy.mkdir()
        shutil.copy(folder / RUN_FILE, copy)
    assert optsearch("show", whole, "--json").json()["status"] == "crashed"
    assert optsearch("show", copy, "--json").json()["status"] == "incomplete"
    assert "Copy the whole folder" in optsearch("show", copy).out
    assert optsearch("watch", copy, "--plain").code == 1
    said = optsearch("verify", copy, "--sample", "0")
    assert said.code == 1
    assert "FAIL completeness" in said.out


def test_a_copy_from_before_the_first_record_says_so(tmp_path: Path) -> None:
    from optsearch.runs.summary.status import status

    copy = tmp_path / "copy"
    copy.mkdir()
    with RunStore.create(tmp_path / "run", campaign="", settings={}, about={}, tasks={}):
        shutil.copy(tmp_path / "run" / RUN_FILE, copy)
    with RunStore.read(copy) as store:
        assert status(store) == "incomplete"
