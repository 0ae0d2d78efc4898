"""Tuning with equal budgets: every contender gets the same number of trials from the same kind of search space.

Trials are grouped into rounds. The first round places quasi-random points in three decades of every dimension around
the reference. Each later round does so around the best point so far, with half the width. The width is unchanged in
dimensions in which the best point lies near the edge, and doubles if all points failed: the space is unbounded. Within
a round, successive halving reserves the later tuning seeds for the better points.

Results are measured on separate, fresh seeds, because the loss of the best of many trials is biased downwards.
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
"""Number of fresh seeds per purpose: `evaluate` uses the first block, each stage of a funnel its own block."""

TUNING_SEEDS = 3
"""Default number of tuning seeds."""

TRIALS = 24
"""Default number of trials."""

POINTS = 6
"""Points per round. On noisy quadratic surfaces in two and three dimensions, 24 trials in rounds of six end a third
closer to the minimum loss than in rounds of eight or four, and equally close in four or five dimensions.
"""

EDGE = 0.5
"""Fraction of the half width beyond which a point counts as near the edge."""


COARSE = 0.5
"""Half width in decades below which a best point near the edge is not informative."""


class SeedError(UserError, ValueError):
    """More seeds were requested than exist."""


def fresh_seeds(count: int, block: int = 0) -> tuple[int, ...]:
    """Returns the first ``count`` seeds of a block that neither search nor tuning uses.

    Raises:
        SeedError: the block is too small.
    """
    first = SELECTION.start + block * BLOCK
    if count > BLOCK or first + count > SELECTION.stop:
        raise SeedError(f"{count:,} fresh seeds requested, {BLOCK:,} available for this purpose: request fewer")
    return tuple(range(first, first + count))


def tuning_seeds(count: int = TUNING_SEEDS) -> tuple[int, ...]:
    """Returns the first ``count`` tuning seeds."""
    return tuple(TUNING[:count])


@dataclass(frozen=True, slots=True)
class TuningBudget:
    """Tuning budget of each contender.

    Attributes:
        trials: number of points; 0 to use the reference without tuning.
        seeds: the tuning seeds.
        constants: if True, constants are tuned in addition to learning rate and weight decay.
    """

    trials: int = TRIALS
    seeds: tuple[int, ...] = tuning_seeds()
    constants: bool = False

    @property
    def rounds(self) -> list[int]:
        """Number of points of each round."""
        count = max(1, self.trials // POINTS) if self.trials else 0
        return [self.trials // count + (number < self.trials % count) for number in range(count)]

    @property
    def runs(self) -> int:
        """Number of training runs of one contender on one problem."""
        return sum(sum(self.survivors(points)) for points in self.rounds)

    def survivors(self, points: int) -> list[int]:
        """Number of a round's points trained on each tuning seed: the better half advances, at least one."""
        return [max(1, math.ceil(points / 2**number)) for number in range(len(self.seeds))]


@dataclass(frozen=True, slots=True)
class Trial:
    """One evaluated point.

    Attributes:
        values: the point.
        losses: validation loss on each tuning seed that it reached, in order; infinity if training failed.
    """

    values: Values
    losses: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean of the losses."""
        return math.fsum(self.losses) / len(self.losses)


@dataclass(frozen=True, slots=True)
class Tuned:
    """Result of a tuning.

    Attributes:
        values: point of lowest mean loss among those trained on every tuning seed.
        loss: that mean loss; infinity if every point failed, None without tuning.
        at_edge: True if the best point of the last round lies near its edge, or all points failed: the optimum may lie
            outside.
        trials: all points, in order of evaluation.
    """

    values: Values
    loss: float | None
    at_edge: bool
    trials: tuple[Trial, ...]


def tune(
    contender: Contender, problem: Problem, budget: TuningBudget
) -> Generator[list[TrainingJob], list[Trained], Tuned]:
    """Tunes a contender, as a generator that yields training runs and receives their results.

    Args:
        contender: the contender to tune.
        problem: task and batch size.
        budget: tuning budget.

    Yields:
        Jobs that may execute concurrently.

    Returns:
        The result of the tuning.
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
    """Trains all points on the first seed, the better half on the second, and so on."""
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
