"""Who is compared: a program, or a baseline. And the unit of work: one training run of one contender.

Jobs are small frozen values, so that they can be sent to any process; `run_job` keeps one trainer a task in each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from dsl.program import Program
from proxy_tasks.outcome import TrainingResult
from proxy_tasks.registry import get_task
from selection.baselines import get_baseline

if TYPE_CHECKING:
    from proxy_tasks.trainer import Trainer


@dataclass(frozen=True, slots=True)
class Contender:
    """A program, or a baseline.

    Attributes:
        name: how tables call it; for a baseline its name in `selection.baselines`.
        program: a verified program; None for a baseline.
    """

    name: str
    program: Program | None = None

    @property
    def is_baseline(self) -> bool:
        """Whether it is a baseline."""
        return self.program is None

    @property
    def reference(self) -> float:
        """Learning rate in the middle of its grid: 1 for a program, which states its own scale."""
        return 1.0 if self.program is not None else get_baseline(self.name).reference


def baseline(name: str) -> Contender:
    """The baseline of a name as a contender.

    Raises:
        BaselineError: there is no such baseline.
    """
    return Contender(get_baseline(name).name)


@dataclass(frozen=True, slots=True)
class Job:
    """One training run.

    Attributes:
        contender: who trains.
        task: name of the task.
        learning_rate: factor on the task's schedule.
        seed: seed of initial weights and batches.
    """

    contender: Contender
    task: str
    learning_rate: float
    seed: int


def run_job(job: Job) -> TrainingResult:
    """Trains as a job says, in this process."""
    trainer = _trainer(job.task)
    if job.contender.program is not None:
        return trainer.run(job.contender.program, job.seed, rate=job.learning_rate)
    return trainer.run_optax(_make(job.contender.name), job.seed, rate=job.learning_rate)


@cache
def _trainer(task: str) -> Trainer:
    from proxy_tasks.trainer import Trainer

    return Trainer(get_task(task))


@cache
def _make(name: str) -> Callable[[Any], Any]:
    return partial(_optimizer, name)


def _optimizer(name: str, schedule: Callable[[Any], Any]) -> Any:
    return get_baseline(name).optimizer(schedule)
