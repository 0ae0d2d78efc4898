"""Report content of one run: histories, best programs, lineage of the winner, and charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from optsearch.dsl.program import Program
from optsearch.runs.report import search_charts as charts
from optsearch.runs.report.chart import Chart, Row
from optsearch.runs.report.selection_charts import seeds_chart
from optsearch.runs.report.selections import Selection, read_selections
from optsearch.runs.store.reader import RunReader
from optsearch.runs.summary.arms import SEARCH
from optsearch.runs.summary.finals import values_of
from optsearch.runs.summary.history import (
    VERDICTS,
    SearchHistory,
    mutation_statistics,
    outcomes_over_time,
    over_time,
    read_history,
)
from optsearch.runs.summary.lineage import family_tree, line_of
from optsearch.runs.summary.run import campaign_file, leaderboard, program_entries, summary
from optsearch.runs.text.phrasing import control_name, listed

TOP = 30
"""Number of listed programs."""

FINALS = "finals"
"""Name of the chart of the best program and its controls; with several tasks a prefix of the charts of each task."""


@dataclass(frozen=True, slots=True)
class Findings:
    """Report content of one run.

    Attributes:
        name: unique label of the run in charts and headings.
        anchor: prefix of the run's HTML anchors.
        view: summary of the run, as returned by ``run.summary``.
        settings: settings of the campaign.
        campaign: all settings, as a campaign file that starts the same run.
        sessions: time, machine and versions of each session.
        histories: histories of the nonempty searches, by name.
        windows: statistics of the search over time, as returned by ``history.over_time``.
        board: best programs: ``id``, ``fitness``, ``statements``, ``live_statements``, ``state``, ``program``,
            ``parent`` (program of the parent, or None), ``mutation``.
        line: lineage from the warm start to the best program.
        best: the best program; None if no program has trained.
        charts: charts of this run alone.
        selections: funnels and evaluations of the run's programs.
    """

    name: str
    anchor: str
    view: dict[str, Any]
    settings: dict[str, Any]
    campaign: str
    sessions: Sequence[Any]
    histories: dict[str, SearchHistory]
    windows: list[Row]
    board: list[Row]
    line: list[Row]
    best: Program | None
    charts: list[Chart]
    selections: Sequence[Selection] = ()


def read_findings(store: RunReader, name: str, prefix: str = "") -> Findings:
    """Reads the report content of a run in any state.

    Args:
        store: the run.
        name: label of the run.
        prefix: prefix of the charts' names.
    """
    view, settings = summary(store), dict(store.meta("settings"))
    histories = {arm.name: history for arm in store.arms() if len(history := read_history(store, arm))}
    found = Findings(
        name, prefix, view, settings, campaign_file(settings), store.sessions(), histories, [], [], [], None, [],
        read_selections(store, prefix),
    )  # fmt: skip
    history = histories.get(SEARCH)
    if history is None:
        return found
    windows = over_time(store, history)
    shown = _history_charts(history, windows)
    if not view["best"]:
        return replace(found, windows=windows, charts=_named(shown, prefix))
    arm, ticket = store.find(view["best"]["id"])
    line = line_of(store, arm, ticket)
    edges, hidden = family_tree(history, ticket, store.config.population.size)
    if edges:
        shown.append(charts.tree_chart(edges, hidden, fitness_range([found])[1]))
    if len(line) > 1:
        shown.append(charts.lineage_chart([{"step": step, **without(row, "text")} for step, row in enumerate(line)]))
    shown[:0] = _final_charts(view)
    board = program_entries(store, leaderboard(store, TOP))
    best = store.ticket(arm, ticket).scored
    return replace(found, windows=windows, board=board, line=line, best=best, charts=_named(shown, prefix))


def _named(shown: Sequence[Chart], prefix: str) -> list[Chart]:
    return [replace(chart, name=prefix + chart.name) for chart in shown]


def _history_charts(history: SearchHistory, windows: Sequence[Row]) -> list[Chart]:
    shown: list[Chart] = []
    outcomes = outcomes_over_time(history)
    if outcomes:
        shown.append(charts.outcomes_chart(outcomes))
    rows: list[Row] = []
    for kind in mutation_statistics(history):
        for verdict in VERDICTS:
            share = kind[verdict] / kind["children"]
            rows.append({"kind": kind["kind"], "verdict": verdict, "children": kind[verdict], "share": share})
    if rows:
        shown.append(charts.mutations_chart(rows, VERDICTS))
    population = [row for row in windows if row["median"] is not None]
    if len(population) > 1:
        shown.append(charts.population_chart(population))
    return shown


def fitness_range(findings: Sequence[Findings]) -> tuple[float, float]:
    """Fitness range of the progress chart: from the best to slightly above the initial fitness."""
    known = [history.fitness[np.isfinite(history.fitness)] for run in findings for history in run.histories.values()]
    known = [fitness for fitness in known if len(fitness)]
    if not known:
        return 0.0, 1.0
    low, high = min(float(fitness.min()) for fitness in known), max(float(fitness[0]) for fitness in known)
    margin = 0.08 * (high - low) or 0.01
    return low - margin, high + margin


def _final_charts(view: dict[str, Any]) -> list[Chart]:
    """Charts of the best program and its controls on fresh seeds; with several tasks by score, then for each task."""
    title, parts = "The best program beside its controls", list[tuple[str, str, str, int | None]]()
    if len(view["tasks"]) == 1:
        parts.append((FINALS, title, "validation loss on fresh seeds", None))
    else:
        parts.append((FINALS, title, f"mean score over {listed(view['tasks'])} on fresh seeds", None))
        for place, task in enumerate(view["tasks"]):
            parts.append((f"{FINALS}-{task}", f"{title} on {task}", f"validation loss on {task}, fresh seeds", place))
    found = [(name, title, what, *_finals(view, place)) for name, title, what, place in parts]
    return [seeds_chart(name, title, what, rows, failed) for name, title, what, rows, failed in found if rows]


def fresh_contenders(view: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Labels and runs of the best program, the controls' best programs and the warm start, if run on fresh seeds."""
    warm = view["warm_start"]["name"] if view["warm_start"] else ""
    entries = [(f"best program {view['best']['id']}", view["best"])] if view["best"] else []
    entries += [(control_name(c["name"], warm), c["best"]) for c in view["controls"] if c["best"]]
    entries += [(control_name("warm start", warm), view["warm_start"])] if view["warm_start"] else []
    return [(name, entry) for name, entry in entries if entry["fresh"]]


