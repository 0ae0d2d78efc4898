"""Tuning with equal budgets: every contender gets the same number of trials from ranges that are declared in advance.

The first half of the trials covers the whole space: the contender's own settings, the best points of the baselines that
it contains, and points of a scrambled Sobol sequence. The second half proceeds in rounds around the best point so far,
in a box that shrinks from round to round. Within a round, successive halving reserves the later tuning seeds for the
better points.

A tuning is one draw: other points and other tuning seeds give other settings, and the difference is often larger than
that between two optimizers. `evaluate` therefore repeats the tuning with other points and seeds (replicates). Results
are measured on separate, fresh seeds, because the loss of the best of many trials is biased downwards.

One setting can be tuned for several problems together: a trial is then one point that is trained on all of them, and
`objective` compares the points.

Sources: Dahl et al. 2023 (arXiv:2306.07179) for declared spaces and quasi-random search; Jamieson and Talwalkar 2016
(arXiv:1502.07943) for successive halving; the sampler was chosen by `benchmarks/tuner.py`.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from optsearch.dsl.errors import UserError
from optsearch.proxy_tasks.outcome import Outcome
from optsearch.proxy_tasks.run import Trained
from optsearch.proxy_tasks.seeds import SELECTION, TUNING
from optsearch.selection.contender import Contender, TrainingJob
from optsearch.selection.problem import Problem
from optsearch.selection.space import KINDS, Dimension, Ranges, Values
from optsearch.selection.tuning.objective import objective, units

BLOCK = 100_000
"""Number of fresh seeds per purpose: `evaluate` uses the first block, each stage of a funnel its own block."""

PER_REPLICATE = 2_000
"""Number of fresh seeds of a replicate within a block."""

TUNING_SEEDS = 3
"""Default number of tuning seeds of a replicate."""

TRIALS = 24
"""Default number of trials."""

POINTS = 6
"""Points in each round of the local half."""

WIDTH = 0.2
"""Half width of the first local box, as a fraction of the range."""

SHRINK = 0.6
"""Factor on the half widths after each local round."""

MARGIN = 0.02
"""Fraction of a range within which a value counts as at its end."""


class SeedError(UserError, ValueError):
    """More seeds were requested than exist."""


def fresh_seeds(count: int, block: int = 0, replicate: int = 0, skipped: int = 0) -> tuple[int, ...]:
    """Returns seeds that neither search nor tuning uses.

    Args:
        count: number of seeds.
        block: purpose of the seeds, from 0.
        replicate: index of the replicate, from 0; replicates share no seeds.
        skipped: number of seeds of the replicate to skip, because an earlier comparison has used them.

    Raises:
        SeedError: the block or the replicate is too small.
    """
    first = SELECTION.start + block * BLOCK + replicate * PER_REPLICATE
    if skipped + count > PER_REPLICATE:
        raise SeedError(
            f"{skipped + count:,} fresh seeds requested for each replicate, {PER_REPLICATE:,} available: request fewer"
        )
    if (replicate + 1) * PER_REPLICATE > BLOCK or first + PER_REPLICATE > SELECTION.stop:
        raise SeedError(f"replicate {replicate + 1} requested, {BLOCK // PER_REPLICATE} available: request fewer")
    return tuple(range(first + skipped, first + skipped + count))


@dataclass(frozen=True, slots=True)
class TuningBudget:
    """Tuning budget of each contender, on each task and in each replicate.

    Attributes:
        trials: number of points; 0 to use the reference without tuning.
        seeds: number of tuning seeds; each replicate has its own.
        constants: if True, constants are tuned in addition to learning rate and weight decay.
        ranges: declared ranges that replace the defaults of their kinds.
    """

    trials: int = TRIALS
    seeds: int = TUNING_SEEDS
    constants: bool = True
    ranges: Ranges = ()

    @property
    def rounds(self) -> tuple[int, ...]:
        """Number of points of each round; the first round covers the whole space."""
        if not self.trials:
            return ()
        local = self.trials // 2
        count = math.ceil(local / POINTS)
        return (self.trials - local, *(local // count + (number < local % count) for number in range(count)))

    @property
    def runs(self) -> int:
        """Number of training runs of one tuning of one contender, on each task."""
        return sum(sum(self.survivors(points)) for points in self.rounds)

    def survivors(self, points: int) -> list[int]:
        """Number of a round's points trained on each tuning seed: the better half advances, at least one."""
        return [max(1, math.ceil(points / 2**number)) for number in range(self.seeds)]

    def seeds_of(self, replicate: int) -> tuple[int, ...]:
        """Tuning seeds of a replicate; replicates share none."""
        return tuple(TUNING[replicate * self.seeds : (replicate + 1) * self.seeds])


