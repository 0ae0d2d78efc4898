"""Campaigns with several tasks use all of them for the final selection, independent of the order of results."""

from __future__ import annotations

import math
import shutil
import threading
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import Command
from made_up_run import made_up_run

from optsearch import load
from optsearch.dsl.dataflow import prune
from optsearch.proxy_tasks.outcome import Outcome, TrainingResult
from optsearch.proxy_tasks.run import TrainingRun
from optsearch.proxy_tasks.seeds import FRESH
from optsearch.runs.cli.json_values import study_json
from optsearch.runs.commands.final_runs import Train, due, train_finals
from optsearch.runs.store.reader import Final, Search
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.finalists import best, finalist_seeds, finalists
from optsearch.runs.summary.finals import FurtherRuns
from optsearch.runs.summary.replicates import study_summary
from optsearch.runs.summary.run import RunSummary, summary
from optsearch.runs.summary.searches import contenders
from optsearch.runs.summary.sentences import headline
from optsearch.search.pool import Here
from optsearch.selection.statistics.intervals import Interval

TASKS = ("ae", "teach", "lmmlp")
SETTINGS = (
    "task_scale=0.2",
    "further_tasks=[{task: teach}, {task: lmmlp, scale: 0.1, if_below: -0.5}]",
    "extra_state=[]",
)

Asked = tuple[str, TrainingRun]


def losses(asked: Asked) -> TrainingResult:
    """Losses by chance from text, task and seed, some runs that fail; what is good on ``ae`` is bad on the others."""
    task, run = asked
    luck = zlib.crc32(str(prune(run.program)).encode()) % 1000 / 1000
    noise = zlib.crc32(f"{luck} {task} {run.seed}".encode()) % 1000 / 1e5
    if task == "teach" and luck > 0.9 and run.seed % 2:
        return TrainingResult(Outcome.NON_FINITE, None, None, None, 7, ())
    loss = 0.6 + 0.1 * luck + noise if task == "ae" else 1.2 - 0.5 * luck + noise
    return TrainingResult(Outcome.OK, loss, loss + 1, None, 300, ())


class Backwards(Here[Asked, TrainingResult]):
    """Ends the latest call first, a few at a time."""

    room = 5

    def collect(self) -> tuple[int, TrainingResult]:
        self._queue.rotate(1)
        return super().collect()


def pool(train: Train) -> Here[Asked, TrainingResult]:
    return Here(losses)


def finish(folder: Path, make: Callable[[Train], Here[Asked, TrainingResult]] = pool) -> tuple[Final, ...]:
    with RunStore.amend(folder, {}) as store:
        assert train_finals(store, make, quiet=True, stop=threading.Event())
        return store.finals()


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a version left it that looked at the first task alone."""
    folder = tmp_path_factory.mktemp("runs") / "older"
    return made_up_run(folder, *SETTINGS, "finalists.count=4", programs=60)


@pytest.fixture(scope="module")
def decided(older: Path) -> Path:
    folder = older.parent / "decided"
    shutil.copytree(older, folder)
    with RunStore.amend(folder, {}) as store:
        store._connection.execute("DELETE FROM finals")
        store.set_meta("finals", [0, 0])
    finish(folder)
    return folder


@pytest.fixture(scope="module")
def view(decided: Path) -> RunSummary:
    with RunStore.read(decided) as store:
        return summary(store)


def expected(store: Any, search: Search, ticket: int, seed: int) -> float:
    """A seed's score, by the words of the documentation."""
    warm = store.evaluation(store.searches()[0], 0).fitness.losses
    settled = store.ticket(search, ticket)
    run = TrainingRun(settled.candidate.program, seed, settled.fitness.rate)
    scores = []
    for task, scale, reference in zip(TASKS, (0.2, warm[1], 0.1), warm, strict=True):
        loss = losses((task, run)).loss
        if loss is None:
            return math.inf
        scores.append(max(-2.0, min(2.0, (loss - reference) / scale)))
    return sum(scores) / 3


def test_the_best_has_the_lowest_mean_score_over_all_tasks(decided: Path) -> None:
    with RunStore.read(decided) as store:
        finals, others = store.finals(), 0
        for search in contenders(store):
            means = {
                entry.ticket: sum(expected(store, search, entry.ticket, seed) for seed in finalist_seeds(store)) / 2
                for entry in finalists(store, search)
            }
            assert len(means) == 4
            chosen = best(store, search, finals).ticket
            assert means[chosen] == min(means.values()) < math.inf
            on_first = {
                ticket: losses(("ae", TrainingRun(store.ticket(search, ticket).candidate.program, 900_000))).loss
                for ticket in means
            }
            others += min(on_first, key=lambda ticket: on_first[ticket] or 0.0) != chosen
        assert others, "the first task alone would have chosen another one"


def entries(view: RunSummary) -> list[tuple[str, FurtherRuns]]:
    """Id and results on fresh seeds of the best program, the warm start and the control's best program."""
    found: list[tuple[str, FurtherRuns]] = []
    for entry in (view.best, view.warm_start, view.controls[0].best):
        assert entry is not None
        assert entry.fresh is not None
        found.append((entry.id, entry.fresh))
    return found


