"""Run files return the stored data, for one writer and any number of readers."""

from __future__ import annotations

import itertools
import os
import sqlite3
from pathlib import Path

import pytest
from stored_search import SETTINGS, TAIL, QuickEvaluator, create, resume, run_search, undisturbed

from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.library import LIBRARY
from optsearch.runs.store.errors import DamagedRunError, RunError
from optsearch.runs.store.lock import is_locked
from optsearch.runs.store.reader import RUN_FILE, Final, RunReader
from optsearch.runs.store.schema import SCHEMA_VERSION, pack_program, unpack_program
from optsearch.runs.store.writer import RunStore
from optsearch.search.events import Evaluated
from optsearch.search.evolution import Evolution
from optsearch.search.scoring.fitness import Job


@pytest.fixture
def finished(tmp_path: Path) -> tuple[Path, Evolution]:
    with create(tmp_path / "run") as store:
        _, evolution = run_search(store)
    return tmp_path / "run", evolution


def test_what_was_written_is_read(finished: tuple[Path, Evolution]) -> None:
    folder, evolution = finished
    with RunStore.read(folder) as reader:
        search = reader.search("search")
        assert reader.meta("campaign") == "name: x\n"
        assert reader.meta("settings") == SETTINGS
        assert reader.meta("nothing", "default") == "default"
        assert reader.settled(search) == 101
        assert reader.population_digest(search, 10) == evolution.population_digest()
        progress = reader.progress(search)
        ours = evolution.progress
        assert (progress.generated, progress.evaluated, progress.cache_hits) == (100, ours.evaluated, ours.cache_hits)
        assert (progress.outcomes, progress.best, progress.warm_start) == (ours.outcomes, ours.best, ours.warm_start)
        evaluated = {result.ticket: result for result in reader.evaluations(search)}
        assert evaluated[0].fitness.curves == ((1.5, 0.1),)
        for settled in reader.tickets(search, 0, evaluated):
            candidate = settled.candidate
            assert fingerprint(candidate.program) == candidate.fingerprint
            assert settled.fitness == evaluated[candidate.owner].fitness
            assert reader.ticket(search, candidate.ticket) == settled
        board = reader.leaderboard(search, 5)
        assert board[0].ticket == ours.best.ticket if ours.best else False
        assert len({result.fingerprint for result in board}) == len(board) == 5
        assert reader.seconds() > 0


def test_lineage_leads_to_the_warm_start(finished: tuple[Path, Evolution]) -> None:
    with RunStore.read(finished[0]) as reader:
        search = reader.search("search")
        line = reader.lineage(search, 100)
        assert line[0].candidate.ticket == 100
        assert line[-1].candidate.parent is None
        assert line[-1].candidate.program == LIBRARY["adamw"]
        assert all(a.candidate.parent == b.candidate.ticket for a, b in itertools.pairwise(line))


def test_ids_name_search_and_ticket(finished: tuple[Path, Evolution]) -> None:
    with resume(finished[0]) as store:
        control = store.add_search("control", "c", {"algorithm": "constants"})
        store.append(control, [], [])
        assert [search.name for search in store.searches()] == ["search", "control"]
        main = store.search("search")
        assert main.program_id(12) == "12"
        assert control.program_id(12) == "c12"
        assert control.program_id(0) == main.program_id(0) == "0"
        assert store.find("12") == (main, 12)
        for unknown in ("101", "c1", "x", "", "-1", "1" * 30, "²"):
            with pytest.raises(RunError, match="has no program"):
                store.find(unknown)
        with pytest.raises(RunError, match="no search named 'other'"):
            store.search("other")


@pytest.mark.parametrize("turns", [1, 2, 3, 7, 20, 40])
def test_search_goes_on_where_it_stopped(tmp_path: Path, turns: int, finished: tuple[Path, Evolution]) -> None:
    folder = tmp_path / "interrupted"
    create(folder).close()
    for _ in range(300):
        with resume(folder) as store:
            search, evolution = run_search(store, stop_after=turns)
            if evolution.finished:
                break
    assert evolution.population_digest() == finished[1].population_digest()
    with RunStore.read(folder) as reader, RunStore.read(finished[0]) as other:
        strip = lambda results: [(r.ticket, r.fingerprint, r.fitness.value) for r in results]  # noqa: E731
        assert strip(reader.evaluations(search)) == strip(other.evaluations(search))


def test_budget_may_grow_and_nothing_else_may_change(finished: tuple[Path, Evolution]) -> None:
    folder, _ = finished
    longer = SETTINGS | {"budget": {"programs": 130}}
    with resume(folder, settings=longer) as store:
        _, evolution = run_search(store, 130)
        assert store.meta("settings") == longer
    assert evolution.progress.generated == 130
    other = SETTINGS | {"population": {"size": 11, "tournament": 3}, "seed": 2}
    with pytest.raises(RunError, match=r"other settings: population.size is 10 there and 11 here; seed is 1 there"):
        resume(folder, settings=other)
    with resume(folder, settings=longer):  # the refused attempt holds no lock
        pass


