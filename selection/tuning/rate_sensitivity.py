"""Sensitivity to the learning rate with all else fixed: each tuned point is trained again at multiples of its rate.

`sensitivity` compares tuning trials, in which every other value varies together with the rate. Here nothing varies but
the rate: a curve that is flat around the tuned rate forgives a wrong one. The runs use a seed that neither tuning nor
the comparison uses, and their validation losses decide nothing.

Source: Dahl et al. 2023 (arXiv:2306.07179), AlgoPerf, on the cost of the tuning that an optimizer needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from optsearch.proxy_tasks.run import Trained
from optsearch.selection.contender import Contender, TrainingJob
from optsearch.selection.problem import Problem
from optsearch.selection.space import RATE, Values
from optsearch.selection.statistics.intervals import Interval, mean_interval
from optsearch.selection.tuning.sensitivity import TOLERANCE
from optsearch.selection.tuning.tuner import fresh_seeds

FACTORS = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)
"""Factors on the tuned rate."""

SEED_BLOCK = 1_000
"""Block of the seeds of these runs, which no comparison uses."""


@dataclass(frozen=True, slots=True)
class RateRun:
    """A training run at a multiple of a tuned rate.

    Attributes:
        task: name of the task.
        contender: name of the contender.
        replicate: index of the tuning, from 0.
        seed: training seed, equal for all factors of a replicate.
        factor: factor on the tuned rate.
        outcome: outcome of the run.
        loss: validation loss; None unless the outcome is ok.
    """

    task: str
    contender: str
    replicate: int
    seed: int
    factor: float
    outcome: str
    loss: float | None


@dataclass(frozen=True, slots=True)
class FactorLoss:
    """Loss of a contender at a multiple of its tuned rates.

    Attributes:
        factor: factor on the tuned rate.
        loss: mean validation loss over the replicates that trained, with Student's interval; None if there are none.
        failed: number of replicates that did not train.
    """

    factor: float
    loss: Interval | None
    failed: int


@dataclass(frozen=True, slots=True)
class RateSensitivity:
    """Loss of a contender on a task against its learning rate.

    Attributes:
        task: name of the task.
        contender: name of the contender.
        losses: loss at each of `FACTORS`.
        good_factors: lowest and highest factor of the range around 1 in which every replicate trains and the mean loss
            is at most 5 % above that at 1; None if a replicate fails at 1. An end at the first or last factor is a
            bound: the range may be wider.
        width: highest of ``good_factors`` divided by the lowest, at least 1; None if they are None.
    """

    task: str
    contender: str
    losses: tuple[FactorLoss, ...]
    good_factors: tuple[float, float] | None
    width: float | None


def rate_seed(replicate: int) -> int:
    """The seed of the runs of a replicate.

    Raises:
        SeedError: there are fewer replicates.
    """
    return fresh_seeds(1, SEED_BLOCK, replicate)[0]


def rate_jobs(contender: Contender, problems: Iterable[Problem], values: Values, replicate: int) -> list[TrainingJob]:
    """The runs of a tuned point: for each problem one for each of `FACTORS`, in order.

    Args:
        contender: the contender.
        problems: the tasks.
        values: the tuned point.
        replicate: index of the tuning.
    """
    points = [tuple((name, value * f if name == RATE else value) for name, value in values) for f in FACTORS]
    return [TrainingJob(contender, problem, point, rate_seed(replicate)) for problem in problems for point in points]


def rate_runs(task: str, contender: str, replicate: int, results: Sequence[Trained]) -> list[RateRun]:
    """Records of the runs of a tuned point on a task.

    Args:
        task: name of the task.
        contender: name of the contender.
        replicate: index of the tuning.
        results: results at each of `FACTORS`; empty if there were no runs.
    """
    return [
        RateRun(task, contender, replicate, rate_seed(replicate), factor, one.result.outcome.value, one.result.loss)
        for factor, one in zip(FACTORS, results, strict=bool(results))
    ]


def rate_sensitivities(runs: Iterable[RateRun]) -> tuple[RateSensitivity, ...]:
    """Loss against learning rate of each contender on each task, in the order of the runs."""
    found: dict[tuple[str, str], dict[float, list[float | None]]] = {}
    for run in runs:
        of_contender = found.setdefault((run.task, run.contender), {factor: [] for factor in FACTORS})
        of_contender[run.factor].append(run.loss)
    return tuple(_of(task, contender, losses) for (task, contender), losses in found.items())


def _of(task: str, contender: str, losses: dict[float, list[float | None]]) -> RateSensitivity:
    rows: list[FactorLoss] = []
    for factor, every in losses.items():
        known = [loss for loss in every if loss is not None]
        rows.append(FactorLoss(factor, mean_interval(known) if known else None, len(every) - len(known)))
    good = _good_factors(rows)
    return RateSensitivity(task, contender, tuple(rows), good, None if good is None else good[1] / good[0])


def _good_factors(rows: Sequence[FactorLoss]) -> tuple[float, float] | None:
    means = {row.factor: row.loss.mean for row in rows if row.loss is not None and not row.failed}
    if 1.0 not in means:
        return None
    limit = means[1.0] + TOLERANCE * abs(means[1.0])
    low = high = FACTORS.index(1.0)
    while low > 0 and means.get(FACTORS[low - 1], limit + 1.0) <= limit:
        low -= 1
    while high + 1 < len(FACTORS) and means.get(FACTORS[high + 1], limit + 1.0) <= limit:
        high += 1
    return FACTORS[low], FACTORS[high]
