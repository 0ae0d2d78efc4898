"""``propose``: programs from people and language models join a search, and its history stays reproducible."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from command_line import SMALL, Command
from disturbed import COMMAND, finish, search_command, show, start
from stored_search import create, run_search

from optsearch.dsl.library import LIBRARY
from optsearch.runs.commands.search import Campaign, load_named
from optsearch.runs.notebook import load_run
from optsearch.runs.scripting import propose
from optsearch.runs.store import inbox
from optsearch.runs.store.errors import RunError
from optsearch.runs.store.ledger import SearchInbox
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.lineage import line_of
from optsearch.search.variation.mutation_config import LimitsConfig

LIMITS = LimitsConfig()


def write(folder: Path, *names: str) -> list[Path]:
    """Files with programs of the library."""
    for name in names:
        (folder / f"{name}.txt").write_text(str(LIBRARY[name]), encoding="utf-8")
    return [folder / f"{name}.txt" for name in names]


@pytest.fixture
def run(small_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_run, tmp_path / "run"))


def test_a_mixed_batch_keeps_the_good_ones_and_reports_each_file(run: Path, tmp_path: Path, optsearch: Command) -> None:
    lion, sgd, adamw = write(tmp_path, "lion", "sgd", "adamw")
    (tmp_path / "bad.txt").write_text("def train(w, g, lr):\n  update = nonsense(g)\n  return update\n")
    (tmp_path / "binary.txt").write_bytes(bytes(range(256)))
    (tmp_path / "large.txt").write_text("# x\n" * 1_000_000)
    files = [lion, *(tmp_path / f"{n}.txt" for n in ("bad", "binary", "large", "missing")), adamw, lion, sgd, tmp_path]
    said = optsearch("propose", run, *files, "--source", "a person", "--json")
    assert said.code == 2
    answers = said.json()["files"]
    assert [answer["accepted"] for answer in answers] == [True, *[False] * 6, True, False]
    assert answers[5]["equals"] == "0"
    for answer, words in zip(
        answers[1:7], ("nonsense", "UTF-8", "characters", "No such file", "program 0", "lion.txt"), strict=True
    ):
        assert words in answer["error"]
        assert f"{answer['file']}: refused: " in said.err
    assert said.json()["waiting"] == 2
    assert said.json()["when"] == "extended"
    assert "spent its budget" in said.json()["next"]
    view = optsearch("show", run, "--json").json()["proposals"]
    assert view == [
        {"id": None, "source": "a person", "file": name, "fitness": None, "outcome": None}
        for name in ("lion.txt", "sgd.txt")
    ]
    again = optsearch("propose", run, sgd)
    assert again.code == 2
    assert "equivalent to sgd.txt, which has been proposed already" in again.err


def test_python_proposes_values_names_files_and_programs_of_runs(run: Path, tmp_path: Path) -> None:
    (tmp_path / "sgd.txt").write_text(str(LIBRARY["sgd"]), encoding="utf-8")
    given = [LIBRARY["lion"], "momentum", str(tmp_path / "sgd.txt"), f"{run}:0", "no-such-program", LIBRARY["lion"]]
    made = propose(run, given, source="a notebook")
    accepted = [offered.refusal is None for offered in made.files]
    assert accepted == [True, True, True, False, False, False]
    assert [offered.file for offered in made.files[:2]] == ["program 1", "momentum"]
    assert made.files[3].equals == "0"
    assert "no-such-program" in (made.files[4].refusal or "")
    assert "equivalent to program 1" in (made.files[5].refusal or "")
    assert (made.waiting, made.refused, made.when) == (3, 3, "extended")
    assert propose(load_run(run), LIBRARY["rmsprop"]).waiting == 4
    with pytest.raises(RunError, match="source"):
        propose(run, "rmsprop", source="")


def test_the_standard_input_is_a_file(run: Path, optsearch: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(str(LIBRARY["lion"]).encode())))
    said = optsearch("propose", run, "-")
    assert said.code == 0
    assert said.out.startswith("-: accepted, fingerprint")
    assert "1 proposal waits: the search has spent its budget" in said.out
    assert optsearch("propose", run, "-", "-").code == 2


def test_what_cannot_take_proposals_says_so(tmp_path: Path, run: Path, optsearch: Command) -> None:
    (lion,) = write(tmp_path, "lion")
    assert "'nowhere' is not a run" in optsearch("propose", "nowhere", lion).err
    (tmp_path / "empty").mkdir()
    assert "folder without a run file" in optsearch("propose", tmp_path / "empty", lion).err
    named = optsearch("propose", run, lion, "--source", "two\nlines")
    assert (named.code, "printable" in named.err) == (2, True)
    closed, text = load_named("quickstart", [*SMALL[1::2], "proposals.share=0.0"])
    folder = tmp_path / "closed"
    Campaign(closed, text, folder)._open(False).close()
    assert "admits no proposals" in optsearch("propose", folder, lion).err
    assert not (folder / inbox.INBOX).exists()


def test_a_full_inbox_refuses_more(
    run: Path, tmp_path: Path, optsearch: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MOST_WAITING", 1)
    said = optsearch("propose", run, *write(tmp_path, "lion", "sgd"), "--json")
    assert [answer["accepted"] for answer in said.json()["files"]] == [True, False]
    assert "as many as may" in said.json()["files"][1]["error"]


def test_a_finished_search_evaluates_them_with_a_larger_budget(run: Path, tmp_path: Path, optsearch: Command) -> None:
    assert optsearch("propose", run, *write(tmp_path, "lion", "sgd"), "--source", "model").code == 0
    resume = ["search", "quickstart", *SMALL, "--set", "budget.programs=100", "--out", run, "--workers", "0", "--json"]
    view = optsearch(*resume).json()
    assert inbox.waiting(run) == []
    first, second = optsearch("show", run, "--json").json()["proposals"]
    assert (first["source"], first["file"]) == ("model", "lion.txt")
    assert int(first["id"]) > 60
    shown = optsearch("show", f"{run}:{first['id']}").out
    assert "proposed by model (lion.txt)" in shown
    assert "from the program back to its origin" in shown
    assert "Proposed programs:" in optsearch("show", run).out
    with RunStore.read(run) as store:
        line = line_of(store, store.search("search"), int(second["id"]))
    assert [(step.kind, step.mutation) for step in line] == [("proposed", "proposed by model (sgd.txt)")]
    checks = {check["check"]: check for check in optsearch("verify", run, "--sample", "0", "--json").json()}
    assert checks["history of search"]["agrees"] is True
    assert view["population_digest"][:12] in checks["history of search"]["says"]
    assert optsearch("report", run, "--out", tmp_path / "report.html").code == 0
    again = optsearch("propose", run, tmp_path / "lion.txt", "--json").json()["files"][0]
    assert again["equals"] == first["id"]


def test_changed_records_of_proposals_are_found(run: Path, tmp_path: Path, optsearch: Command) -> None:
    optsearch("propose", run, *write(tmp_path, "lion"))
    optsearch("search", "quickstart", *SMALL, "--set", "budget.programs=100", "--out", run, "--workers", "0", "--json")
    connection = sqlite3.connect(run / "run.sqlite")
    with connection:
        connection.execute("DELETE FROM proposals")
    connection.close()
    checks = optsearch("verify", run, "--sample", "0", "--json").json()
    assert (checks[0]["agrees"], "table proposals: records are missing" in checks[0]["says"]) == (False, True)


def test_a_kill_between_record_and_removal_enters_a_proposal_once(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with create(folder) as store:
        search, _ = run_search(store, stop_after=30)
        inbox.add(folder, "me", [("lion.txt", LIBRARY["lion"])])
        waiting = SearchInbox(store, search, LIMITS)
        proposal = waiting.first()
        assert proposal is not None
        store.add_proposal(search, store.settled(search) + 5, proposal)  # and killed here
        later = SearchInbox(store, search, LIMITS)
        assert later.first() is None
        assert inbox.waiting(folder) == []
        assert list(store.proposals(search).values()) == [proposal]


HOSTILE = {
    "binary": b"\xff\xfe\x00" * 100,
    "empty": b"",
    "nested": b"[" * 100_000,
    "array": b"[]",
    "more-keys": json.dumps({"source": "s", "file": "f", "program": "p", "x": 1}).encode(),
    "number": json.dumps({"source": 1, "file": "f", "program": str(LIBRARY["lion"])}).encode(),
    "control": json.dumps({"source": "a\x1b[2J", "file": "f", "program": str(LIBRARY["lion"])}).encode(),
    "invalid": json.dumps({"source": "s", "file": "f", "program": "def train(w, g, lr):\n  return update\n"}).encode(),
    "large": b'{"source": "' + b"x" * 2_000_000 + b'"}',
    "long": json.dumps({"source": "s", "file": "f", "program": "#" * 100_001}).encode(),
}


def test_hostile_files_in_the_inbox_are_refused_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with create(folder) as store:
        (folder / inbox.INBOX).mkdir()
        for name, data in HOSTILE.items():
            (folder / inbox.INBOX / f"{name}.json").write_bytes(data)
        (folder / inbox.INBOX / "link.json").symlink_to("/etc/passwd")
        (folder / inbox.INBOX / "folder.json").mkdir()
        os.mkfifo(folder / inbox.INBOX / "pipe.json")
        inbox.add(folder, "me", [("lion.txt", LIBRARY["lion"])])
        search = store.add_search("search", "", {"algorithm": "evolution"})
        found = SearchInbox(store, search, LIMITS).first()
        assert found is not None
        assert found.program == LIBRARY["lion"]
        assert SearchInbox(store, search, LimitsConfig(statements=2)).first() is None  # too long for this campaign
    refused = {path.name.removesuffix(".refused") for path in (folder / inbox.INBOX).glob("*.refused")}
    assert {*HOSTILE, "link", "folder", "pipe"} <= refused
    assert inbox.waiting(folder) == []


def test_the_inbox_is_no_link(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run" / inbox.INBOX).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="none is followed"):
        inbox.add(tmp_path / "run", "me", [("lion.txt", LIBRARY["lion"])])
    with pytest.raises(RunError, match="none is followed"):
        inbox.waiting(tmp_path / "run")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_replaced_run_drops_what_waits(tmp_path: Path) -> None:
    create(tmp_path / "run").close()
    inbox.add(tmp_path / "run", "me", [("lion.txt", LIBRARY["lion"])])
    create(tmp_path / "run", force=True).close()
    assert inbox.waiting(tmp_path / "run") == []


def propose_while_running(folder: Path, files: list[Path]) -> None:
    """Waits until the search has begun, then proposes from another process."""
    until = time.monotonic() + 120
    while not (folder / "run.sqlite").exists() or show(folder)["generated"] < 10:
        assert time.monotonic() < until
        time.sleep(0.2)
    command = [*COMMAND, "propose", str(folder), *map(str, files), "--source", "agent"]
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.slow
def test_proposals_to_a_running_search_survive_kills_and_give_the_same_with_two_workers(tmp_path: Path) -> None:
    more = ["--set", "budget.programs=250", "--set", "proposals.share=0.2"]
    folder = tmp_path / "run"
    command = search_command(folder, *more)
    process = start(command)
    propose_while_running(folder, write(tmp_path, "lion", "sgd", "rmsprop"))
    until = time.monotonic() + 120
    while not any(row["id"] for row in show(folder)["proposals"]):
        assert time.monotonic() < until
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    entered = [row["id"] for row in show(folder)["proposals"] if row["id"]]
    killed = finish(command)
    assert [row["id"] for row in show(folder)["proposals"]][: len(entered)] == entered
    with RunStore.read(folder) as store:
        recorded, config = store.proposals(store.search("search")), store.config
    assert [proposal.file for proposal in recorded.values()] == ["lion.txt", "sgd.txt", "rmsprop.txt"]
    again = Campaign(config, "name: again\n", tmp_path / "again")
    with again._open(False) as store:
        search = store.add_search("search", "", {"algorithm": "evolution"})
        for ticket, proposal in recorded.items():
            store.add_proposal(search, ticket, proposal)
    again.run(workers=2, quiet=True)
    assert show(tmp_path / "again")["population_digest"] == killed["population_digest"]
