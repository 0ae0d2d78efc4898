r"""The report: one self-contained HTML file of one or several runs that needs no network.

Text of runs (names, descriptions, paths, mutations) is inserted by an escaping template, or as JSON in which ``<`` is
written as ``\u003c``. The content security policy of the page forbids loading external resources.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from optsearch.runs.report import search_charts as charts
from optsearch.runs.report.chart import CONFIG, Chart, Row
from optsearch.runs.report.explain import (
    TOPICS,
    cost_table,
    distilled,
    explain,
    formula,
    influence_marks,
    response_charts,
)
from optsearch.runs.report.findings import FINALS, Findings, fitness_range, read_findings
from optsearch.runs.report.render import library
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.arms import SEARCH
from optsearch.runs.summary.history import best_so_far, evaluated_points
from optsearch.runs.summary.lineage import difference
from optsearch.runs.summary.replicates import study_summary
from optsearch.runs.summary.run import INCOMPLETE
from optsearch.runs.text.highlight import html_line, html_lines
from optsearch.runs.text.phrasing import bounds, control_name, gain, headline, number, share, study_differences, verdict
from optsearch.search.algorithms import CONTROLS
from optsearch.selection.statistics import mean_interval

POINTS = 1500
"""Maximum number of evaluated programs in the progress chart."""

GRID = 40
"""Number of points of the mean curve of a study."""

WINNERS = {"best": "better", "undecided": "undecided", None: "undecided"}
"""Relation of the best program to a control, by winner."""


@dataclass(frozen=True, slots=True)
class Report:
    """Content of a report.

    Attributes:
        runs: content of each run.
        charts: charts shared by all runs.
        responses: response charts of each run's best program, by name of the run.
    """

    runs: list[Findings]
    charts: list[Chart]
    responses: dict[str, list[Chart]]

    def all_charts(self) -> list[Chart]:
        """All charts; with several runs, names of single-run charts start with the run's number."""
        found = list(self.charts)
        for run in self.runs:
            found += [*self.responses.get(run.name, []), *run.charts]
            found += [chart for selection in run.selections for chart in selection.charts()]
        return found


def read_report(folders: Sequence[Path]) -> Report:
    """Reads runs for a report.

    Args:
        folders: run folders; duplicates are read once.

    Raises:
        RunError: a run cannot be read.
    """
    folders = list({folder.resolve(): folder for folder in folders}.values())
    labels = _labels(folders)
    runs: list[Findings] = []
    responses: dict[str, list[Chart]] = {}
    seen: set[str] = set()
    for place, (folder, label) in enumerate(zip(folders, labels, strict=True), start=1):
        prefix = f"run{place}-" if len(folders) > 1 else ""
        with RunStore.read(folder) as store:
            run = read_findings(store, label, prefix)
        new = [found for found in run.selections if found.key not in seen]  # runs may share a selection
        seen |= {found.key for found in new}
        run = replace(run, selections=new)
        runs.append(run)
        if run.best is not None:
            title = f"best program {run.view['best']['id']}"
            responses[label] = response_charts(explain(run.best), title, prefix)
    shared = _shared_charts(runs)
    if len(runs) == 1:  # place the final comparison next to the progress chart
        finals = [chart for chart in runs[0].charts if chart.name.split("-")[0] == FINALS]
        shared[1:1] = finals
        runs[0] = replace(runs[0], charts=[chart for chart in runs[0].charts if chart not in finals])
    return Report(runs, shared, responses)


def to_html(report: Report) -> str:
    """Renders the page."""
    sources = _sources()
    page = _environment().get_template("report.html.j2")
    specs = {chart.name: chart.bare() | {"description": chart.title} for chart in report.all_charts()}
    return page.render(
        report=report,
        runs=[_run_values(run, report.responses.get(run.name, [])) for run in report.runs],
        study=_study(report.runs),
        charts={"config": CONFIG, "specs": specs},
        library=library(),
        style=sources["report.css"],
        script=sources["report.js"],
        title=", ".join(dict.fromkeys(run.view["name"] for run in report.runs)),
    )


@cache
def _sources() -> dict[str, str]:
    """Source files of the page."""
    return {
        part.name: part.read_text(encoding="utf-8")
        for part in files("optsearch.runs.report.page").iterdir()
        if part.is_file()
    }


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.DictLoader(_sources()),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "bounds": bounds, "share": share, "gain": gain}
    return environment


def _labels(folders: Sequence[Path]) -> list[str]:
    """Folder names, extended by as many parent folders as needed to be unique."""
    whole = [folder.resolve().parts for folder in folders]
    labels: list[str] = []
    for parts in whole:
        length = 1
        while length < len(parts) and [other[-length:] for other in whole].count(parts[-length:]) > 1:
            length += 1
        labels.append("/".join(parts[-length:]))
    return labels


