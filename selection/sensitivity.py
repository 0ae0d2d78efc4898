"""How much a contender minds its settings: loss against learning rate, and against learning rate and weight decay.

Read from the trials of its tuning, all on the first tuning seed, which every trial has. Trials crowd around the best,
so they are sorted into cells of equal size on logarithmic axes and the lowest loss of each cell counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from optsearch.selection.space import DECAY, RATE
from optsearch.selection.tuning import Trial

CELLS = 4
"""Cells in a decade of the learning rate; half as many in a decade of weight decay and in the heat map."""

TOLERANCE = 0.05
"""Share by which a loss may be higher to count as nearly the best."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Where trials lie, and the lowest loss among them.

    Attributes:
        rate: middle of the cell, in the unit of the trials' rates.
        decay: middle of the cell; None where weight decay is not looked at.
        loss: lowest validation loss on the first tuning seed; infinite where all of the cell failed.
    """

    rate: float
    decay: float | None
    loss: float


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """Attributes:
    curve: cells by learning rate, lowest first.
    heat_map: cells by learning rate and weight decay; empty where a contender has no decay.
    good_rates: lowest and highest rate of a trial whose loss is nearly the best; None when every trial failed.
    """

    curve: tuple[Cell, ...]
    heat_map: tuple[Cell, ...]
    good_rates: tuple[float, float] | None


def sensitivity(trials: Sequence[Trial]) -> Sensitivity:
    """What the trials of a tuning say about a contender's sensitivity."""
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
