"""Report content of one run: histories, best programs, lineage of the winner, and charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from optsearch.dsl.program import Program
from optsearch.runs.report import search_charts as charts
from optsearch.runs.report.chart import Chart
from optsearch.runs.report.final_charts import final_charts
from optsearch.runs.report.front_chart import front_chart
from optsearch.runs.report.selections import Selection, shown_selections
from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.records import JsonObject, SessionRecord
from optsearch.runs.summary.campaign_file import campaign_file
from optsearch.runs.summary.front import front
from optsearch.runs.summary.history import (
    SearchHistory,
    Window,
    mutation_statistics,
    outcomes_over_time,
    over_time,
    read_history,
)
from optsearch.runs.summary.leaderboard import RankedChild, leaderboard, with_parents
from optsearch.runs.summary.lineage import LineageStep, family_tree, line_of
from optsearch.runs.summary.run import RunSummary, summary
from optsearch.runs.summary.searches import SEARCH

TOP = 30
"""Number of listed programs."""


@dataclass(frozen=True, slots=True)
class Findings:
    """Report content of one run.

    Attributes:
        name: unique label of the run in charts and headings.
        anchor: prefix of the run's HTML anchors.
        view: summary of the run.
        settings: settings of the campaign, as recorded.
        campaign: all settings, as a campaign file that starts the same run.
        sessions: time, machine and versions of each session.
        histories: histories of the nonempty searches, by name.
        windows: statistics of the search over time.
        board: best programs with their parents.
        line: lineage from the warm start to the best program.
        best: the best program; None if no program has trained.
        charts: charts of this run alone.
        selections: funnels and evaluations of the run's programs.
        copies: names of further folders with the same run, which are not shown again.
    """

    name: str
    anchor: str
    view: RunSummary
    settings: JsonObject
    campaign: str
    sessions: Sequence[SessionRecord]
    histories: dict[str, SearchHistory]
    windows: list[Window]
    board: list[RankedChild]
    line: list[LineageStep]
    best: Program | None
    charts: list[Chart]
    selections: Sequence[Selection] = ()
    copies: tuple[str, ...] = ()


def read_findings(store: RunReader, name: str, prefix: str = "") -> Findings:
    """Reads the report content of a run in any state.

    Args:
        store: the run.
        name: label of the run.
        prefix: prefix of the charts' names.
    """
    view, settings = summary(store), dict(store.meta("settings"))
    histories = {search.name: history for search in store.searches() if len(history := read_history(store, search))}
    found = Findings(
        name, prefix, view, settings, campaign_file(settings), store.sessions(), histories, [], [], [], None, [],
        shown_selections(store, prefix),
    )  # fmt: skip
    history = histories.get(SEARCH)
    if history is None:
        return found
    windows = over_time(store, history)
    shown = _history_charts(history, windows)
    if view.best is None:
        return replace(found, windows=windows, charts=_named(shown, prefix))
    search, ticket = store.find(view.best.id)
    line = line_of(store, search, ticket)
    edges, hidden = family_tree(history, ticket, store.config.population.size)
    if edges:
        shown.append(charts.tree_chart(edges, hidden, fitness_range([found])[1]))
    if len(line) > 1:
        shown.append(charts.lineage_chart(line))
    shown[:0] = final_charts(view)
    board = with_parents(store, leaderboard(store, TOP))
    pareto = front(store)
    if len(pareto) > 1:
        shown.append(front_chart(pareto, board))
    best = store.ticket(search, ticket).scored
    return replace(found, windows=windows, board=board, line=line, best=best, charts=_named(shown, prefix))


def _named(shown: Sequence[Chart], prefix: str) -> list[Chart]:
    return [replace(chart, name=prefix + chart.name) for chart in shown]


def _history_charts(history: SearchHistory, windows: Sequence[Window]) -> list[Chart]:
    shown: list[Chart] = []
    outcomes = outcomes_over_time(history)
    if outcomes:
        shown.append(charts.outcomes_chart(outcomes))
    kinds = mutation_statistics(history)
    if kinds:
        shown.append(charts.mutations_chart(kinds))
    population = [window for window in windows if window.median is not None]
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