@dataclass(frozen=True, slots=True)
class Trial:
    """One evaluated point on one problem.

    Attributes:
        values: the point.
        losses: validation loss on each tuning seed that it reached, in order; infinity if training failed.
        objective: what the tuning minimises, as a mean over these seeds: the loss, or over several problems the
            `objective` of their losses.
    """

    values: Values
    losses: tuple[float, ...]
    objective: float

    @property
    def mean(self) -> float:
        """Mean of the losses."""
        return math.fsum(self.losses) / len(self.losses)


@dataclass(frozen=True, slots=True)
class Tuned:
    """Result of a tuning on one problem.

    Attributes:
        values: point of lowest objective among those trained on every tuning seed.
        loss: its mean validation loss on this problem; infinity if a run failed, None without tuning.
        objective: its objective, equal to ``loss`` for a tuning on one problem; infinity if every point failed, None
            without tuning.
        at_edge: True if the point lies at an end of a range beyond which a better value may exist, or every point
            failed. The end of a range that switches something off, such as a decay of 0, is none.
        trials: all points, in order of evaluation.
    """

    values: Values
    loss: float | None
    objective: float | None
    at_edge: bool
    trials: tuple[Trial, ...]


def tune(
    contender: Contender,
    problems: Sequence[Problem],
    budget: TuningBudget,
    replicate: int = 0,
    starts: Sequence[Values] = (),
) -> Generator[list[TrainingJob], list[Trained], tuple[Tuned, ...]]:
    """Tunes a contender to one setting, as a generator that yields training runs and receives their results.

    Args:
        contender: the contender to tune.
        problems: tasks with batch sizes, at least one. Each trial is trained on all of them.
        budget: tuning budget.
        replicate: index of the replicate, which determines the points and the tuning seeds.
        starts: further points of the first round, besides the contender's own settings; they count as trials. A missing
            value is the contender's own. Values may lie outside their ranges, such as a decay of 0.

    Yields:
        Jobs that may execute concurrently.

    Returns:
        The result on each problem, in order; all have the same points and the same selected point.

    Raises:
        SharedTuningError: there are several problems, and one has no trivial loss above 0.
        SpaceError: a declared range excludes a setting of the contender.
    """
    space = contender.space(constants=budget.constants, ranges=budget.ranges)
    own: Values = tuple((row.name, row.reference) for row in space)
    if not budget.rounds:
        return tuple(Tuned(own, None, None, at_edge=False, trials=()) for _ in problems)
    first, *local = budget.rounds
    given = [own, *(_filled(space, values) for values in starts)]
    points = list(dict.fromkeys(given))[:first]
    points += [point(space, place) for place in spread(len(space), first - len(points), replicate, 0)]
    tried = yield from halving(contender, problems, budget.seeds_of(replicate), points)
    widths = [WIDTH] * len(space)
    for number, count in enumerate(local, start=1):
        center = [row.share(value) for row, (_, value) in zip(space, _best(tried, budget)[0].values, strict=True)]
        box = [(max(at - width, 0.0), min(at + width, 1.0)) for at, width in zip(center, widths, strict=True)]
        shares = spread(len(space), count, replicate, number)
        places = [[low + share * (high - low) for share, (low, high) in zip(row, box, strict=True)] for row in shares]
        points = [point(space, place) for place in places]
        tried += yield from halving(contender, problems, budget.seeds_of(replicate), points)
        widths = [width * SHRINK for width in widths]
    best = _best(tried, budget)
    values, lowest = best[0].values, best[0].objective
    edges = lowest == math.inf or any(_at_edge(row, value) for row, (_, value) in zip(space, values, strict=True))
    return tuple(
        Tuned(values, trial.mean, lowest, edges, tuple(row[place] for row in tried)) for place, trial in enumerate(best)
    )


