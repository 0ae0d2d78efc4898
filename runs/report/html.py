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

import jinja2
import numpy as np

from optsearch.runs.report import search_charts as charts
from optsearch.runs.report.chart import CONFIG, Chart
from optsearch.runs.report.explain import explain, response_charts
from optsearch.runs.report.findings import Findings, fitness_range, read_findings
from optsearch.runs.report.identical import without_copies
from optsearch.runs.report.render import library
from optsearch.runs.report.search_charts import Band, ProgressPoint, Share, ValidatedPoint
from optsearch.runs.report.section import read_section
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.history import Point, best_so_far, evaluated_points
from optsearch.runs.summary.replicates import StudySummary, study_summary
from optsearch.runs.summary.searches import SEARCH
from optsearch.runs.summary.sentences import SIGNS, study_differences
from optsearch.runs.text.phrasing import control_name, gain, interval_bounds, number, rate_factor, share
from optsearch.search.algorithms import CONTROLS
from optsearch.selection.statistics.intervals import mean_interval

POINTS = 1500
"""Maximum number of evaluated programs in the progress chart."""

GRID = 40
"""Number of points of the mean curve of a study."""


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
    found: list[Findings] = []
    seen: set[str] = set()
    for place, (folder, label) in enumerate(zip(folders, labels, strict=True), start=1):
        with RunStore.read(folder) as store:
            run = read_findings(store, label, f"run{place}-" if len(folders) > 1 else "")
        new = [one for one in run.selections if one.record.key not in seen]  # runs may share a selection
        seen |= {one.record.key for one in new}
        found.append(replace(run, selections=new))
    runs = without_copies(found)
    responses = {
        run.name: response_charts(explain(run.best), f"best program {run.view.best.id}", run.anchor)
        for run in runs
        if run.best is not None and run.view.best is not None
    }
    return Report(runs, _shared_charts(runs), responses)


def to_html(report: Report) -> str:
    """Renders the page."""
    sources = _sources()
    page = _environment().get_template("report.html.j2")
    specs = {chart.name: chart.bare() | {"description": chart.alternative} for chart in report.all_charts()}
    return page.render(
        report=report,
        runs=[read_section(run, report.responses.get(run.name, [])) for run in report.runs],
        study=_study(report.runs),
        charts={"config": CONFIG, "specs": specs},
        library=library(),
        signs=SIGNS,
        style=sources["report.css"],
        script=sources["report.js"],
        title=", ".join(dict.fromkeys(run.view.name for run in report.runs)),
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
    environment.filters |= {"number": number, "ends": interval_bounds, "share": share, "gain": gain}
    environment.filters |= {"rate_factor": rate_factor}
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
    lines: list[ProgressPoint] = []
    shares: list[Share] = []
    validated: list[ValidatedPoint] = []
    for run in runs:
        for name, history in run.histories.items():
            label = _label(run, name) if alike else f"{run.name}: {_label(run, name)}"
            lines += _progress(label, run, best_so_far(history), _spent_before(run, name))
        label = "" if alike else f"{run.name}: "
        for row in run.windows:
            shares.append(Share(f"{label}cache hits", run.name, row.programs, row.hits))
            if row.redundant is not None:
                shares.append(Share(f"{label}redundant statements", run.name, row.programs, row.redundant))
        if run.view.meta_validation is not None:
            validated += [
                ValidatedPoint(run.name, row.id, row.evaluations, row.fitness, row.loss)
                for row in run.view.meta_validation.programs
                if row.fitness is not None and row.loss is not None
            ]
    shown: list[Chart] = []
    points: list[ProgressPoint] = []
    hidden = 0
    if len(runs) == 1 and SEARCH in runs[0].histories:
        found, hidden = evaluated_points(runs[0].histories[SEARCH], POINTS)
        points = _progress(SEARCH, runs[0], found, _spent_before(runs[0], SEARCH))
    if lines:
        shown.append(charts.progress_chart(lines, points, _bands(runs), hidden, fitness_range(runs)))
    if shares:
        shown.append(charts.time_chart(shares))
    if validated:
        tasks = dict.fromkeys(run.view.meta_validation.task for run in runs if run.view.meta_validation)
        shown.append(charts.meta_chart(validated, ", ".join(tasks)))
    return shown


def _spent_before(run: Findings, name: str) -> int:
    """Evaluations of the first stage, which the main search has spent before its own."""
    return sum(stage.counts.evaluated for stage in run.view.first_stage) if name == SEARCH else 0


def _progress(label: str, run: Findings, found: Sequence[Point], before: int) -> list[ProgressPoint]:
    return [
        ProgressPoint(label, run.name, before + point.evaluations, point.programs, point.fitness, point.program)
        for point in found
    ]


def _label(run: Findings, name: str) -> str:
    """Display name of a search; a control is described by its kind."""
    warm = run.view.warm_start_name or "the warm start"
    return control_name(CONTROLS[name].name, warm) if name in CONTROLS else name


def _is_study(runs: Sequence[Findings]) -> bool:
    """True if the runs differ only in their seed."""
    others = [{key: value for key, value in run.settings.items() if key != "seed"} for run in runs]
    seeds = {run.settings["seed"] for run in runs}
    return len(runs) > 1 and len(seeds) == len(runs) and all(other == others[0] for other in others)


def _study(runs: Sequence[Findings]) -> tuple[StudySummary, list[str]] | None:
    """Statistics over the runs of a study and sentences about them; None if the runs are not a study."""
    if not _is_study(runs):
        return None
    found = study_summary([run.view for run in runs])
    return found, study_differences(found)


def _bands(runs: Sequence[Findings]) -> list[Band]:
    """Mean best fitness over the runs of a study with its interval, up to the length of the shortest run."""
    if not _is_study(runs):
        return []
    bands: list[Band] = []
    for name in dict.fromkeys(name for run in runs for name in run.histories):
        histories = [run.histories[name] for run in runs if name in run.histories]
        if len(histories) < 2:
            continue
        best = [history.best_by_evaluation for history in histories]
        before = _spent_before(runs[0], name)
        for evaluations in np.unique(np.linspace(0, min(map(len, best)) - 1, GRID).astype(int)):
            values = [float(line[evaluations]) for line in best]
            if np.isfinite(values).all():
                mean = mean_interval(values)
                bands.append(Band(_label(runs[0], name), before + int(evaluations), mean.mean, mean.low, mean.high))
    return bands