def test_nothing_is_overwritten_unasked(tmp_path: Path, finished: tuple[Path, Evolution]) -> None:
    with pytest.raises(RunError, match="there is a run already"):
        create(finished[0])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("precious")
    with pytest.raises(RunError, match="holds other files"):
        create(tmp_path / "full")
    with pytest.raises(RunError, match="this is a file"):
        create(tmp_path / "full" / "thesis.txt")
    with create(finished[0], force=True) as store:
        assert store.searches() == ()


def test_what_is_no_run_is_said(tmp_path: Path) -> None:
    for opened in (RunStore.read, resume):
        with pytest.raises(RunError, match="the folder does not exist"):
            opened(tmp_path / "none")
        with pytest.raises(RunError, match="not a run"):
            opened(tmp_path)
    (tmp_path / RUN_FILE).write_text("not a database, but long enough to look at" * 10)
    with pytest.raises(RunError, match="damaged"):
        RunStore.read(tmp_path)
    (tmp_path / RUN_FILE).write_bytes(b"")
    with pytest.raises(RunError, match="not a run file"):
        RunStore.read(tmp_path)


def test_newer_formats_are_refused(finished: tuple[Path, Evolution]) -> None:
    with sqlite3.connect(finished[0] / RUN_FILE) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    for opened in (RunStore.read, resume):
        with pytest.raises(RunError, match="written by a newer version"):
            opened(finished[0])


def test_two_writers_are_refused(finished: tuple[Path, Evolution]) -> None:
    folder, _ = finished
    assert not is_locked(folder)
    with resume(folder):
        assert is_locked(folder)
        with pytest.raises(RunError, match=f"another process is writing this run \\(process {os.getpid()} on"):
            resume(folder)
        with pytest.raises(RunError, match="another process is writing"):
            create(folder, force=True)
    assert not is_locked(folder)


def test_readers_see_one_moment_and_block_nobody(tmp_path: Path) -> None:
    with create(tmp_path / "run") as store:
        run_search(store, stop_after=10)
        with RunStore.read(tmp_path / "run") as early:
            search = early.search("search")
            before = early.settled(search)
            _, evolution = run_search(store)
            assert early.settled(search) == before
            early.progress(search)
            with RunStore.read(tmp_path / "run") as late:
                assert late.settled(search) == 101 > before
                assert late.population_digest(search, 10) == evolution.population_digest()


def test_finals_and_failures(finished: tuple[Path, Evolution]) -> None:
    rows = [Final("0", "ae", 7, "ok", 0.5, 0.6, None, 300), Final("0", "ae", 8, "non_finite", None, None, None, 3)]
    with resume(finished[0]) as store:
        store.add_final(rows)
        store.add_final(rows[:1])
        store.add_failure(store.search("search"), 3, "def ...", "Traceback ...")
        store.set_meta("status", "finished")
    with RunStore.read(finished[0]) as reader:
        assert reader.finals() == tuple(rows)
        assert reader.meta("status") == "finished"


def test_tickets_are_recorded_without_gaps(finished: tuple[Path, Evolution]) -> None:
    with resume(finished[0]) as store:
        search = store.search("search")
        settled = store.ticket(search, 50)
        with pytest.raises((ValueError, RunError)):
            store.append(search, [], [settled])
        assert store.settled(search) == 101
        store.history(search, TAIL)


def test_packed_programs_are_smaller_and_come_back() -> None:
    for name in LIBRARY:
        text = str(LIBRARY[name])
        assert unpack_program(pack_program(text)) == text
        assert len(pack_program(text)) < len(text) / 2
    with pytest.raises(DamagedRunError):
        unpack_program(b"\xff\xff\xff")


def test_readers_cannot_write() -> None:
    assert not any(
        hasattr(RunReader, name) for name in ("append", "set_meta", "add_search", "add_final", "add_failure")
    )


def test_a_result_without_a_settled_ticket_is_not_made_again(tmp_path: Path) -> None:
    """The warm start's result is durable a moment before its ticket."""
    with create(tmp_path / "run") as store:
        evaluator = QuickEvaluator()
        evaluator.submit([Job(0, LIBRARY["adamw"])])
        ((job, fitness),) = evaluator.collect(0.0)
        search = store.add_search("search", "", {"algorithm": "evolution"})
        store.append(search, [Evaluated(job.ticket, fingerprint(LIBRARY["adamw"]), fitness)], [])
    with resume(tmp_path / "run") as store:
        assert run_search(store)[1].population_digest() == undisturbed(tmp_path / "undisturbed", 100)