def mean(interval: Interval | None) -> float:
    assert interval is not None
    return interval.mean


def test_scores_and_losses_of_fresh_seeds_are_shown(view: RunSummary, decided: Path) -> None:
    assert view.tasks == TASKS
    with RunStore.read(decided) as store:
        for program_id, fresh in entries(view):
            search, ticket = store.find(program_id)
            assert fresh.seeds == tuple(FRESH[:4])
            assert fresh.values == pytest.approx([expected(store, search, ticket, seed) for seed in fresh.seeds])
            assert fresh.mean == pytest.approx(sum(fresh.trained.values()) / 4)
            assert tuple(fresh.tasks) == TASKS, "whatever if_below says"
            for task, on in fresh.tasks.items():
                assert list(on.values) == [
                    losses((task, TrainingRun(store.ticket(search, ticket).candidate.program, seed))).loss
                    for seed in fresh.seeds
                ]
    (_, best), *others = entries(view)
    for row, (_, other) in zip(view.comparison, others, strict=True):
        gaps = [best.trained[seed] - other.trained[seed] for seed in best.seeds]
        interval = row.overall.interval
        assert mean(interval) == pytest.approx(sum(gaps) / 4)
        assert interval is not None
        assert interval.low is not None
        assert interval.high is not None
        assert interval.low < interval.mean < interval.high
        for task, on in row.tasks.items():
            assert mean(on.interval) == pytest.approx(mean(best.on(task).interval) - mean(other.on(task).interval))
            assert on.winner in ("best", "undecided", "control")


def test_words_tables_charts_and_studies_say_so(view: RunSummary, decided: Path, optsearch: Command) -> None:
    words = " ".join(optsearch("show", decided).out.split())
    assert "Mean score over ae, teach and lmmlp on 4 fresh seeds" in words
    assert "By task: ae " in words
    (_, fresh), *_ = entries(view)
    for number in (fresh.mean, fresh.on(TASKS[2]).mean):
        assert f"{number:.5f}" in words
    assert "The fitness is the score over the tasks" in " ".join(optsearch("show", f"{decided}:best").out.split())
    assert "ae, teach and lmmlp" in headline(view) or "not shown" in headline(view) or "control wins" in headline(view)
    run = load(decided)
    finals, rows = run.table("finals", "rows"), run.table("comparison", "rows")
    assert len(finals) == 3 * 3 * 4
    assert {row["task"] for row in finals} == set(TASKS)
    assert finals[0]["score"] == fresh.values[0]
    assert [row["task"] for row in rows] == ["all", *TASKS] * 2
    assert rows[0]["difference"] == mean(view.comparison[0].overall.interval)
    charts = [name for name in run.charts if name.startswith("finals")]
    assert charts == ["finals", *(f"finals-{task}" for task in TASKS)]
    study = study_summary([view, replace(view, seed=1)])
    assert mean(study.best_fresh) == pytest.approx(fresh.mean)
    assert mean(study.comparison[0].difference) == pytest.approx(mean(view.comparison[0].overall.interval))
    for on in study.tasks:
        assert mean(on.best_fresh) == pytest.approx(fresh.on(on.task).mean)
        assert mean(on.comparison[1].difference) == pytest.approx(
            mean(view.comparison[1].tasks[on.task].interval), abs=1e-12
        )
    values = study_json(study)
    assert values["best_fresh_loss"] is None
    assert values["best_fresh_score"]["mean"] == mean(study.best_fresh)


def test_the_order_of_the_runs_and_interruptions_change_nothing(decided: Path, older: Path, tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    class Mortal(Backwards):
        left = 7

        def collect(self) -> tuple[int, TrainingResult]:
            self.left -= 1
            if self.left < 0:
                raise KilledError
            return super().collect()

    folder, made, sittings = tmp_path / "run", 0, 0
    shutil.copytree(older, folder)
    with RunStore.amend(folder, {}) as store:
        store._connection.execute("DELETE FROM finals")
        store.set_meta("finals", [0, 0])
    while True:
        sittings += 1
        try:
            finals = finish(folder, lambda train: Mortal(losses))
            break
        except KilledError:
            with RunStore.read(folder) as store:
                assert len(store.finals()) == made + 7, "what has ended is recorded"
                made += 7
    assert sittings > 5
    with RunStore.read(decided) as store:
        assert finals == store.finals()


def test_an_older_run_opens_and_the_same_command_completes_it(older: Path, decided: Path, tmp_path: Path) -> None:
    with RunStore.read(older) as store:
        before = summary(store)
        assert before.best is not None
        assert before.best.fresh is None
        assert before.comparison == ()
        assert "has not been compared on fresh seeds" in headline(before)
        left = due(store)
        assert left is not None
        assert {task for _, task, _ in left.runs} == {"teach", "lmmlp"}, "what is there is used"
    shutil.copytree(older, tmp_path / "run")
    finish(tmp_path / "run")
    with RunStore.read(tmp_path / "run") as store:
        assert due(store) is None
        assert len(summary(store).comparison) == 2
