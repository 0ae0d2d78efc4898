"""A problem: a task with its own or another batch size and number of steps, or a training script of the user.

A run with another batch size sees the same number of examples, so that doubling the batch size halves the number of
steps, as in the published study of batch sizes. A horizon multiplies the number of steps, and the schedule of the
learning rate stretches with it.

Source: Chen et al. 2023 (arXiv:2302.06675), section 4.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from optsearch.proxy_tasks.registry import get_task
from optsearch.proxy_tasks.task import CHECKPOINTS, Task, TaskError
from optsearch.selection.scripts.script import TrainingScript

MOST_TIMES = 10_000
"""Largest multiple of a number of steps."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A task with a batch size and a horizon, or a training script.

    Attributes:
        task: name of the task in the registry, or of the script.
        batch: examples per step; None for the task's default.
        script: the training script, with the steps of the horizon; None for a task.
        horizon: multiple of the task's number of steps, or of the smallest budget of a script; None if there are no
            others in the comparison.
    """

    task: str
    batch: int | None = None
    script: TrainingScript | None = None
    horizon: float | None = None

    @classmethod
    def named(cls, name: str) -> Problem:
        """The problem of a name such as ``X_ae@16@4x``.

        Raises:
            TaskError: it is the name of no task with a batch size and a horizon.
        """
        task, *rest = name.split("@")
        try:
            batch = next((int(part) for part in rest if not part.endswith("x")), None)
            horizon = next((float(part[:-1]) for part in rest if part.endswith("x")), None)
        except ValueError:
            batch = horizon = None
        (found,) = problems([task], None if batch is None else [batch], None if horizon is None else [horizon])
        if found.name != name:
            raise TaskError(f"'{name}' is no task, with a batch size and a horizon as in X_ae@16@4x")
        return found

    @property
    def setting(self) -> str:
        """``X_ae``, or ``X_ae@16`` with a batch size of 16, without the horizon."""
        return self.task if self.batch is None else f"{self.task}@{self.batch}"

    @property
    def name(self) -> str:
        """The setting, with the horizon as in ``X_ae@16@4x``."""
        return self.setting if self.horizon is None else f"{self.setting}@{self.horizon:g}x"

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


def problems(
    tasks: Sequence[str], batches: Sequence[int] | None = None, horizons: Sequence[float] | None = None
) -> tuple[Problem, ...]:
    """Combines every task with every batch size and every horizon, in this order.

    Args:
        tasks: names of tasks, ignoring case.
        batches: batch sizes; None for each task's default.
        horizons: multiples of each task's number of steps; None for its own number.

    Raises:
        TaskError: a task does not exist; a task, batch size or horizon is duplicated; a batch exceeds the training
            split; or a horizon is not positive, or leaves fewer steps than a run has checkpoints.
    """
    names = [get_task(task).name for task in tasks]
    for kind, values in (("task", names), ("batch size", batches or []), ("number of steps", horizons or [])):
        if len(set(values)) < len(values):
            raise TaskError(f"duplicate {kind} in {', '.join(map(str, values))}")
    found = tuple(
        Problem(name, batch, horizon=horizon)
        for name in names
        for batch in batches or [None]
        for horizon in horizons or [None]
    )
    for problem in found:
        if problem.batch is not None:
            examples = get_task(problem.task).examples[0]
            if not 1 <= problem.batch <= examples:
                raise TaskError(f"batch size {problem.batch}: '{problem.task}' has {examples} training examples")
        if problem.horizon is not None:
            if not 0.0 < problem.horizon <= MOST_TIMES:
                raise TaskError(f"{problem.horizon:g}x the steps: the multiple must lie between 0 and {MOST_TIMES:,}")
            own = replace(problem, horizon=None).load().steps
            if round(own * problem.horizon) < CHECKPOINTS:
                raise TaskError(
                    f"{problem.horizon:g}x the steps: '{problem.setting}' has {own}, and a run needs at least "
                    f"{CHECKPOINTS}"
                )
    return found


@cache
def _load(problem: Problem) -> Task:
    task = get_task(problem.task)
    if problem.batch is not None:
        steps = max(CHECKPOINTS, round(task.steps * task.batch_size / problem.batch))
        task = replace(task, name=problem.name, batch_size=problem.batch, steps=steps)
    if problem.horizon is not None:
        task = replace(task, name=problem.name, steps=round(task.steps * problem.horizon))
    return task
