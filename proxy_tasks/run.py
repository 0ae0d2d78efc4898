"""A training run as a value: its inputs, its cache key, and its result; this module does not need JAX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from optsearch.dsl.program import Program
from optsearch.proxy_tasks.hurdle import Hurdle
from optsearch.proxy_tasks.machine import made_on
from optsearch.proxy_tasks.outcome import TrainingResult


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """One training run with a program.

    Attributes:
        program: a verified program; dead statements are pruned first, so they affect neither cost nor result.
        seed: seed of initial weights and batches, in [0, 2**32).
        rate: factor on the schedule that the program receives as ``lr``.
        hurdle: early-stopping rule; None for no early stopping.
    """

    program: Program
    seed: int
    rate: float = 1.0
    hurdle: Hurdle | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """A completed training run.

    Attributes:
        result: result of the run.
        seconds: wall-clock time in seconds, including compilation.
        machine: numerical environment of the process, which determines the last digits.
        resumed_from: number of steps that another process had run before it was killed, which the time does not count;
            0 for a run from the first step.
    """

    result: TrainingResult
    seconds: float
    machine: str = field(default_factory=made_on)
    resumed_from: int = 0


def training_key(task_version: str, meaning: str, values: Mapping[str, float], seed: int) -> str:
    """Cache key of a training run without a hurdle: everything besides the machine on which its result depends.

    Args:
        task_version: version of the task.
        meaning: what a program executes (``optsearch.dsl.dataflow.execution_key``), or the identity of a baseline.
        values: ``rate``, the factor on the schedule, and all other values that are not part of the meaning.
        seed: seed of initial weights and batches.
    """
    told = " ".join(f"{name}={value!r}" for name, value in values.items())
    return f"{task_version} {meaning} {told} {seed}"
