"""Contenders, which are programs or baselines, and the unit of work: one training run of one contender.

A job is a small frozen value that can be sent to any process; `run_job` keeps one trainer per task in each process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from optsearch.dsl.dataflow import execution_key
from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.program import Program
from optsearch.proxy_tasks.run import Trained, training_key
from optsearch.selection.baselines import ALWAYS, POWER, SCALES, get_baseline
from optsearch.selection.problem import Problem
from optsearch.selection.space import DECADES, RATE, Dimension, Values, program_space, with_values

if TYPE_CHECKING:
    from optsearch.proxy_tasks.trainer import Trainer


POWER_DECADES = 0.5
"""Search range of a schedule's power, like `DECADES`; narrow, because a power of one third already changes it much."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A program or a baseline.

    Attributes:
        name: display name; for a baseline its name in `optsearch.selection.baselines`.
        program: a verified program; None for a baseline.
    """

    name: str
    program: Program | None = None

    @property
    def is_baseline(self) -> bool:
        """True for a baseline."""
        return self.program is None

    @property
    def meaning(self) -> str:
        """Identity independent of the name: a program's fingerprint, or ``optax:`` and the baseline's name."""
        return f"optax:{self.name}" if self.program is None else fingerprint(self.program)

    def space(self, *, constants: bool = False) -> tuple[Dimension, ...]:
        """Returns its tunable hyperparameters.

        Args:
            constants: if True, include its constants, in addition to learning rate and weight decay.
        """
        if self.program is not None:
            return program_space(self.program, constants=constants)
        row = get_baseline(self.name)
        tuned = [name for name in row.arguments if constants or name in ALWAYS]
        rows = (
            Dimension(n, row.arguments[n], n not in SCALES, POWER_DECADES if n == POWER else DECADES) for n in tuned
        )
        return (Dimension(RATE, row.reference), *rows)


def baseline(name: str) -> Contender:
    """Returns a baseline by name, as a contender.

    Raises:
        BaselineError: the name is unknown.
    """
    return Contender(get_baseline(name).name)


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """One training run.

    Attributes:
        contender: the optimizer.
        problem: the task and batch size.
        values: hyperparameter values; the rate is a factor on the task's schedule.
        seed: seed of initial weights and batches.
    """

    contender: Contender
    problem: Problem
    values: Values
    seed: int

    @property
    def key(self) -> str:
        """Cache key: version of the task, the executed optimizer, hyperparameter values, seed.

        A program with other constants is a different program.
        """
        about, values = self.contender.meaning, dict(self.values)
        if self.contender.program is None:
            values = {RATE: values[RATE], **_arguments(self)}
        else:
            about, values = execution_key(with_values(self.contender.program, values)), {RATE: values[RATE]}
        return training_key(self.problem.load().version, about, values, self.seed)


def run_job(job: TrainingJob) -> Trained:
    """Executes a training run in this process."""
    trainer, values = _trainer(job.problem), dict(job.values)
    rate = values.pop(RATE)
    began = time.perf_counter()
    if job.contender.program is not None:
        result = trainer.run(with_values(job.contender.program, values), job.seed, rate=rate)
    else:
        arguments = _arguments(job)
        make = _make(job.contender.name, tuple(arguments), trainer.task.steps)
        result = trainer.run_optax(make, job.seed, rate=rate, values=list(arguments.values()))
    return Trained(result, time.perf_counter() - began)


def _arguments(job: TrainingJob) -> dict[str, float]:
    """All keyword arguments of a baseline's row, in the row's order, tuned or not."""
    values = dict(job.values)
    return {name: values.get(name, default) for name, default in get_baseline(job.contender.name).arguments.items()}


@cache
def _trainer(problem: Problem) -> Trainer:
    from optsearch.search.evaluate import use_one_cpu_thread

    use_one_cpu_thread()
    from optsearch.proxy_tasks.trainer import Trainer

    return Trainer(problem.load(), method="interpret")  # compiling a loop per trial would cost more than it saves


@cache
def _make(name: str, arguments: tuple[str, ...], steps: int) -> Callable[[Any], Any]:
    return partial(_optimizer, name, arguments, steps)


def _optimizer(name: str, arguments: tuple[str, ...], steps: int, schedule: Callable[[Any], Any]) -> Any:
    values = {argument: schedule(steps + place) for place, argument in enumerate(arguments)}
    return get_baseline(name).optimizer(schedule, values)
