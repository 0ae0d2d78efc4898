"""Loss against tuning budget: the loss of the point that a tuning would have selected after fewer trials.

Computed from the recorded trials, in the order in which they were tried, without further training. A point can be
selected once it has been trained on every tuning seed, as in `tuning`; in a round the seeds after the first are for the
better points, and whether a point gets them depends on the whole round. The loss is the validation loss on the tuning
seeds by which the point was selected, so that it is lower than what the point has on other seeds, the more trials, the
more so: the curve shows how the tuning progresses, and compares no optimizers.

Source: Dodge et al. 2019 (arXiv:1909.03004), Show Your Work, for results as a function of the tuning budget.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from optsearch.selection.statistics.intervals import Interval, mean_interval
from optsearch.selection.tuning.tuner import Trial


@dataclass(frozen=True, slots=True)
class TuningCurve:
    """Loss of a contender on a task against the number of trials.

    Attributes:
        task: name of the task.
        contender: name of the contender.
        losses: after each trial the mean over replicates of the validation loss of the selected point, with Student's
            interval; None until a point can be selected in every replicate, and while the selected point of one fails.
    """

    task: str
    contender: str
    losses: tuple[Interval | None, ...]


def tuning_curve(task: str, contender: str, replicates: Sequence[Sequence[Trial]]) -> TuningCurve:
    """Computes the curve of a contender on a task.

    Args:
        task: name of the task.
        contender: name of the contender.
        replicates: trials of each tuning in the order tried, equally many for each.
    """
    curves = [_selected(trials) for trials in replicates]
    means = [mean_interval(losses) if all(map(math.isfinite, losses)) else None for losses in zip(*curves, strict=True)]
    return TuningCurve(task, contender, tuple(means))


def _selected(trials: Sequence[Trial]) -> list[float]:
    """After each trial the loss of the selected point; infinity if none can be selected, or if it failed."""
    seeds = max((len(trial.losses) for trial in trials), default=0)
    found: list[float] = []
    best: Trial | None = None
    for trial in trials:
        if len(trial.losses) == seeds and (best is None or trial.objective < best.objective):
            best = trial
        found.append(math.inf if best is None else best.mean)
    return found
