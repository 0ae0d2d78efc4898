"""A problem: a task with its own or another batch size, or a training script of the user.

A run with another batch size sees the same number of examples, so that doubling the batch size halves the number of
steps, as in the published study of batch sizes.

Source: Chen et al. 2023 (arXiv:2302.06675), section 4.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from optsearch.proxy_tasks.registry import get_task
from optsearch.proxy_tasks.task import CHECKPOINTS, Task, TaskError
from optsearch.selection.scripts.script import TrainingScript


@dataclass(frozen=True, slots=True)
class Problem:
    """A task with a batch size, or a training script.

    Attributes:
        task: name of the task in the registry, or of the script.
        batch: examples per step; None for the task's default.
        script: the training script; None for a task.
    """

    task: str
    batch: int | None = None
    script: TrainingScript | None = None

    @property
    def name(self) -> str:
        """``X_ae``, or ``X_ae@16`` with a batch size of 16."""
        return self.task if self.batch is None else f"{self.task}@{self.batch}"

    @property
    def target(self) -> Task | TrainingScript:
        """The script or the task, both of which have a version, checkpoints and a trivial loss."""
        return self.script or self.load()

    @property
    def cost(self) -> float:
        """Approximate cost of a run, in arbitrary units; comparable between tasks."""
        if self.script is not None:
            return float(self.script.steps)
        task = self.load()
        return float(task.steps) * task.batch_size * task.parameters

    def load(self) -> Task:
        """Returns the task; its data are loaded on first use.

        Raises:
            TaskError: the problem is a script.
        """
        if self.script is not None:
            raise TaskError(f"{self.name} is a training script, which this process cannot train on as on a task")
        return _load(self)


def problems(tasks: Sequence[str], batches: Sequence[int] | None = None) -> tuple[Problem, ...]:
    """Combines every task with every batch size, in this order.

    Args:
        tasks: names of tasks, ignoring case.
        batches: batch sizes; None for each task's default.

    Raises:
        TaskError: a task does not exist, a task or batch size is duplicated, or a batch exceeds the training split.
    """
    names = [get_task(task).name for task in tasks]
    for kind, values in (("task", names), ("batch size", batches or [])):
        if len(set(values)) < len(values):
            raise TaskError(f"duplicate {kind} in {', '.join(map(str, values))}")
    found = tuple(Problem(name, batch) for name in names for batch in batches or [None])
    for problem in found:
        if problem.batch is not None:
            examples = len(get_task(problem.task).data.train[0])
            if not 1 <= problem.batch <= examples:
                raise TaskError(f"batch size {problem.batch}: '{problem.task}' has {examples} training examples")
    return found


@cache
def _load(problem: Problem) -> Task:
    task = get_task(problem.task)
    if problem.batch is None:
        return task
    steps = max(CHECKPOINTS, round(task.steps * task.batch_size / problem.batch))
    return replace(task, name=problem.name, batch_size=problem.batch, steps=steps)
