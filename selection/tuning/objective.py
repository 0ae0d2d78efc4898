"""What a tuning minimises: the validation loss on a task, or over several tasks the mean of relative losses.

The losses of two tasks have different units, and their mean would follow the task with the larger numbers. One setting
for several tasks is therefore judged by the mean over them of the validation loss divided by the loss of the task's
trivial predictor, which ignores its input. A run that fails has an infinite loss, so that a point that fails anywhere
is behind every point that trains on all tasks.

Source: Dahl et al. 2023 (arXiv:2306.07179), AlgoPerf: one setting for all workloads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from optsearch.dsl.errors import UserError
from optsearch.selection.problem import Problem


class SharedTuningError(UserError, ValueError):
    """One setting for all tasks is requested, and the tasks or the budget do not allow it."""


def units(problems: Sequence[Problem]) -> tuple[float, ...]:
    """Unit of the losses on each problem: the trivial predictor's loss, or 1 if there is one problem only.

    Raises:
        SharedTuningError: there are several problems, and one has no trivial loss above 0.
    """
    if len(problems) == 1:
        return (1.0,)
    found: list[float] = []
    for problem in problems:
        loss = problem.target.trivial_loss
        if loss is None or not 0.0 < loss < math.inf:
            has = "none" if loss is None else f"{loss:g}"
            raise SharedTuningError(
                f"task '{problem.name}': one setting for all tasks (--shared) needs a trivial loss above 0 on each of "
                f"them, in which losses are measured and averaged; this task has {has}: declare `trivial_loss` in the "
                "task, leave it out, or tune each task by itself (without --shared)"
            )
        found.append(loss)
    return tuple(found)


def objective(losses: Sequence[float], units: Sequence[float]) -> float:
    """Mean over problems of the loss in its unit; infinity if training failed on any.

    Args:
        losses: validation loss on each problem; infinity if training failed.
        units: as returned by `units`.
    """
    return math.fsum(loss / unit for loss, unit in zip(losses, units, strict=True)) / len(losses)


def check_shared(problems: Sequence[Problem], trials: int) -> None:
    """Checks that a contender can be tuned to one setting for all problems.

    Raises:
        SharedTuningError: as in `units`, or nothing is tuned.
    """
    units(problems)
    if not trials:
        raise SharedTuningError(
            "one setting for all tasks (--shared) is the result of a tuning, and nothing is tuned without trials: use "
            "at least one trial (--tune 1), or leave out --shared"
        )
