"""A run can be followed from another shell until it ends, as text and as JSON."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from command_line import SMALL, Command


def test_a_finished_run_is_said_at_once(small_run: Path, optsearch: Command) -> None:
    words = optsearch("watch", small_run, "--plain")
    assert words.code == 0
    assert words.out.startswith("small: finished")
    shown = optsearch("show", small_run, "--json").json()
    assert f"Program {shown['best']['id']}" in words.out or "control wins" in words.out
    assert f"{shown['comparison'][-1]['difference']:+.5f}" in words.out.splitlines()[-1]
    view = optsearch("watch", small_run, "--json").json()
    assert (view["status"], view["search"], view["generated"]) == ("finished", "search", 60)
    assert view["result"] in words.out


def test_a_running_run_is_followed_to_its_end(optsearch: Command, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from optsearch.runs.cli.app import main; main()"]
    folder = str(tmp_path / "run")
    search = [*command, "search", "quickstart", *SMALL, "--set", "controls=[]", "--out", folder, "--workers", "0"]
    with subprocess.Popen(search, stderr=subprocess.PIPE, text=True) as writer:
        assert writer.stderr is not None
        writer.stderr.readline()
        while not (tmp_path / "run" / "run.sqlite").exists():
            time.sleep(0.02)
        watched = optsearch("watch", folder, "--json")
    assert watched.code == 0
    lines = [json.loads(line) for line in watched.out.splitlines()]
    assert len(lines) > 1
    assert [line["generated"] for line in lines] == sorted(line["generated"] for line in lines)
    assert lines[-1]["status"] == "finished"
    assert lines[-1]["generated"] == 60


def test_a_crashed_run_ends_with_1(small_run: Path, optsearch: Command, tmp_path: Path) -> None:
    from optsearch.runs.store.writer import RunStore

    folder = tmp_path / "crashed"
    shutil.copytree(small_run, folder)
    with RunStore.read(folder) as reader:
        settings = reader.meta("settings")
    store = RunStore.resume(folder, settings=settings, about={}, tasks={})
    store.set_meta("status", "running")
    killed = shutil.copytree(folder, tmp_path / "killed")  # with the log that a process leaves that is killed
    store.close()
    said = optsearch("watch", killed, "--plain")
    assert (said.code, said.out.splitlines()[-1].split(";")[0]) == (1, "killed: crashed")
    assert "is not a run" in optsearch("watch", tmp_path / "none").err


FUNNEL = """
name: small
candidates: {per_run: 20, most: 2}
stages: [{name: fresh, tasks: [search], trials: 0, seeds: 6, baselines: [], keep: {best: 1}}]
"""

LIVE = {
    "evaluate": ["small:best", "--task", "ae", "--baseline", "sgd", "--seeds", "8", "--tune", "2"],
    "select": ["small", "--funnel", "small.yaml"],
    "simplify": ["small:best", "--task", "ae"],
}
"""Arguments of commands that train for a few seconds."""


@pytest.mark.parametrize(
    "command", [pytest.param(name, marks=() if name == "select" else pytest.mark.slow) for name in LIVE]
)
def test_a_live_command_is_followed_to_its_end(command: str, small_run: Path, tmp_path: Path) -> None:
    """The run's name is enough: what is shown is the work on its programs, not the finished search."""
    runs = tmp_path / "optsearch-runs"
    shutil.copytree(small_run, runs / "small")
    (tmp_path / "small.yaml").write_text(FUNNEL)
    program = [sys.executable, "-c", "from optsearch.runs.cli.app import main; main()"]
    started = [*program, command, *LIVE[command], "--workers", "0", "--json"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(started, cwd=tmp_path, stdout=quiet, stderr=subprocess.PIPE, text=True) as worker:
        while worker.poll() is None and not list(runs.glob("work/*.json")):
            time.sleep(0.05)
        worker.send_signal(signal.SIGSTOP)  # until both followers have begun, however slow their start is
        watched = [
            subprocess.Popen([*program, "watch", "small", *more], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
            for more in ([], ["--json"])
        ]
        latest = threading.Timer(60.0, worker.send_signal, [signal.SIGCONT])
        latest.start()
        first = [follower.stdout.readline() for follower in watched if follower.stdout is not None]
        latest.cancel()
        worker.send_signal(signal.SIGCONT)
        rest = [follower.communicate(timeout=300)[0] for follower in watched]
        plain, structured = (begun + more for begun, more in zip(first, rest, strict=True))
        error = worker.communicate(timeout=300)[1]
    assert worker.returncode == 0, error
    assert [follower.returncode for follower in watched] == [0, 0]
    lines = [json.loads(line) for line in structured.splitlines()]
    assert {(line["command"], line["name"].partition("-")[0]) for line in lines} == {(command, command)}
    assert (lines[0]["status"], lines[-1]["status"]) == ("running", "finished")
    done = [line["done"] for line in lines]
    assert done == sorted(done)
    assert done[-1] > 0
    texts = plain.splitlines()
    assert all(line.startswith(f"{command}-") for line in texts)
    assert ": running; " in texts[0]
    assert ": finished; " in texts[-1]
