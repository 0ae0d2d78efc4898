"""Differences against the number of steps: whether a lead grows, holds or fades over longer training.

A task is trained at several horizons, multiples of its number of steps, and every contender is tuned again at each. A
replicate of a program is paired with the replicate of its opponent that has the same fresh seeds, so that there is one
difference for each replicate and horizon, and one slope for each replicate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optsearch.selection.comparison.comparison import UNREPLICATED, Losses, Trivial, counted_losses
from optsearch.selection.statistics.intervals import Interval, mean_interval

GROWS, HOLDS, FADES, UNDECIDED = "grows", "holds", "fades", "undecided"


@dataclass(frozen=True, slots=True)
class Trend:
    """Difference between a program and an opponent on a task, at several numbers of steps.

    Attributes:
        task: name of the task, with the batch size unless it is the task's default.
        contender: name of the program.
        opponent: name of a baseline, or of a family, of which the best member at each horizon counts.
        tasks: name of the task at each horizon, in order of the steps.
        steps: number of steps at each horizon.
        differences: mean loss of the program minus the opponent's at each horizon, with an interval over paired
            replicates; negative if the program is better.
        slope: change of the difference for each doubling of the steps, by least squares, with an interval over
            replicates. Without ends for a single replicate.
        verdict: ``grows`` if the slope is shown to be negative, ``fades`` if it is shown to be positive; else ``holds``
            if the program is shown to be better at the most steps, or ``undecided``. `UNREPLICATED` for a single
            replicate. The intervals are not corrected for the number of comparisons.
    """

    task: str
    contender: str
    opponent: str
    tasks: tuple[str, ...]
    steps: tuple[int, ...]
    differences: tuple[Interval, ...]
    slope: Interval
    verdict: str


def trends(
    losses: Losses, horizons: Mapping[str, Sequence[tuple[str, int]]], programs: Sequence[str], trivial: Trivial
) -> tuple[Trend, ...]:
    """Compares each program with each baseline and family over the horizons of each task.

    Args:
        losses: losses of programs, baselines and families.
        horizons: for each task the name of the task at each horizon and its steps; tasks with a single horizon are
            left out.
        programs: names of the programs.
        trivial: losses of trivial predictors.
    """
    found: list[Trend] = []
    for task, places in horizons.items():
        ordered = sorted(places, key=lambda place: place[1])
        if len(ordered) < 2:
            continue
        names, steps = [name for name, _ in ordered], [steps for _, steps in ordered]
        counted = [counted_losses(losses[name], trivial[name]) for name in names]
        for mine in programs:
            for other in counted[0]:
                if other not in programs:
                    rows = [[a - b for a, b in zip(one[mine], one[other], strict=True)] for one in counted]
                    found.append(_trend(task, mine, other, names, steps, rows))
    return tuple(found)


def _trend(
    task: str, mine: str, other: str, names: Sequence[str], steps: Sequence[int], rows: Sequence[Sequence[float]]
) -> Trend:
    """The trend of differences, given for each horizon and replicate."""
    differences = tuple(mean_interval(row) for row in rows)
    slope = mean_interval([_slope(steps, each) for each in zip(*rows, strict=True)])
    return Trend(task, mine, other, tuple(names), tuple(steps), differences, slope, _verdict(differences[-1], slope))


def _slope(steps: Sequence[int], values: Sequence[float]) -> float:
    """Least-squares slope of values against the logarithm of the steps to base 2."""
    places = [math.log2(step) for step in steps]
    middle, mean = math.fsum(places) / len(places), math.fsum(values) / len(values)
    above = math.fsum((x - middle) * (y - mean) for x, y in zip(places, values, strict=True))
    return above / math.fsum((x - middle) ** 2 for x in places)


def _verdict(last: Interval, slope: Interval) -> str:
    if slope.low is None or slope.high is None or last.high is None:
        return UNREPLICATED
    if slope.high < 0.0:
        return GROWS
    if slope.low > 0.0:
        return FADES
    return HOLDS if last.high < 0.0 else UNDECIDED
