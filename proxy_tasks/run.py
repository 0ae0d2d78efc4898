"""One training run as a value: what is to be made, what it is known by, how it ended; nothing here needs JAX."""

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
        program: a verified program; dead statements are removed first, so they neither cost nor change anything.
        seed: decides initial weights and batches, in [0, 2**32).
        rate: factor on the schedule that the program gets as ``lr``.
        hurdle: when to stop early; None for never.
    """

    program: Program
    seed: int
    rate: float = 1.0
    hurdle: Hurdle | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """A training run that has been made, to its end.

    Attributes:
        result: how it ended.
        seconds: time that it took, compiling included.
        machine: what decides its last digits, of the process that made it.
    """

    result: TrainingResult
    seconds: float
    machine: str = field(default_factory=made_on)


def training_key(task_version: str, meaning: str, values: Mapping[str, float], seed: int) -> str:
    """What a training run without a hurdle is known by: all that its result depends on beside the machine.

    Args:
        task_version: of the task.
        meaning: what a program executes (``optsearch.dsl.dataflow.execution_key``), or what a baseline is.
        values: ``rate``, the factor on the schedule, and whatever else is not part of the meaning.
        seed: seed of initial weights and batches.
    """
    told = " ".join(f"{name}={value!r}" for name, value in values.items())
    return f"{task_version} {meaning} {told} {seed}"
