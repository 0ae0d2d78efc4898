"""A run can be followed from another shell until it ends, as text and as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

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
    import shutil

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