def _finals(view: dict[str, Any], task: int | None) -> tuple[list[Row], int]:
    """Values on fresh seeds, or losses on one of several tasks, and the number of failed runs."""
    rows: list[Row] = []
    failed = 0
    for name, entry in fresh_contenders(view):
        fresh = entry["fresh"] if task is None else entry["fresh"]["tasks"][task]
        kind = "program" if entry is view["best"] else "control"
        for seed, loss in values_of(fresh).items():
            failed += loss is None
            if loss is not None:
                rows.append({"part": "seed", "contender": name, "kind": kind, "seed": seed, "loss": loss})
        if fresh["mean"] is not None:
            low, high = fresh["interval"]
            mean = {"part": "mean", "contender": name, "kind": kind, "loss": fresh["mean"]}
            rows.append(mean | {"low": low, "high": high})
    return rows, failed


def final_rows(view: dict[str, Any]) -> list[Row]:
    """Runs on fresh seeds of the best program, the controls' best programs and the warm start.

    Args:
        view: summary of a run, as returned by `run.summary`.

    Returns:
        ``contender``, ``program``, ``task``, ``seed``, ``loss`` of each run; with several tasks also the seed's
        ``score``.
    """
    rows: list[Row] = []
    for name, entry in fresh_contenders(view):
        fresh, about = entry["fresh"], {"contender": name, "program": entry["id"]}
        scores = values_of(fresh)
        for on in fresh.get("tasks", [{"task": view["task"], **fresh}]):
            for seed, loss in values_of(on).items():
                score = {"score": scores[seed]} if "tasks" in fresh else {}
                rows.append(about | {"task": on["task"], "seed": seed, "loss": loss} | score)
    return rows


def comparison_rows(view: dict[str, Any]) -> list[Row]:
    """Comparisons of the best program with each control on fresh seeds.

    The columns are ``control``, ``task``, ``difference`` (of losses; of scores if the task is ``all``), ``low``,
    ``high`` and ``winner``.

    Args:
        view: summary of a run, as returned by `run.summary`.
    """
    rows: list[Row] = []
    for row in view["comparison"]:
        for on in [{"task": "all", **row}, *row["tasks"]] if "tasks" in row else [{"task": view["task"], **row}]:
            low, high = on["interval"] or (None, None)
            ends = {"difference": on["difference"], "low": low, "high": high, "winner": on["winner"]}
            rows.append({"control": row["control"], "task": on["task"], **ends})
    return rows


def without(row: Row, *names: str) -> Row:
    """Removes columns from a row."""
    return {key: value for key, value in row.items() if key not in names}
