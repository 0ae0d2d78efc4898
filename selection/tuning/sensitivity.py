"""Hyperparameter sensitivity: loss against learning rate, and against learning rate and weight decay.

Computed from the tuning trials on the first tuning seed, which every trial has. Trials concentrate around the optimum,
so they are binned into cells of equal size on logarithmic axes, and each cell takes its lowest loss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from optsearch.selection.space import DECAY, RATE
from optsearch.selection.tuning.tuner import Trial

CELLS = 4
"""Cells per decade of the learning rate; half as many per decade of weight decay, and in the heat map."""

TOLERANCE = 0.05
"""Relative tolerance within which a loss counts as nearly the best."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of hyperparameter space and the lowest loss of its trials.

    Attributes:
        rate: centre of the cell, in the unit of the trials' rates.
        decay: centre of the cell; None if weight decay is not an axis.
        loss: lowest validation loss on the first tuning seed; infinity if all trials of the cell failed.
    """

    rate: float
    decay: float | None
    loss: float


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Attributes:
    curve: cells by learning rate, in increasing order.
    heat_map: cells by learning rate and weight decay; empty if the contender has no weight decay.
    good_rates: lowest and highest rate of a trial whose loss is nearly the best; None if every trial failed.
    """

    curve: tuple[Cell, ...]
    heat_map: tuple[Cell, ...]
    good_rates: tuple[float, float] | None


def sensitivity(trials: Sequence[Trial]) -> Sensitivity:
    """Computes a contender's sensitivity from its tuning trials."""
    points = [(dict(trial.values), trial.losses[0]) for trial in trials]
    best = min((loss for _, loss in points), default=math.inf)
    limit = best + TOLERANCE * abs(best)
    good = [values[RATE] for values, loss in points if loss <= limit < math.inf]
    curve: dict[int, float] = {}
    heat: dict[tuple[int, int], float] = {}
    for values, loss in points:
        place = _cell(values[RATE], CELLS)
        curve[place] = min(curve.get(place, math.inf), loss)
        if values.get(DECAY):
            both = _cell(values[RATE], CELLS // 2), _cell(abs(values[DECAY]), CELLS // 2)
            heat[both] = min(heat.get(both, math.inf), loss)
    return Sensitivity(
        tuple(Cell(_middle(place, CELLS), None, loss) for place, loss in sorted(curve.items())),
        tuple(Cell(_middle(x, CELLS // 2), _middle(y, CELLS // 2), loss) for (x, y), loss in sorted(heat.items())),
        (min(good), max(good)) if good else None,
    )


def _cell(value: float, cells: int) -> int:
    return math.floor(math.log10(value) * cells)


def _middle(place: int, cells: int) -> float:
    return 10.0 ** ((place + 0.5) / cells)
