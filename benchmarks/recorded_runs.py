"""Training runs that are recorded on completion, so that an interrupted measurement resumes without repeating any."""

from __future__ import annotations

import json
import math
import os
import statistics
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from optsearch.dsl.program import Program
from optsearch.proxy_tasks.outcome import TrainingResult
from optsearch.proxy_tasks.task import Task
from optsearch.selection.baselines.table import BASELINES


class RecordedRuns:
    """Training runs, recorded in a file on completion, so that no run is repeated.

    Args:
        path: path of the file.
    """

    def __init__(self, path: Path):
        self._path = path
        self._runs: dict[str, list[float | None]] = json.loads(path.read_text()) if path.exists() else {}

    def run(
        self, task: Task, contender: str, rate: float, seed: int, train: Callable[[], TrainingResult]
    ) -> list[float | None]:
        """Returns validation loss, test loss and accuracy of a run; the loss is infinite if it failed."""
        key = f"{task.name} {task.version} {contender} {rate:.6g} {seed}"
        if key not in self._runs:
            result = train()
            self._runs[key] = [result.loss, result.test_loss, result.accuracy]
            scratch = self._path.with_suffix(".new")
            scratch.write_text(json.dumps(self._runs, indent=0))
            os.replace(scratch, self._path)
        loss, *others = self._runs[key]
        return [math.inf if loss is None else loss, *others]

    def baseline(self, task: Task, name: str, rate: float, seed: int) -> list[float | None]:
        """Trains an optax baseline."""
        return self.run(task, name, rate, seed, lambda: trained(task, name, rate, seed))

    def program(self, task: Task, name: str, program: Program, rate: float, seed: int) -> list[float | None]:
        """Trains a program."""
        return self.run(task, name, rate, seed, lambda: trainer(task).run(program, seed, rate=rate))


@cache
def trainer(task: Task) -> Any:
    """Returns the trainer of a task, created once."""
    from optsearch.proxy_tasks.trainer import Trainer

    return Trainer(task)


def trained(task: Task, name: str, rate: float, seed: int) -> TrainingResult:
    """Trains a baseline with its own arguments, under the schedule that it wants."""
    row = BASELINES[name]
    evaluated = {"evaluated": row.evaluated} if row.evaluated else {}
    return trainer(task).run_optax(maker(name), seed, rate=rate, decays=row.schedule == "task", **evaluated)


@cache
def maker(name: str) -> Callable[[Any], Any]:
    """Returns the same function object for each call with a baseline, so that it is compiled once."""
    return partial(BASELINES[name].optimizer)


def mean_loss(runs: Sequence[Sequence[float | None]]) -> float:
    """Computes the mean validation loss; infinite if a run failed."""
    return statistics.fmean(float(run[0]) for run in runs if run[0] is not None)
