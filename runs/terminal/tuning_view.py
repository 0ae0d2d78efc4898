"""Text output about the tunings of an evaluation: loss against learning rate, and against tuning budget.

This module only formats; it computes no results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from optsearch.runs.terminal.tables import say, table
from optsearch.runs.text.phrasing import interval_bounds, number, rate_factor

if TYPE_CHECKING:
    from optsearch.selection.comparison.evaluation import Evaluation
    from optsearch.selection.statistics.intervals import Interval

FAILED = " !"
"""Marks a rate at which the tuned point of a replicate does not train."""


def rate_sensitivity(found: Evaluation, task: str) -> None:
    """Prints the loss at multiples of the tuned rates on a task, if it was measured."""
    rows = [row for row in found.rate_sensitivity if row.task == task]
    if not rows:
        return
    over = f"mean over {found.replicates} replicates and half its 95 % interval" if found.replicates > 1 else "one seed"
    say(
        f"Validation loss at multiples of the tuned rate, all else fixed ({over}), and the range within 5 %, which may "
        "go beyond the outer rates:"
    )
    names = [rate_factor(one.factor) for one in rows[0].losses]
    cells: list[list[object]] = []
    for row in rows:
        means = [number(one.loss and one.loss.mean, 4) + FAILED * bool(one.failed) for one in row.losses]
        good = "-" if row.good_factors is None else " to ".join(map(rate_factor, row.good_factors))
        cells.append([row.contender, *means, good, None if row.width is None else f"{row.width:g} x"])
        if found.replicates > 1:
            cells.append(["  +/-", *(number(_half(one.loss), 4) for one in row.losses), "", ""])
    table(["contender", *names, "range", "width"], cells, right=[*names, "width"])
    if any(one.failed for row in rows for one in row.losses):
        say(f"{FAILED} runs at this rate failed, and are left out")


def _half(interval: Interval | None) -> float | None:
    """Half the width of a symmetric interval; None for one without ends."""
    return None if interval is None or interval.high is None else interval.high - interval.mean


def tuning_curves(found: Evaluation, task: str) -> None:
    """Prints the loss that tuning would have reached with a quarter and half of its trials, and with all."""
    curves = [curve for curve in found.tuning_curves if curve.task == task]
    if not curves:
        return
    trials = found.budget.trials
    counts = list(dict.fromkeys([-(-trials // 4), -(-trials // 2), trials]))
    say("Validation loss of the point selected so far, on tuning seeds; selection makes it lower than on other seeds:")
    names = [f"{count} trial{'s' * (count > 1)}" for count in counts]
    cells: list[list[object]] = []
    for curve in curves:
        points = [curve.losses[count - 1] for count in counts]
        losses = [None if point is None else f"{number(point.mean)} {interval_bounds(point)}" for point in points]
        cells.append([curve.contender, *losses])
    table(["contender", *names], cells)
