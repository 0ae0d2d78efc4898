"""Completed training runs survive interrupted commands and are shared between commands."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Command

from optsearch.dsl.library import LIBRARY
from optsearch.proxy_tasks.outcome import Outcome, TrainingResult
from optsearch.proxy_tasks.registry import get_task
from optsearch.proxy_tasks.run import Trained
from optsearch.runs.store.errors import DamagedRunError, RunError
from optsearch.runs.store.schema import checksum
from optsearch.runs.store.training_cache import FILE, KeptPool, Trainings, training
from optsearch.search.pool import Here, in_order
from optsearch.selection.contender import Contender, TrainingJob, baseline, run_job
from optsearch.selection.problem import Problem
from optsearch.simplify.ablation.trial import Training, train

JOBS = [TrainingJob(baseline("sgd"), Problem("ae"), (("rate", 0.1),), seed) for seed in (1, 2, 1)]
ENDED = Trained(TrainingResult(Outcome.OK, 1 / 3, 0.1, None, 300, (2.0, 1.5), 1.5), 0.25)
FAILED = Trained(TrainingResult(Outcome.NON_FINITE, None, None, None, 7, (), None), 0.5)
VALIDATED = replace(ENDED, result=replace(ENDED.result, validation_losses=(2.5, None)))

SCRIPT = """
import json, sys, time, zlib
from pathlib import Path
from optsearch.dsl.library import LIBRARY
from optsearch.proxy_tasks.outcome import Outcome, TrainingResult
from optsearch.proxy_tasks.run import Trained
from optsearch.runs.store.training_cache import training
from optsearch.simplify.distil import distil
from optsearch.simplify.ablation.trial import Panel

def made_up(job):
    time.sleep(float(sys.argv[2]))
    loss = 1.0 + zlib.crc32(f"{job.program} {job.seed}".encode()) / 1e11 + 0.3 * ("sign" not in str(job.program))
    return Trained(TrainingResult(Outcome.OK, loss, loss, None, 300, ()), 0.1)

with training(made_up, Path(sys.argv[1]), 0) as (pool, kept):
    print(json.dumps([distil(LIBRARY["signum"], panel=Panel(("ae",), pool, 2)).as_values(), kept.trained, kept.known]))
"""


def never(job: TrainingJob) -> Trained:
    raise AssertionError(job)


def rows(folder: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(folder / FILE)) as connection:
        return sorted(connection.execute("SELECT key, result FROM trainings"))


def count(folder: Path) -> int:
    try:
        return len(rows(folder))
    except sqlite3.Error:  # not there yet
        return 0


def asked(folder: Path, jobs: list[TrainingJob] = JOBS) -> Trainings:
    with closing(Trainings(folder)) as kept:
        list(in_order(KeptPool(kept, Here(run_job)), jobs))
    return kept


def test_a_run_is_kept_as_one_of_the_machine_that_made_it(tmp_path: Path) -> None:
    kept = Trainings(tmp_path)
    kept.keep("one", replace(ENDED, machine="processor another"))
    assert kept.find("one") is None
    kept.keep("one", ENDED)
    assert kept.find("one") == ENDED
    kept.close()


def test_results_of_an_accelerator_are_not_those_of_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of a task, of a simplification, and one in this process, which asks its device itself."""
    job = TrainingJob(Contender("mine", LIBRARY["lion"]), Problem("ae"), (("rate", 1.0),), 5)
    same = Training(LIBRARY["lion"], "ae", 5)
    made: list[tuple[int, int]] = []
    for kind in ("cpu", "NVIDIA H200", "NVIDIA A100", "cpu", "NVIDIA H200"):
        monkeypatch.setattr("optsearch.proxy_tasks.machine.accelerator", lambda kind=kind: kind)
        for run, asked in ((run_job, job), (train, same)):
            with training(run, tmp_path, 0) as (pool, kept):
                assert list(in_order(pool, [asked]))
            made.append((kept.trained, kept.known))
    assert made == [*[(1, 0), (0, 1)] * 3, *[(0, 1)] * 4]
    keys = [key for key, _ in rows(tmp_path)]
    assert sorted(key.partition("; accelerator ")[2] for key in keys) == ["", "NVIDIA A100", "NVIDIA H200"]
    assert len({key.partition("; accelerator ")[0] for key in keys}) == 1