def _shared_charts(runs: Sequence[Findings]) -> list[Chart]:
    alike = len(runs) == 1 or _is_study(runs)  # runs of a study share colours by search
    lines: list[Row] = []
    shares: list[Row] = []
    validated: list[Row] = []
    for run in runs:
        for name, history in run.histories.items():
            label = _label(run, name) if alike else f"{run.name}: {_label(run, name)}"
            lines += [{"series": label, "run": run.name, **row} for row in best_so_far(history)]
        label = "" if alike else f"{run.name}: "
        for row in run.windows:
            for what, words in (("hits", "cache hits"), ("redundant", "redundant statements")):
                if row[what] is not None:
                    shares.append(
                        {"series": label + words, "run": run.name, "programs": row["programs"], "share": row[what]}
                    )
        meta = run.view["meta_validation"]
        rows = (
            [row for row in meta["programs"] if row["loss"] is not None and row["fitness"] is not None] if meta else []
        )
        validated += [
            {"series": run.name, "program": row["id"], **{key: row[key] for key in ("evaluations", "fitness", "loss")}}
            for row in rows
        ]
    shown: list[Chart] = []
    points, hidden = [], 0
    if len(runs) == 1 and SEARCH in runs[0].histories:
        found, hidden = evaluated_points(runs[0].histories[SEARCH], POINTS)
        points = [{"series": SEARCH, "run": runs[0].name, **row} for row in found]
    if lines:
        shown.append(charts.progress_chart(lines, points, _bands(runs), hidden, fitness_range(runs)))
    if shares:
        shown.append(charts.time_chart(shares))
    if validated:
        tasks = dict.fromkeys(run.view["meta_validation"]["task"] for run in runs if run.view["meta_validation"])
        shown.append(charts.meta_chart(validated, ", ".join(tasks)))
    return shown


def _label(run: Findings, name: str) -> str:
    """Display name of a search; a control is described by its kind."""
    warm = run.view["warm_start"]["name"] if run.view["warm_start"] else "the warm start"
    return control_name(CONTROLS[name].name, warm) if name in CONTROLS else name


def _is_study(runs: Sequence[Findings]) -> bool:
    """True if the runs differ only in their seed."""
    others = [{key: value for key, value in run.settings.items() if key != "seed"} for run in runs]
    seeds = {run.settings["seed"] for run in runs}
    return len(runs) > 1 and len(seeds) == len(runs) and all(other == others[0] for other in others)


def _study(runs: Sequence[Findings]) -> dict[str, Any] | None:
    if not _is_study(runs):
        return None
    found = study_summary([run.view for run in runs])
    return found | {"says": study_differences(found)}


def _bands(runs: Sequence[Findings]) -> list[Row]:
    """Mean best fitness over the runs of a study with its interval, up to the length of the shortest run."""
    if not _is_study(runs):
        return []
    rows: list[Row] = []
    for name in dict.fromkeys(name for run in runs for name in run.histories):
        histories = [run.histories[name] for run in runs if name in run.histories]
        if len(histories) < 2:
            continue
        best = [np.fmin.accumulate(history.fitness) for history in histories]
        for programs in np.unique(np.linspace(0, min(map(len, best)) - 1, GRID).astype(int)):
            values = [float(line[programs]) for line in best]
            if np.isfinite(values).all():
                mean = mean_interval(values)
                row = {"series": _label(runs[0], name), "programs": int(programs)}
                rows.append(row | {"mean": mean.mean, "low": mean.low, "high": mean.high})
    return rows


def _run_values(run: Findings, responses: Sequence[Chart]) -> dict[str, Any]:
    """Template variables of a run."""
    view = run.view
    warm = view["warm_start"]["name"] if view["warm_start"] else ""
    values: dict[str, Any] = {
        "run": run,
        "view": view,
        "headline": headline(view),
        "verdicts": [(WINNERS.get(row["winner"], "worse"), verdict(row, warm)) for row in view["comparison"]],
        "incomplete": INCOMPLETE if view["status"] == "incomplete" else "",
        "cautions": [],
        "controls": [(control_name(c["name"], warm), c) for c in view["controls"]],
        "responses": responses,
        "selections": [(found, found.says()) for found in run.selections],
        "best": None,
        "board": [_board_values(row) for row in run.board],
        "line": [row | {"changed": bool(row["gain"]) or row is run.line[0]} for row in run.line],
    }
    if run.best is not None:
        short, explanation = distilled(run.best), explain(run.best)
        values["cautions"] = [p.says for p in explanation.probes if p.name == "schedule" and p.value != 1.0]
        marks = influence_marks(explanation.influences)
        lines = html_lines(run.best)
        values["best"] = {
            "explanation": explanation,
            "says": [(TOPICS.get(topic, topic), sentence) for topic, sentence in explanation.says()],
            "lines": [(line, marks.get(place, "")) for place, line in enumerate(lines, start=1)],
            "distilled": short,
            "distilled_lines": html_lines(short.program),
            "formula": formula(short.program),
            "cost": cost_table(explanation.cost),
        }
    return values


def _board_values(row: Row) -> Row:
    parent = row["parent"]
    changes = [] if parent is None else difference(str(parent), str(row["program"]))
    state = row["program"].state
    return row | {
        "text": str(row["program"]),
        "lines": html_lines(row["program"]),
        "changes": [(sign, html_line(line, state)) for sign, line in changes],
    }