def _best(tried: Sequence[Sequence[Trial]], budget: TuningBudget) -> Sequence[Trial]:
    """The point of lowest objective among those trained on every seed; the earlier one of equal points."""
    return min((row for row in tried if len(row[0].losses) == budget.seeds), key=lambda row: row[0].objective)


def _at_edge(row: Dimension, value: float) -> bool:
    share, ends = row.share(value), KINDS[row.kind].ends
    return ("low" in ends and share < MARGIN) or ("high" in ends and share > 1.0 - MARGIN)


def halving(
    contender: Contender, problems: Sequence[Problem], seeds: Sequence[int], points: Sequence[Values]
) -> Generator[list[TrainingJob], list[Trained], list[tuple[Trial, ...]]]:
    """Trains all points on the first seed, the better half on the second, and so on.

    Args:
        contender: the contender to tune.
        problems: tasks with batch sizes, on all of which a point is trained with a seed.
        seeds: tuning seeds.
        points: the points.

    Yields:
        The runs of a seed.

    Returns:
        For each point its trial on each problem.
    """
    per = units(problems)
    losses: list[list[list[float]]] = [[] for _ in points]
    objectives: list[list[float]] = [[] for _ in points]
    alive = list(range(len(points)))
    for number, seed in enumerate(seeds):
        count = max(1, math.ceil(len(points) / 2**number))
        alive = sorted(alive, key=lambda index: (math.fsum(objectives[index]), index))[:count]
        results = yield [TrainingJob(contender, p, points[index], seed) for index in alive for p in problems]
        for place, index in enumerate(alive):
            of_point = results[place * len(problems) : (place + 1) * len(problems)]
            losses[index].append([_loss(trained) for trained in of_point])
            objectives[index].append(objective(losses[index][-1], per))
    return [
        tuple(Trial(values, tuple(row), math.fsum(scores) / len(scores)) for row in zip(*found, strict=True))
        for values, found, scores in zip(points, losses, objectives, strict=True)
    ]


def _loss(trained: Trained) -> float:
    result = trained.result
    return result.loss if result.outcome is Outcome.OK and result.loss is not None else math.inf


def point(space: Sequence[Dimension], place: Sequence[float]) -> Values:
    """The point of a space at a place in the unit cube."""
    return tuple((row.name, row.at(share)) for row, share in zip(space, place, strict=True))


def _filled(space: Sequence[Dimension], values: Values) -> Values:
    given = dict(values)
    return tuple((row.name, given.get(row.name, row.reference)) for row in space)


def spread(dimensions: int, count: int, replicate: int, number: int) -> list[list[float]]:
    """The first ``count`` points of a scrambled Sobol sequence in the unit cube.

    Args:
        dimensions: dimensions of the cube.
        count: number of points.
        replicate: index of the replicate.
        number: index of the round.

    Source: Owen 1998, Scrambling Sobol' and Niederreiter-Xing points; `scipy.stats.qmc`.
    """
    if count <= 0:
        return []
    from scipy.stats import qmc  # slow to import

    sampler = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng([replicate, number, dimensions]))
    return sampler.random_base2(math.ceil(math.log2(count)))[:count].tolist()
