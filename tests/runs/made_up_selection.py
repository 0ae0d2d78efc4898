"""A funnel over a synthetic run with synthetic training: all charts of a selection within seconds."""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import pytest
from made_up_run import made_up_run

from optsearch.proxy_tasks.outcome import Outcome, TrainingResult
from optsearch.runs.commands.select import run_selection
from optsearch.runs.summary.selections import SelectionResult
from optsearch.selection.contender import Trained, TrainingJob

FUNNEL = """
name: made-up
description: Three programs of five go on.
candidates: {per_run: 30, most: 5}
stages:
  - {name: fresh, tasks: [search], trials: 0, seeds: 4, baselines: [], keep: {best: 3}}
  - name: larger
    tasks: [digits, teach]
    trials: 6
    replicates: 2
    seeds: 5
    baselines: [adamw, lion]
    keep: {best: 1}
"""

STEPS = 10
"""Checkpoints of a training run."""


def train(job: TrainingJob) -> Trained:
    """A loss that is lowest at a rate and a decay of the contender's own, and seeds of which some fail."""
    luck = zlib.crc32(f"{job.contender.meaning} {job.problem.name}".encode()) % 100 / 100
    values = dict(job.values)
    far = abs(math.log10(values["rate"]) + 4.0 * job.contender.is_baseline - luck)
    loss = 0.5 + 0.1 * luck + 0.05 * far**2 + 0.01 * math.sin(job.seed) + 0.01 * values.get("weight_decay", 0.0)
    if far > 2.2 or (job.problem.name == "teach" and job.contender.name == "lion" and job.seed % 5 == 0):
        validation = (1.9, 1.4, None) if job.validates else ()
        return Trained(TrainingResult(Outcome.NON_FINITE, None, None, None, 90, (2.0, 1.5, 1.2), None, validation), 0.1)
    curve = tuple(loss + 1.0 / step for step in range(1, STEPS + 1))
    validation = tuple(value - 0.001 for value in curve) if job.validates else ()
    return Trained(TrainingResult(Outcome.OK, loss, loss + 0.01, None, 300, curve, None, validation), 0.2)


def select(folder: Path, funnel: str = FUNNEL) -> SelectionResult:
    """Takes a run through a funnel; training runs are kept beside it."""
    (folder.parent / "funnel.yaml").write_text(funnel)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("optsearch.runs.commands.select.run_job", train)
        return run_selection(
            [str(folder)], str(folder.parent / "funnel.yaml"), folder=folder.parent, workers=0, quiet=True
        )


def selected_run(folder: Path, *, programs: int = 80) -> Path:
    """A made-up run that has been through the funnel."""
    made_up_run(folder, programs=programs)
    select(folder)
    return folder
