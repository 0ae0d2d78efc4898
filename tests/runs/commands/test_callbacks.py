"""Callbacks receive the records of a run in the order of its file; they can stop it, and it resumes to the same end."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from small_campaign import SETTINGS

import optsearch
from optsearch.runs.notebook import Run
from optsearch.runs.store.errors import RunError
from optsearch.runs.store.stream import (
    Event,
    FinalsRecorded,
    ResultsRecorded,
    RunEnded,
    RunStarted,
    SearchProgress,
    ValidationRecorded,
    identity_of,
)
from optsearch.runs.store.writer import RunStore

CAMPAIGN: dict[str, Any] = {
    **SETTINGS,
    "controls": ["constants"],
    "meta_validation": {"task": "digits", "every_evaluations": 3, "seeds": [0]},
}


def run(folder: Path, *callbacks: Any, **options: Any) -> Run:
    return optsearch.search(CAMPAIGN, out=folder, workers=0, quiet=True, callbacks=callbacks, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:
    """An undisturbed run and its events."""
    seen: list[Event] = []
    folder = tmp_path_factory.mktemp("callbacks") / "run"
    run(folder, seen.append)
    return folder, seen


def test_the_stream_is_what_the_file_holds(whole: tuple[Path, list[Event]]) -> None:
    folder, seen = whole
    assert isinstance(seen[0], RunStarted)
    assert not seen[0].resumed
    assert seen[0].settings["name"] == "small"
    assert seen[-1] == RunEnded(folder, "finished")
    with RunStore.read(folder) as store:
        assert seen[0].identity == identity_of(store)
        for search in store.searches():
            records = [e for e in seen if isinstance(e, ResultsRecorded) and e.search == search]
            settled = [item for record in records for item in record.settled]
            assert [item.candidate.ticket for item in settled] == list(range(store.settled(search)))
            for item in settled:
                stored = store.ticket(search, item.candidate.ticket)
                assert (stored.candidate.program, stored.scored) == (item.candidate.program, item.scored)
                assert stored.fitness.value == item.fitness.value
            assert sum(len(record.evaluated) for record in records) == store.count_evaluations(search)
            validated = [e.validation for e in seen if isinstance(e, ValidationRecorded) and e.search == search]
            assert [v.fitness.value for v in validated] == [v.fitness.value for v in store.validations(search)]
            last = [e for e in seen if isinstance(e, SearchProgress) and e.search == search][-1]
            assert last.progress.finished
            assert last.progress.evaluated == store.progress(search).evaluated
            assert last.budget[0] == "evaluations"
        finals = [final for e in seen if isinstance(e, FinalsRecorded) for final in e.finals]
        assert sorted(finals, key=str) == sorted(store.finals(), key=str)


class After:
    """Stops a run at the n-th event of a kind."""

    def __init__(self, kind: type, count: int, action: Any):
        self._kind, self._left, self._action, self.seen = kind, count, action, list[Event]()

    def __call__(self, event: Event) -> None:
        self.seen.append(event)
        if isinstance(event, self._kind):
            self._left -= 1
            if self._left == 0:
                self._action()


def stop_search() -> None:
    raise optsearch.StopSearch


@pytest.mark.parametrize(
    ("kind", "count"), [(RunStarted, 1), (ResultsRecorded, 2), (SearchProgress, 3), (FinalsRecorded, 2)]
)
def test_a_callback_stops_a_run_that_resumes_to_the_same_end(
    whole: tuple[Path, list[Event]], tmp_path: Path, kind: type, count: int
) -> None:
    stopper, others = After(kind, count, stop_search), list[Event]()
    first = run(tmp_path / "run", stopper, others.append)
    assert first.summary.status == "interrupted"
    assert stopper.seen == others, "every callback receives every event"
    assert others[-1] == RunEnded(tmp_path / "run", "interrupted")
    seen: list[Event] = []
    done = optsearch.resume(tmp_path / "run", workers=0, quiet=True, callbacks=[seen.append])
    assert done.summary.status == "finished"
    assert isinstance(seen[0], RunStarted)
    assert seen[0].resumed
    assert seen[0].identity == stopper.seen[0].identity  # pyright: ignore[reportAttributeAccessIssue]
    assert done.summary.population_digest == optsearch.load(whole[0]).summary.population_digest
    tickets = [
        i.candidate.ticket
        for e in [*others, *seen]
        if isinstance(e, ResultsRecorded) and e.search.number == 0
        for i in e.settled
    ]
    assert tickets == sorted(set(tickets)), "no record is sent twice"


def test_a_handle_stops_from_another_thread(tmp_path: Path) -> None:
    stop = threading.Event()

    def set_elsewhere() -> None:
        thread = threading.Thread(target=stop.set)
        thread.start()
        thread.join()

    found = run(tmp_path / "run", After(ResultsRecorded, 1, set_elsewhere), stop=stop)
    assert found.summary.status == "interrupted"
    assert "interrupted" in repr(found)


def test_a_callback_that_fails_ends_the_run_as_failed_and_it_resumes(tmp_path: Path) -> None:
    def fail() -> None:
        raise ZeroDivisionError("of the callback")

    seen: list[Event] = []
    with pytest.raises(ZeroDivisionError, match="of the callback"):
        run(tmp_path / "run", seen.append, After(ResultsRecorded, 2, fail))
    assert seen[-1] == RunEnded(tmp_path / "run", "failed")
    assert optsearch.load(tmp_path / "run").summary.status == "failed"
    assert optsearch.resume(tmp_path / "run", workers=0, quiet=True).summary.status == "finished"


def test_resuming_takes_a_larger_budget_and_nothing_else(whole: tuple[Path, list[Event]], tmp_path: Path) -> None:
    run(tmp_path / "run", settings={"budget.evaluations": 4})
    more = optsearch.resume(optsearch.load(tmp_path / "run"), settings={"budget.evaluations": 6}, workers=0, quiet=True)
    assert more.summary.population_digest == optsearch.load(whole[0]).summary.population_digest
    with pytest.raises(RunError, match="seed is 0 there and 1 here"):
        optsearch.resume(tmp_path / "run", settings={"seed": 1}, workers=0, quiet=True)
    again: list[Event] = []
    optsearch.resume(tmp_path / "run", workers=0, quiet=True, callbacks=[again.append])
    assert again == [], "a finished run has no further session"
