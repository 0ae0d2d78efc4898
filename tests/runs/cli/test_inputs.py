"""Inputs of commands other than programs and settings: unusual files, numbers, addresses and streams."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from command_line import SMALL, Command

ENTRY = [sys.executable, "-c", "from optsearch.runs.cli.app import main; main()"]


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_only_regular_files_are_campaigns(kind: str, optsearch: Command, tmp_path: Path) -> None:
    path = {"pipe": tmp_path / "pipe", "device": Path("/dev/zero"), "folder": tmp_path}[kind]
    if kind == "pipe":
        os.mkfifo(path)
    said = optsearch("search", path)
    assert said.code == 2
    assert said.err.startswith(f"error: {path}: {'cannot be read' if kind == 'folder' else 'not a regular file'}")


def test_a_file_is_read_no_further_than_settings_are(optsearch: Command, tmp_path: Path) -> None:
    with (tmp_path / "large.yaml").open("w") as file:
        file.truncate(2**36)
    said = optsearch("search", tmp_path / "large.yaml")
    assert (said.code, "the text has more than 1000000 characters" in said.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["search", "quickstart", "--workers", "100000"], "--workers"),
        (["search", "quickstart", "--workers", "9999"], "9999 workers are too many for"),
        (["simplify", "lion", "--workers", "9999"], "9999 workers are too many for"),
        (["evaluate", "lion", "--workers", "9999"], "9999 workers are too many for"),
        (["search", "quickstart", "--address", "a:1", "--workers", "0"], "not on the Ray cluster at a:1"),
        (["evaluate", "lion", "--address", "a:1", "--workers", "0"], "not on the Ray cluster at a:1"),
        (["select", "run", "--address", "a:1", "--workers", "0"], "not on the Ray cluster at a:1"),
        (["simplify", "lion", "--address", "a:1", "--workers", "0"], "not on the Ray cluster at a:1"),
        *[
            ([*command, "--gpus-per-worker", *options], says)
            for command in (["search", "quickstart"], ["evaluate", "lion"], ["select", "run"], ["simplify", "lion"])
            for options, says in (
                (["-1"], "--gpus-per-worker"),
                (["nan"], "--gpus-per-worker"),
                (["inf"], "inf GPUs for each worker: use a whole number"),
                (["1.5"], "1.5 GPUs for each worker: use a whole number, or a fraction below 1"),
                (["0.00001"], "1e-05 GPUs for each worker: use a whole number"),
                (["0.5", "--workers", "0"], "0 workers train in this process, which has no share of a GPU"),
            )
        ],
        (
            ["evaluate", "lion", "--script", "train.py", "--steps", "10", "--gpus-per-worker", "1"],
            "it is an option of tasks: use --gpus-per-run",
        ),
        (["search", "quickstart", "--seed", str(2**63 - 1), "--seeds", "2"], "but a seed is below 9223372036854775808"),
        (["search", "quickstart", "--seed", str(2**63)], "seed: must be below 9223372036854775808"),
        (["search", "quickstart", "--set", "seed=1_"], "seed: must be a whole number, got '1_'"),
    ],
)
def test_numbers_that_cannot_be_meant(
    arguments: list[str], says: str, optsearch: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    said = optsearch(*arguments)
    assert (said.code, says in said.err) == (2, True), said.err
    assert not list(tmp_path.iterdir())


def test_closed_and_full_streams() -> None:
    """Without a standard output there is none to fail at; a full one is said, once."""
    command = " ".join(f"'{part}'" for part in ENTRY)
    for streams, code, says in (
        (">&-", 0, ""),
        ("<&- >&- 2>&-", 0, ""),
        (">/dev/full", 1, "error: [Errno 28] No space"),
    ):
        done = subprocess.run(["sh", "-c", f"{command} functions {streams}"], capture_output=True, text=True)
        assert (done.returncode, done.stderr[:26]) == (code, says), done.stderr


def test_a_run_that_is_deleted_while_it_is_written_ends(tmp_path: Path) -> None:
    from optsearch.runs.commands.search import Campaign, load_named
    from optsearch.runs.store.errors import StorageError

    config, text = load_named("quickstart", SMALL[1::2])
    campaign = Campaign(config, text, tmp_path / "run")

    class Deletes(threading.Event):
        """Asked between the turns of a search whether to stop; deletes the run at the tenth."""

        asked = 0

        def is_set(self) -> bool:
            self.asked += 1
            if self.asked == 10:
                shutil.rmtree(campaign.folder)
            return False

    with pytest.raises(StorageError, match=r"run: the folder was deleted or moved while the run was written"):
        campaign.run(workers=0, quiet=True, stop=Deletes())
    assert not campaign.folder.exists()


def test_a_cluster_without_workers_is_refused_from_python_too(tmp_path: Path) -> None:
    """It said that it was on the cluster, and trained in this process."""
    from optsearch.runs.commands.search import Campaign, load_named
    from optsearch.search.workers.ray_runtime import WorkerError

    campaign = Campaign(*load_named("quickstart"), tmp_path / "run")
    with pytest.raises(WorkerError, match=r"not on the Ray cluster at 1\.2\.3\.4:1"):
        campaign.run(workers=0, address="1.2.3.4:1", quiet=True)
