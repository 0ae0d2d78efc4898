"""Runs of MLflow, in the experiment ``optsearch`` of ``MLFLOW_TRACKING_URI``, or in ``mlruns`` beside the run folder.

A run is found again by its tag ``optsearch.identity``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from optsearch.runs.trackers.tracker import TrackedRun, require

EXPERIMENT = "optsearch"
TAG = "optsearch.identity"

_STATUS = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}


class MLflow:
    """Writes with the package ``mlflow-skinny`` or ``mlflow``.

    Args:
        uri: address of the tracking server, or folder. None for ``MLFLOW_TRACKING_URI``, or ``mlruns`` beside the run
            folder.

    Raises:
        TrackerError: the package is not installed.
    """

    def __init__(self, uri: str | None = None):
        self._package, self._uri = require("mlflow", "mlflow"), uri
        self._client: Any = None
        self._run = ""

    def start(self, run: TrackedRun) -> None:
        """Creates a run of MLflow, or continues the one with the same identity."""
        uri = self._uri or os.environ.get("MLFLOW_TRACKING_URI")
        if not uri:
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
            uri = (run.folder.resolve().parent / "mlruns").as_uri()
        self._client = self._package.MlflowClient(tracking_uri=uri)
        found = self._client.get_experiment_by_name(EXPERIMENT)
        experiment = self._client.create_experiment(EXPERIMENT) if found is None else found.experiment_id
        earlier = self._client.search_runs([experiment], f"tags.`{TAG}` = '{run.identity}'", max_results=1)
        if earlier:
            self._run = earlier[0].info.run_id
            self._client.update_run(self._run, "RUNNING")
            return
        tags = {TAG: run.identity, "mlflow.source.name": "optsearch"}
        self._run = self._client.create_run(experiment, tags=tags, run_name=run.name).info.run_id
        for name, value in run.settings.items():
            self._client.log_param(self._run, name, str(value)[:500])

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Writes metrics."""
        for name, value in values.items():
            self._client.log_metric(self._run, name, value, step=step)

    def program(self, search: str, text: str, step: int) -> None:
        """Writes an artifact of text for each improvement, and the latest."""
        for name in (f"{step:08d}", "latest"):
            self._client.log_text(self._run, text, f"best_programs/{search}/{name}.txt")

    def finish(self, status: str, report: str) -> None:
        """Writes the report as an artifact, and ends the run."""
        if report:
            self._client.log_text(self._run, report, "report.html")
        self._client.set_terminated(self._run, _STATUS[status])
