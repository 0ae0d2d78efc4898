"""One replicate: contenders are tuned one after the other, and the tuned points are trained on seeds of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optsearch.proxy_tasks.run import Trained
from optsearch.selection.contender import Contender, TrainingJob
from optsearch.selection.problem import Problem
from optsearch.selection.space import Values
from optsearch.selection.tuning.families import starts
from optsearch.selection.tuning.rate_sensitivity import FACTORS, rate_jobs
from optsearch.selection.tuning.schedule import Entry
from optsearch.selection.tuning.tuner import Tuned, TuningBudget, tune


@dataclass(frozen=True, slots=True)
class ReplicateResult:
    """A contender on a problem in one replicate.

    Attributes:
        tuned: result of the tuning.
        fresh: the tuned point on each fresh seed, in order.
        rates: the tuned point at each multiple of its rate, in the order of `FACTORS`; empty unless requested.
    """

    tuned: Tuned
    fresh: list[Trained]
    rates: list[Trained]


def runs_of_replicate(budget: TuningBudget, seeds: int, *, sensitivity: bool) -> int:
    """Number of training runs of a replicate, for each contender and problem.

    Args:
        budget: tuning budget.
        seeds: number of fresh seeds.
        sensitivity: True if the tuned point is also trained at multiples of its rate.
    """
    return budget.runs + seeds + len(FACTORS) * sensitivity


def measure(
    group: Sequence[Contender],
    programs: Sequence[Contender],
    problems: Sequence[Problem],
    budget: TuningBudget,
    replicate: int,
    seeds: Sequence[int],
    *,
    sensitivity: bool,
) -> Entry[dict[tuple[str, str], ReplicateResult]]:
    """Tunes the contenders of a group one after the other, each to one setting for all problems, and trains each.

    Each tuning also tries the best points of the contenders before it that it contains.

    Args:
        group: contenders, the contained ones first.
        programs: programs of the evaluation, whose constants are points of baselines; see `families.starts`.
        problems: tasks with batch sizes.
        budget: tuning budget.
        replicate: index of the replicate, from 0.
        seeds: fresh seeds of the replicate.
        sensitivity: if True, trains the tuned points at multiples of their rates too.

    Yields:
        Runs that may execute concurrently.

    Returns:
        Results by names of problem and contender.
    """
    found: dict[tuple[str, str], ReplicateResult] = {}
    best: dict[str, Values] = {}
    for contender in group:
        tuned = yield from tune(contender, problems, budget, replicate, starts(contender, best, programs))
        best[contender.name] = values = tuned[0].values
        fresh = yield [
            TrainingJob(contender, problem, values, seed, validates=True) for problem in problems for seed in seeds
        ]
        rates = (yield rate_jobs(contender, problems, values, replicate)) if sensitivity else []
        for problem, one in zip(problems, tuned, strict=True):
            found[problem.name, contender.name] = ReplicateResult(one, fresh[: len(seeds)], rates[: len(FACTORS)])
            fresh, rates = fresh[len(seeds) :], rates[len(FACTORS) :]
    return found
