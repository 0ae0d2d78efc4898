"""Costly training runs resume after a kill of a worker or of the command, without an option and with the same result.

The task is a cheap one whose model claims to be costly.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from disturbed import COMMAND, descendants, kill

from optsearch.dsl.library import LIBRARY
from optsearch.proxy_tasks.execution import segments
from optsearch.proxy_tasks.execution.snapshot import StateSnapshot
from optsearch.search.scoring.evaluate import Trainers, evaluate, import_own_tasks
from optsearch.search.scoring.fitness import Job, Setting

pytestmark = pytest.mark.slow

MODULE = """
from dataclasses import replace

from optsearch.proxy_tasks.models.model import MLP
from optsearch.proxy_tasks.registry import get_task


class Costly(MLP):
    multiply_adds = 10**13


digits = get_task("digits")
Dear = replace(digits, model=Costly(digits.model.widths, digits.model.activation), batch_size=256, steps=STEPS)
"""

EVALUATE = (
    "evaluate", "lion", "--import", "costly:Dear", "--task", "Dear", "--baseline", "sgd", "--replicates", "1",
    "--seeds", "2", "--tune", "0", "--workers", "2",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a user's module, and a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


def start(kept: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *EVALUATE, "--kept-in", kept],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str], kept: str) -> tuple[str, Any]:
    """What a command said, and its losses."""
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    shown = subprocess.run([*COMMAND, *EVALUATE, "--kept-in", kept, "--json"], capture_output=True, text=True)
    found = json.loads(shown.stdout)
    assert (found["trained_runs"], found["known_runs"]) == (0, 4)
    return err, [(row["contender"], row["outcome"], row["test_loss"]) for row in found["rows"]]


def after_snapshots(process: subprocess.Popen[str], folder: Path) -> None:
    """Waits until both runs have stored their state."""
    while process.poll() is None and len(list(folder.glob("*.npz"))) < 2:
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()


def test_evaluations_resume(folder: Path) -> None:
    (folder / "costly.py").write_text(MODULE.replace("STEPS", "20_000"))
    snapshots = folder / "cache" / segments.FOLDER
    said, whole = end(start("whole"), "whole")
    assert "resumed at step" not in said
    assert {outcome for _, outcome, _ in whole} == {"ok"}

    process = start("workers")
    after_snapshots(process, snapshots)
    killed = descendants(process.pid, "_with_tasks")
    assert len(killed) == 2
    for worker in killed:
        kill(worker)
    said, again = end(process, "workers")
    assert again == whole
    assert said.count("resumed at step") == 2

    process = start("command")
    after_snapshots(process, snapshots)
    kill(process.pid)
    process.communicate()
    said, again = end(start("command"), "command")
    assert again == whole
    assert said.count("resumed at step") == 2
    deadline = time.monotonic() + 60  # workers of the killed command may end a little later than it
    while list(snapshots.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [path.suffix for path in snapshots.iterdir() if path.suffix == ".npz"] == []


def test_the_fitness_of_a_search_resumes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "costly.py").write_text(MODULE.replace("STEPS", "100"))
    monkeypatch.setattr("optsearch.proxy_tasks.registry._IMPORTED", {})
    monkeypatch.setattr(sys, "path", [os.getcwd(), *sys.path])
    monkeypatch.setattr(segments, "SHARE", float("inf"))
    import_own_tasks(["costly:Dear"])
    trainers = Trainers()
    fitness: Callable[[], Any] = lambda: evaluate(  # noqa: E731
        trainers, Setting("Dear", (0,)), Job(0, LIBRARY["adamw"])
    )
    whole = fitness()
    write, count = StateSnapshot.write, 0

    def last(self: StateSnapshot, arrays: Any) -> None:
        nonlocal count
        write(self, arrays)
        count += 1
        if count == 7:
            raise KeyboardInterrupt

    monkeypatch.setattr(StateSnapshot, "write", last)
    with pytest.raises(KeyboardInterrupt):
        fitness()
    again = fitness()
    assert (again.value, again.steps, count) == (whole.value, whole.steps, 9)
    assert trainers["Dear"].resumed_from == 70
