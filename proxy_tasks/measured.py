"""What was measured on the shipped tasks: AdamW's loss at its best learning rate, and how much seeds change it.

The numbers are kept in ``data/measured.json`` with the version of the task that they belong to; nobody writes them by
hand. ``python benchmarks/tasks.py adamw`` makes them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from optsearch.proxy_tasks.task import Task


@dataclass(frozen=True, slots=True)
class Measured:
    """AdamW (betas .9 .999, weight decay .01) on a task.

    Attributes:
        learning_rate: the best of a grid, by mean validation loss on tuning seeds.
        loss: mean validation loss on fresh seeds.
        noise: standard deviation of the validation loss over these seeds.
        test_loss: mean test loss on them.
        accuracy: mean test accuracy, in [0, 1]; None when the task has none.
        untrained: mean validation loss before the first step.
        seeds: number of fresh seeds.
    """

    learning_rate: float
    loss: float
    noise: float
    test_loss: float
    accuracy: float | None
    untrained: float
    seeds: int


@cache
def _records() -> dict[str, Any]:
    text = (files("optsearch.proxy_tasks.data") / "measured.json").read_text(encoding="utf-8")
    return json.loads(text)["tasks"]


def measured(task: Task) -> Measured | None:
    """What was measured on this version of a task; None when nothing was."""
    record = _records().get(task.name)
    if record is None or record["version"] != task.version:
        return None
    return Measured(**record["adamw"])
