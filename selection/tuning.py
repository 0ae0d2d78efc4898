"""One learning-rate grid for every contender, so that nobody wins by being tuned better.

The grid multiplies the contender's own reference rate. Rates are tuned by mean validation loss on seeds of their own;
results come from other, fresh seeds, because the best of many tuning runs looks better than it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proxy_tasks.outcome import Outcome, TrainingResult

GRID = tuple(10.0 ** (half_decade / 2) for half_decade in range(-4, 5))
"""Factors on the reference rate: half-decades from 1e-2 to 1e2."""

FRESH_SEEDS_FROM = 1_000_000_000
"""First of the seeds that only final results use; searches use seeds below."""

TUNING_SEEDS_FROM = 2_000_000_000
"""First of the seeds that only tuning uses."""

TUNING_SEEDS = 3
"""Number of tuning seeds unless asked otherwise."""


def fresh_seeds(count: int) -> tuple[int, ...]:
    """The first ``count`` seeds that neither search nor tuning uses."""
    return tuple(range(FRESH_SEEDS_FROM, FRESH_SEEDS_FROM + count))


def tuning_seeds(count: int = TUNING_SEEDS) -> tuple[int, ...]:
    """The first ``count`` seeds for tuning."""
    return tuple(range(TUNING_SEEDS_FROM, TUNING_SEEDS_FROM + count))


@dataclass(frozen=True, slots=True)
class Tuned:
    """What tuning chose.

    Attributes:
        factor: chosen point of the grid.
        loss: its mean validation loss on the tuning seeds; infinite when every point failed on some seed.
        at_edge: whether it is the first or last point of the grid, so that the best may lie outside.
        losses: mean validation loss at each point of the grid; infinite where a run failed.
    """

    factor: float
    loss: float
    at_edge: bool
    losses: tuple[float, ...]


def choose(results: Mapping[float, Sequence[TrainingResult]]) -> Tuned:
    """The point of the grid with the lowest mean validation loss; a run that failed counts as infinitely bad.

    Args:
        results: for each factor of the grid, in rising order, its runs on the tuning seeds.

    Returns:
        What was chosen: of equal losses the one whose factor is closest to 1.

    Raises:
        ValueError: the grid is empty.
    """
    if not results:
        raise ValueError("the learning-rate grid is empty")
    losses = {factor: _mean_loss(runs) for factor, runs in results.items()}
    best = min(losses, key=lambda factor: (losses[factor], abs(math.log(factor)), factor))
    edge = len(losses) > 1 and best in (min(losses), max(losses))
    return Tuned(best, losses[best], edge, tuple(losses.values()))


def _mean_loss(runs: Sequence[TrainingResult]) -> float:
    losses = [run.loss for run in runs if run.outcome is Outcome.OK and run.loss is not None]
    if not losses or len(losses) < len(runs):
        return math.inf
    return math.fsum(losses) / len(losses)