def test_what_is_kept_is_there_again(tmp_path: Path) -> None:
    with closing(Trainings(tmp_path)) as kept:
        for key, trained in (("a", ENDED), ("b", FAILED), ("c", VALIDATED)):
            assert kept.find(key) is None
            kept.keep(key, trained)
            assert kept.find(key) == trained
    with closing(Trainings(tmp_path)) as again:
        assert [again.find(key) for key in ("a", "b", "c", "d")] == [ENDED, FAILED, VALIDATED, None]


def test_a_run_kept_before_validation_losses_were_recorded_is_read(tmp_path: Path) -> None:
    with closing(Trainings(tmp_path)) as kept:
        kept.keep("one", ENDED)
    ((key, text),) = rows(tmp_path)
    old = {name: value for name, value in json.loads(text).items() if name != "validation_losses"}
    cells = (key, json.dumps(old))
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        connection.execute("UPDATE trainings SET result = ?, checksum = ?", (cells[1], checksum("trainings", cells)))
    with closing(Trainings(tmp_path)) as kept:
        assert kept.find("one") == ENDED


def test_a_run_is_made_once_and_shared(tmp_path: Path) -> None:
    with closing(Trainings(tmp_path / "kept")) as first, closing(Trainings(tmp_path / "kept")) as second:
        results = list(in_order(KeptPool(first, Here(run_job)), JOBS))
        assert (first.trained, first.known) == (2, 0)
        assert results[0] == results[2]
        assert list(in_order(KeptPool(second, Here(never)), JOBS)) == results
        assert (second.trained, second.known) == (0, 3)


def test_every_command_knows_a_run_by_the_same_name(tmp_path: Path) -> None:
    one = TrainingJob(Contender("mine", LIBRARY["lion"]), Problem("ae"), (("rate", 1.0),), 5)
    other = Training(LIBRARY["lion"], "ae", 5)
    assert other.key == one.key
    assert train(other).result == run_job(one).result
    asked(tmp_path, [one])
    with closing(Trainings(tmp_path)) as kept:
        pool = KeptPool(kept, Here(train))
        pool.submit(0, other)
        assert pool.collect()[1].result == run_job(one).result
        assert (kept.trained, kept.known) == (0, 1)


def test_a_run_is_durable_as_soon_as_it_has_ended(tmp_path: Path) -> None:
    class LastFirst(Here[TrainingJob, Trained]):
        def collect(self) -> tuple[int, Trained]:
            self._queue.rotate(1)
            return super().collect()

    with closing(Trainings(tmp_path)) as kept:
        pool = KeptPool(kept, LastFirst(lambda job: ENDED))
        for number, job in enumerate(JOBS):
            pool.submit(number, job)
        assert pool.collect() == (1, ENDED)
        assert [JOBS[1].key in key for key, _ in rows(tmp_path)] == [True]
        assert sorted(pool.collect()[0] for _ in range(2)) == [0, 2]


def test_another_version_of_a_task_is_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(tmp_path, JOBS[:1]).trained == 1
    monkeypatch.setitem(get_task("ae").__dict__, "version", "0123456789abcdef")
    assert asked(tmp_path, JOBS[:1]).trained == 1


def test_runs_of_another_interpreter_are_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, int]] = []
    for version in (1, 2, 1):
        monkeypatch.setattr("optsearch.runs.store.environment.SEARCH_VERSION", version)
        kept = asked(tmp_path, JOBS[:1])
        made.append((kept.trained, kept.known))
    assert made == [(1, 0), (1, 0), (0, 1)]


def test_damage_is_said(tmp_path: Path) -> None:
    with closing(Trainings(tmp_path)) as kept:
        kept.keep("a", ENDED)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        connection.execute("UPDATE trainings SET result = replace(result, '300', '301')")
    with (
        closing(Trainings(tmp_path)) as kept,
        pytest.raises(DamagedRunError, match=r"sqlite: .* not as it was written"),
    ):
        kept.find("a")
    (tmp_path / "other").mkdir()
    with closing(sqlite3.connect(tmp_path / "other" / FILE)) as connection:
        connection.execute("PRAGMA application_id = 7")
    with pytest.raises(RunError, match="no file of training runs"):
        Trainings(tmp_path / "other")


