"""Event files for TensorBoard, in ``tensorboard/NAME-IDENTITY`` beside the run folder; the report lies among them.

tensorboard --logdir optsearch-runs/tensorboard
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optsearch.runs.trackers.tracker import TrackedRun, require


class TensorBoard:
    """Writes with the package ``tensorboardX``.

    Args:
        folder: folder of all runs. None for ``tensorboard`` beside the run folder.

    Raises:
        TrackerError: the package is not installed.
    """

    def __init__(self, folder: Path | None = None):
        self._package, self._folder = require("tensorboardX", "tensorboard"), folder
        self._place, self._writer = Path(), None

    def start(self, run: TrackedRun) -> None:
        """Opens a new event file in the folder of the run; TensorBoard joins all files of a folder."""
        folder = self._folder or run.folder.parent / "tensorboard"
        self._place = folder / f"{run.name}-{run.identity[:8]}"
        sessions = len(list(self._place.glob("events.*")))
        # Files are named by the second in which they begin, so that a quick resumption would replace the first one.
        self._writer: Any = self._package.SummaryWriter(logdir=str(self._place), filename_suffix=f".{sessions}")
        if not sessions:
            rows = "\n".join(f"| {name} | `{value}` |" for name, value in run.settings.items())
            self._writer.add_text("settings", f"| setting | value |\n|---|---|\n{rows}", 0)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Writes scalars."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def program(self, search: str, text: str, step: int) -> None:
        """Writes a text; an indented block is code in Markdown."""
        self._writer.add_text(f"{search}/best_program", "\n".join(f"    {line}" for line in text.splitlines()), step)

    def finish(self, status: str, report: str) -> None:
        """Closes the file, and writes ``report.html`` beside it."""
        self._writer.add_text("status", status)
        self._writer.close()
        if report:
            (self._place / "report.html").write_text(report, encoding="utf-8")
