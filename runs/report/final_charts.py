"""The best program beside its controls on fresh seeds: charts, and records for tables."""

from __future__ import annotations

from dataclasses import dataclass

from optsearch.runs.report.chart import Chart, Row
from optsearch.runs.report.selection_charts import losses_chart
from optsearch.runs.summary.finals import FurtherRuns
from optsearch.runs.summary.run import ProgramEntry, RunSummary
from optsearch.runs.text.phrasing import control_name, listed

FINALS = "finals"
"""Name of the chart of the best program and its controls; with several tasks a prefix of the charts of each task."""


@dataclass(frozen=True, slots=True)
class FreshContender:
    """A program that was trained on fresh seeds.

    Attributes:
        name: display name.
        entry: the program.
        fresh: its results on fresh seeds.
    """

    name: str
    entry: ProgramEntry
    fresh: FurtherRuns


@dataclass(frozen=True, slots=True)
class FreshRun:
    """A training run on a fresh seed.

    Attributes:
        contender: display name of the program.
        program: id of the program within the run.
        task: name of the task.
        seed: training seed.
        loss: validation loss; None if the run failed.
        score: score of the seed over several tasks; None if one of them failed, or with one task.
    """

    contender: str
    program: str
    task: str
    seed: int
    loss: float | None
    score: float | None


@dataclass(frozen=True, slots=True)
class ComparedControl:
    """Comparison of the best program with a control on one task.

    Attributes:
        control: name of the control, or ``warm start``.
        task: name of the task; ``all`` for the scores over several tasks.
        difference: mean of the best program minus that of the control, paired by seed; None if a run failed.
        low: lower end of its 95 % interval; None if a run failed.
        high: upper end of the interval; None if a run failed.
        winner: ``best``, the name of the control, ``undecided``, or None if neither trains on every seed.
    """

    control: str
    task: str
    difference: float | None
    low: float | None
    high: float | None
    winner: str | None


def fresh_contenders(run: RunSummary) -> list[FreshContender]:
    """The best program, the controls' best programs and the warm start, if trained on fresh seeds."""
    warm = run.warm_start_name
    entries: list[tuple[str, ProgramEntry | None]] = []
    if run.best is not None:
        entries.append((f"best program {run.best.id}", run.best))
    entries += [(control_name(control.name, warm), control.best) for control in run.controls]
    entries.append((control_name("warm start", warm), run.warm_start))
    return [
        FreshContender(name, entry, entry.fresh)
        for name, entry in entries
        if entry is not None and entry.fresh is not None
    ]


def final_charts(run: RunSummary) -> list[Chart]:
    """Charts of the best program and its controls on fresh seeds; with several tasks by score, then for each task."""
    title, parts = "The best program beside its controls", list[tuple[str, str, str, str | None]]()
    if len(run.tasks) == 1:
        parts.append((FINALS, title, "validation loss on fresh seeds", None))
    else:
        parts.append((FINALS, title, f"mean score over {listed(run.tasks)} on fresh seeds", None))
        for task in run.tasks:
            parts.append((f"{FINALS}-{task}", f"{title} on {task}", f"validation loss on {task}, fresh seeds", task))
    found = [(name, title, what, *_rows(run, task)) for name, title, what, task in parts]
    return [losses_chart(name, title, what, rows, failed) for name, title, what, rows, failed in found if rows]


def _rows(run: RunSummary, task: str | None) -> tuple[list[Row], int]:
    """Values on fresh seeds, or losses on one of several tasks, and the number of failed runs."""
    rows: list[Row] = []
    failed = 0
    for contender in fresh_contenders(run):
        fresh = contender.fresh.on(task)
        about = {"contender": contender.name, "kind": "program" if contender.entry is run.best else "control"}
        rows += [{"part": "point", **about, "number": seed, "loss": loss} for seed, loss in fresh.trained.items()]
        failed += len(fresh.seeds) - len(fresh.trained)
        if fresh.interval is not None:
            mean = fresh.interval
            rows.append({"part": "mean", **about, "loss": mean.mean, "low": mean.low, "high": mean.high})
    return rows, failed


def fresh_runs(run: RunSummary) -> list[FreshRun]:
    """Runs on fresh seeds of the best program, the controls' best programs and the warm start."""
    return [
        FreshRun(contender.name, contender.entry.id, task, seed, loss, scores.get(seed))
        for contender in fresh_contenders(run)
        for scores in [contender.fresh.by_seed if contender.fresh.tasks else {}]
        for task, losses in (contender.fresh.tasks or {run.tasks[0]: contender.fresh}).items()
        for seed, loss in losses.by_seed.items()
    ]


def compared_controls(run: RunSummary) -> list[ComparedControl]:
    """Comparisons of the best program with each control on fresh seeds, with several tasks also on each."""
    found: list[ComparedControl] = []
    for row in run.comparison:
        for task, on in {"all" if row.tasks else run.tasks[0]: row.overall, **row.tasks}.items():
            ends = (None, None, None) if on.interval is None else (on.interval.mean, on.interval.low, on.interval.high)
            found.append(ComparedControl(row.control, task, *ends, row.name_of(on.winner)))
    return found
