"""`optsearch runs` lists a folder of runs; the work of `evaluate`, `select` and `simplify` can be followed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Command
from made_up_run import made_up_run
from made_up_selection import selected_run

from optsearch.runs.store.work import WORK, Work, read_work, working
from optsearch.runs.store.writer import RunStore


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_runs_of_a_folder_with_their_studies_and_work(here: Path, optsearch: Command) -> None:
    assert "no such folder" in optsearch("runs").err
    runs = here / "optsearch-runs"
    selected_run(runs / "one", programs=60)
    made_up_run(runs / "study" / "seed1", "seed=1", programs=40)
    (runs / "notes").mkdir()
    damaged = runs / "damaged"
    shutil.copytree(runs / "one", damaged)
    (damaged / "run.sqlite").write_bytes(b"not a database")
    with working(runs, "simplify", ["one:best"], [runs / "one"], ["ae"]) as log:
        log.update(7, None, lambda: "dropping statement 3")
    rows = {row["name"]: row for row in optsearch("runs", "--json").json()}
    with RunStore.read(runs / "one") as store:
        best = store.progress(store.search("search")).best
        evaluated = sum(store.progress(search).evaluated for search in store.searches())
    assert best is not None
    one = rows["one"]
    assert (one["kind"], one["status"], one["tasks"], one["best"]) == ("search", "finished", ["ae"], best.fitness)
    assert one["evaluations"] == evaluated
    assert (rows["one study 1"]["kind"], rows["one study 1"]["status"]) == ("selection", "finished")
    assert rows["one study 1"]["evaluations"] > 0
    assert rows["study/seed1"]["kind"] == "search"
    assert rows["damaged"]["status"] == "unreadable"
    assert "notes" not in rows
    (work,) = [row for row in rows.values() if row["kind"] == "distillation"]
    assert (work["status"], work["evaluations"], work["says"]) == ("finished", 7, "one:best")
    words = optsearch("runs", runs).out
    assert all(name in words for name in rows)
    assert "`mv` renames it" in optsearch("runs", "--help").out


def test_work_is_followed_by_its_run_and_by_its_name(here: Path, optsearch: Command) -> None:
    runs = here / "optsearch-runs"
    made_up_run(runs / "one", programs=40)
    with working(runs, "evaluate", ["one:best"], [runs / "one"], ["digits"]) as log:
        log.update(3, 3, lambda: "evaluate: all done")
    (work,) = read_work(runs)
    line = json.loads(optsearch("watch", work.name, "--json").out)
    assert (line["command"], line["status"], line["done"], line["total"]) == ("evaluate", "finished", 3, 3)
    assert "evaluate: all done" in optsearch("watch", work.name).out
    assert optsearch("watch", "one").out.startswith("one: finished"), "no work is going on: the run itself"
    file = runs / WORK / f"{work.name}.json"
    values = json.loads(file.read_text()) | {"status": "running"}
    file.write_text(json.dumps(values | {"process": ended_process()}))
    assert read_work(runs)[0].status == "crashed"
    code = (
        "import json, os, sys, time; path, text = sys.argv[1:]; time.sleep(3); values = json.loads(text);"
        "open(path + '.new', 'w').write(json.dumps(values | {'status': 'failed', 'line': 'it failed'}));"
        "os.replace(path + '.new', path)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(file), json.dumps(values)]) as writer:
        file.write_text(json.dumps(values | {"process": writer.pid}))
        said = optsearch("watch", "one")
    assert said.code == 1
    assert "running" in said.out.splitlines()[0]
    assert said.out.splitlines()[-1].endswith("failed; it failed")


def test_strange_files_are_no_work(here: Path) -> None:
    with working(here, "select", ["a"], [], []):
        pass
    (work,) = read_work(here)
    folder = here / WORK
    (folder / "evaluate-00000000.json").write_text(json.dumps({"command": "rm -rf"}))
    (folder / "select-11111111.json").write_bytes((folder / f"{work.name}.json").read_bytes())
    (folder / "x.json").write_bytes(b"\xff\xfe")
    os.symlink(folder / f"{work.name}.json", folder / "link.json")
    (folder / "large.json").write_text(" " * 200_000)
    assert read_work(here) == [work]


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "interrupted"), (ValueError, "failed")])
def test_the_end_of_work_is_recorded(here: Path, error: type[BaseException], status: str) -> None:
    def work() -> None:
        with working(here, "simplify", ["p"], [], ["ae"]):
            assert read_work(here)[0].status == "running"
            raise error

    with pytest.raises(error):
        work()
    assert [work.status for work in read_work(here)] == [status]


def test_a_name_is_that_of_what_was_given() -> None:
    work = Work("evaluate", ("a:1",), (), ("ae",), "running", 0, None, "", "", "", 1, "here")
    assert work.name == replace(work, done=5, status="finished", process=2).name
    assert work.name != replace(work, subjects=("a:2",)).name