@pytest.mark.parametrize("kills", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_killed_ablation_goes_on_where_it_was(kills: int, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT]
    whole = subprocess.run([*command, tmp_path / "whole", "0"], capture_output=True, text=True, check=True)
    result, trainings, _ = json.loads(whole.stdout)
    killed = tmp_path / "killed"
    seen = 0
    for _ in range(kills):
        with subprocess.Popen([*command, killed, "0.003"], stdout=subprocess.DEVNULL) as process:
            while process.poll() is None and count(killed) < seen + 20:
                time.sleep(0.01)
            assert process.poll() is None, "it ended before it was killed"
            process.kill()
        assert count(killed) > seen
        seen = count(killed)
    end = subprocess.run([*command, killed, "0"], capture_output=True, text=True, check=True)
    assert json.loads(end.stdout) == [result, trainings - seen, seen]
    assert rows(killed) == rows(tmp_path / "whole")


@pytest.mark.slow
def test_workers_and_kills_change_nothing(tmp_path: Path, optsearch: Command) -> None:
    folders = [tmp_path / name for name in ("alone", "ray")]
    command = ["simplify", "signum", "--json"]
    alone = optsearch(*command, "--workers", "0", "--kept-in", folders[0])
    assert alone.code == 0
    shell = [sys.executable, "-c", "from optsearch.runs.cli.app import main; main()", *command, "--workers", "2"]
    shell += ["--kept-in", str(folders[1])]
    with subprocess.Popen(shell, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and count(folders[1]) < 10:
            time.sleep(0.05)
        process.kill()
    done = subprocess.run(shell, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == alone.json()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[", "is no JSON"),
        ("[]", "is not what it must be"),
        ("null", "is not what it must be"),
        ("NaN", "it holds NaN"),
        ("[" * 100_000, "is no JSON"),
        ('{"outcome": "fine"}', "outcome: Input should be"),
        ('{"loss": "low"}', "loss: Input should be"),
        ('{"loss": null}', "the outcome 'ok' with the losses None"),
        ('{"accuracy": 2.0}', "accuracy: Input should be"),
        ('{"steps": -1}', "steps: Input should be"),
        ('{"more": 1}', "more: Extra inputs"),
        ('{"validation_losses": [1.0]}', "1 validation losses at 2 checkpoints"),
        ('{"validation_losses": [1.0, "low"]}', "validation_losses.1: Input should be"),
        (b"{}", "result of a record is b'{}'"),
    ],
)
def test_kept_runs_are_held_to_their_model(text: str | bytes, says: str, tmp_path: Path) -> None:
    """Whoever writes a file can compute checksums too."""
    with closing(Trainings(tmp_path)) as kept:
        kept.keep("a", ENDED)
    [(key, result)] = rows(tmp_path)
    if isinstance(text, str) and text.startswith('{"'):
        text = json.dumps(json.loads(result) | json.loads(text))
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        signed = (text, checksum("trainings", (key, text)))
        connection.execute("UPDATE trainings SET result = ?, checksum = ?", signed)
    with closing(Trainings(tmp_path)) as kept, pytest.raises(DamagedRunError, match=re.escape(says)):
        kept.find("a")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON trainings BEGIN DELETE FROM trainings; END",
        "CREATE VIEW v AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) SELECT x FROM n",
        "CREATE TABLE other (x)",
        "ALTER TABLE trainings ADD COLUMN more TEXT",
    ],
)
def test_nothing_else_is_in_the_file(statement: str, tmp_path: Path) -> None:
    with closing(Trainings(tmp_path)) as kept:
        kept.keep("a", ENDED)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        connection.execute(statement)
    with pytest.raises(DamagedRunError, match="has not the tables of kept training runs"):
        Trainings(tmp_path)


def test_a_foreign_database_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        connection.execute("CREATE TABLE mine (x)")
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(DamagedRunError, match="table mine"):
        Trainings(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before


@pytest.mark.parametrize("name", [FILE, f"{FILE}-wal", f"{FILE}-journal"])
def test_no_link_is_followed(name: str, tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"")
    (tmp_path / name).symlink_to(tmp_path / "mine")
    with pytest.raises(RunError, match="is a symbolic link"):
        Trainings(tmp_path)
    assert (tmp_path / "mine").read_bytes() == b""
