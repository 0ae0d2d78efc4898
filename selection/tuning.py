"""Tuning: the same number of trials from the same kind of space for every contender, so that nobody wins by it.

Trials come in rounds. The first spreads quasi-random points over three decades of every dimension around the reference;
each further round does so around the best point so far, half as wide, but as wide as before in dimensions in which the
best lay near the edge, and twice as wide when all points failed: the space has no end. Within a round successive
halving leaves the later tuning seeds to the better points.

Results come from other, fresh seeds, because the best of many trials looks better than it is.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from optsearch.dsl.errors import UserError
from optsearch.proxy_tasks.outcome import Outcome
from optsearch.proxy_tasks.run import Trained
from optsearch.proxy_tasks.seeds import SELECTION, TUNING
from optsearch.selection.contender import Contender, TrainingJob
from optsearch.selection.problem import Problem
from optsearch.selection.space import Dimension, Values

BLOCK = 100_000
"""Fresh seeds of one purpose: `evaluate` has the first block, each stage of a funnel one of its own."""

TUNING_SEEDS = 3
"""Number of tuning seeds unless asked otherwise."""

TRIALS = 24
"""Number of trials unless asked otherwise."""

POINTS = 6
"""Points of a round: on noisy quadratic surfaces in two and three dimensions 24 trials in rounds of six end a third
nearer to the lowest loss than in rounds of eight or four, and in four or five dimensions as near.
"""

EDGE = 0.5
"""Share of the half width from which on a point lies near the edge."""


COARSE = 0.5
"""Half width in decades below which it says nothing that the best lay near the edge."""


class SeedError(UserError, ValueError):
    """There are not as many seeds as were asked for."""


def fresh_seeds(count: int, block: int = 0) -> tuple[int, ...]:
    """The first ``count`` seeds of a block that neither search nor tuning uses.

    Raises:
        SeedError: the block has fewer.
    """
    first = SELECTION.start + block * BLOCK
    if count > BLOCK or first + count > SELECTION.stop:
        raise SeedError(f"{count:,} fresh seeds were asked for and {BLOCK:,} are left for this purpose: ask for fewer")
    return tuple(range(first, first + count))


def tuning_seeds(count: int = TUNING_SEEDS) -> tuple[int, ...]:
    """The first ``count`` seeds for tuning."""
    return tuple(TUNING[:count])


@dataclass(frozen=True, slots=True)
class TuningBudget:
    """What every contender gets.

    Attributes:
        trials: points that are tried; 0 to take the reference as it is.
        seeds: the tuning seeds.
        constants: whether constants are tuned too, beside rate and weight decay.
    """

    trials: int = TRIALS
    seeds: tuple[int, ...] = tuning_seeds()
    constants: bool = False

    @property
    def rounds(self) -> list[int]:
        """Points of each round."""
        count = max(1, self.trials // POINTS) if self.trials else 0
        return [self.trials // count + (number < self.trials % count) for number in range(count)]

    @property
    def runs(self) -> int:
        """Training runs for one contender on one problem."""
        return sum(sum(self.survivors(points)) for points in self.rounds)

    def survivors(self, points: int) -> list[int]:
        """How many of a round's points are run on each tuning seed: always the better half goes on, at least one."""
        return [max(1, math.ceil(points / 2**number)) for number in range(len(self.seeds))]


@dataclass(frozen=True, slots=True)
class Trial:
    """One point that was tried.

    Attributes:
        values: the point.
        losses: validation loss on each tuning seed that it reached, in their order; infinite where it failed.
    """

    values: Values
    losses: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean of the losses."""
        return math.fsum(self.losses) / len(self.losses)


@dataclass(frozen=True, slots=True)
class Tuned:
    """What tuning chose.

    Attributes:
        values: the point of lowest mean loss of those that were run on every tuning seed.
        loss: that mean; infinite when every point failed, None without tuning.
        at_edge: whether the last round still found the best near its edge, or all failed: the optimum may lie outside.
        trials: all points, in the order in which they were tried.
    """

    values: Values
    loss: float | None
    at_edge: bool
    trials: tuple[Trial, ...]


def tune(
    contender: Contender, problem: Problem, budget: TuningBudget
) -> Generator[list[TrainingJob], list[Trained], Tuned]:
    """Tunes a contender; it asks for training runs and is told their results.

    Args:
        contender: who.
        problem: on what.
        budget: how much.

    Yields:
        Jobs that may run at the same time.

    Returns:
        What was chosen.
    """
    space = contender.space(constants=budget.constants)
    center, widths = [0.0] * len(space), [dimension.decades for dimension in space]
    best: tuple[float, Values] = (math.inf, _values(space, center))
    trials: list[Trial] = []
    at_edge = False
    for points in budget.rounds:
        places = [_place(center, widths, len(trials) + index) for index in range(points)]
        tried = yield from _halving(contender, problem, budget, [_values(space, place) for place in places])
        trials += tried
        full = [(trial.mean, index) for index, trial in enumerate(tried) if len(trial.losses) == len(budget.seeds)]
        loss, index = min(full)
        failed, near = best[0] == loss == math.inf, [False] * len(space)
        if loss < best[0]:
            moves = zip(places[index], center, widths, strict=True)
            near = [abs(after - before) >= EDGE * width for after, before, width in moves]
            best, center = (loss, tried[index].values), places[index]
        at_edge = failed or any(edge and width > COARSE for edge, width in zip(near, widths, strict=True))
        factors = [2.0 if failed else 1.0 if edge else 0.5 for edge in near]
        widths = [width * factor for width, factor in zip(widths, factors, strict=True)]
    return Tuned(best[1], best[0] if trials else None, at_edge, tuple(trials))


def _halving(
    contender: Contender, problem: Problem, budget: TuningBudget, points: Sequence[Values]
) -> Generator[list[TrainingJob], list[Trained], list[Trial]]:
    """Runs all points on the first seed, the better half on the second, and so on."""
    losses: list[list[float]] = [[] for _ in points]
    alive = list(range(len(points)))
    for seed, count in zip(budget.seeds, budget.survivors(len(points)), strict=True):
        alive = sorted(alive, key=lambda index: (math.fsum(losses[index]), index))[:count]
        results = yield [TrainingJob(contender, problem, points[index], seed) for index in alive]
        for index, trained in zip(alive, results, strict=True):
            losses[index].append(_loss(trained))
    return [Trial(values, tuple(found)) for values, found in zip(points, losses, strict=True)]


def _loss(trained: Trained) -> float:
    result = trained.result
    return result.loss if result.outcome is Outcome.OK and result.loss is not None else math.inf


def _values(space: Sequence[Dimension], place: Sequence[float]) -> Values:
    return tuple((dimension.name, dimension.at(at)) for dimension, at in zip(space, place, strict=True))


def _place(center: Sequence[float], widths: Sequence[float], number: int) -> list[float]:
    """A point of the box around ``center``; number 0 is the center, the others fill the box evenly.

    Source: the additive recurrence of the generalised golden ratio (Roberts 2018), a Kronecker sequence.
    """
    ratio = 1.5
    for _ in range(60):
        ratio = (1.0 + ratio) ** (1.0 / (len(center) + 1))
    shares = [(0.5 + number * ratio ** -(index + 1)) % 1.0 for index in range(len(center))]
    return [at + width * (2.0 * share - 1.0) for at, width, share in zip(center, widths, shares, strict=True)]
