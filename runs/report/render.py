"""Rendering of charts without a browser, and the JavaScript library of the page.

Vega-Lite is a declarative standard with axes, legends, selections and tooltips. ``vl-convert`` bundles its JavaScript
(0.9 MB, embedded in the page) and renders the same charts as SVG and PDF. Only this module imports it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

from optsearch.proxy_tasks.compilation import cache_folder
from optsearch.runs.report.chart import Chart, Spec
from optsearch.runs.store.errors import RunError

WIDTH = 560
"""Width of an exported chart in pixels."""


@cache
def library() -> str:
    """The JavaScript bundle that draws charts and defines ``vegaEmbed``.

    Bundling takes half of the report's generation time, so the bundle is stored in the user's cache with a digest that
    detects damaged copies. If the cache is not writable, the bundle is created each time.
    """
    kept = cache_folder() / f"charts-{version('vl-convert-python')}.js"
    with suppress(OSError, UnicodeDecodeError):
        digest, _, text = kept.read_bytes().decode().partition("\n")
        if digest == _digest(text):
            return text
    import vl_convert

    text = str(vl_convert.javascript_bundle())  # pyright: ignore[reportCallIssue] - its stub lacks the default
    new = kept.with_name(f"{kept.name}.{os.getpid()}")
    with suppress(OSError):
        new.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(f"{_digest(text)}\n{text}".encode())
        os.replace(new, kept)
    return text


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def to_svg(chart: Chart) -> str:
    """Renders a chart as SVG on a white background."""
    import vl_convert

    return str(vl_convert.vegalite_to_svg(_on_white(chart)))


def _on_white(chart: Chart) -> Spec:
    return chart.drawn(WIDTH) | {"background": "white", "title": chart.title}


def write_figures(charts: Iterable[Chart], folder: Path) -> list[Path]:
    """Writes each chart as SVG and PDF, and its numbers as CSV.

    Args:
        charts: charts with unique names.
        folder: output folder; created if it does not exist.

    Returns:
        The written files.

    Raises:
        RunError: the folder cannot be written.
    """
    import vl_convert

    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for chart in charts:
            contents = {
                ".svg": to_svg(chart).encode(),
                ".pdf": vl_convert.vegalite_to_pdf(_on_white(chart)),
                ".csv": table(chart).encode(),
            }
            for ending, content in contents.items():
                path = folder / f"{chart.name}{ending}"
                path.write_bytes(content)
                written.append(path)
    except OSError as error:
        raise RunError(f"{folder}: figures cannot be written there: {error.strerror}") from error
    return written


def table(chart: Chart) -> str:
    """Data of a chart as CSV with a header line."""
    names = list(dict.fromkeys(name for row in chart.rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(chart.rows)
    return text.getvalue()
