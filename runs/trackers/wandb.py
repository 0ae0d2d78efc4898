"""Runs of Weights & Biases, in the project ``optsearch``.

Nothing is sent unless ``WANDB_MODE=online`` is set: the default mode is ``offline``, whose files lie in ``wandb``
beside the run folder until ``wandb sync`` sends them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from optsearch.runs.trackers.tracker import TrackedRun, require

PROJECT = "optsearch"


class WeightsAndBiases:
    """Writes with the package ``wandb``.

    Raises:
        TrackerError: the package is not installed.
    """

    def __init__(self) -> None:
        self._package = require("wandb", "wandb")
        self._run: Any = None

    def start(self, run: TrackedRun) -> None:
        """Creates a run with the identity as its id, or continues it."""
        self._run = self._package.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=run.identity,
            name=run.name,
            dir=str(run.folder.parent),
            config=dict(run.settings),
            mode=os.environ.get("WANDB_MODE", "offline"),
            resume="allow",
            settings=self._package.Settings(silent=True, console="off", disable_git=True, save_code=False),
        )

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Writes a row of history; each group of curves has its own axis, since that of W&B never goes back."""
        group = next(iter(values)).split("/")[0]
        axis = f"{group}/{'seed' if group == 'final' else 'evaluations'}"
        self._run.define_metric(axis)
        self._run.define_metric(f"{group}/*", step_metric=axis)
        self._run.log({**values, axis: step})

    def program(self, search: str, text: str, step: int) -> None:
        """Writes the program as HTML, and in the summary as text."""
        self._run.log({f"{search}/best_program": self._package.Html(f"<pre>{_escaped(text)}</pre>", inject=False)})
        self._run.summary[f"{search}/best_program_text"] = text

    def finish(self, status: str, report: str) -> None:
        """Writes the report and ends the session."""
        self._run.summary["status"] = status
        if report:
            self._run.log({"report": self._package.Html(report, inject=False)})
        self._run.finish(exit_code=0 if status == "finished" else 1)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
