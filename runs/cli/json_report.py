"""JSON output of ``report``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from optsearch.runs.cli.options import Json
from optsearch.runs.report.html import Report


def report_json(report: Report, page: Path, figures: Sequence[Path]) -> Json:
    """The written files, the runs and the names of the charts.

    Args:
        report: content of the report.
        page: the written page.
        figures: the written figures.
    """
    return {
        "report": str(page),
        "bytes": page.stat().st_size,
        "runs": [
            {"run": str(run.view.folder), "status": run.view.status, "copies": list(run.copies)} for run in report.runs
        ],
        "charts": [{"name": chart.name, "title": chart.title} for chart in report.all_charts()],
        "figures": [str(path) for path in figures],
    }
