"""Evaluating contenders on a task: tune each, run each on fresh seeds, compare seed by seed.

Every contender gets the same grid, the same tuning seeds and the same fresh seeds. Rates are chosen by the validation
loss, so results are compared by the loss on the test split, which nothing has looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from proxy_tasks.outcome import Outcome, TrainingResult
from proxy_tasks.registry import get_task
from selection.contender import Contender, Job, run_job
from selection.statistics import Interval, mean_interval, paired_difference
from selection.tuning import GRID, Tuned, choose, tuning_seeds


class Map(Protocol):
    """Runs jobs, here or in a pool, and gives the results in the order of the jobs: the builtin `map` is one."""

    def __call__(self, run: Callable[[Job], TrainingResult], jobs: Iterable[Job], /) -> Iterable[TrainingResult]: ...


@dataclass(frozen=True, slots=True)
class Progress:
    """A run has ended.

    Attributes:
        stage: ``tuning`` or ``evaluation``.
        done: runs ended so far, both stages together.
        total: runs that there will be.
        job: what was run.
        result: how it ended.
    """

    stage: str
    done: int
    total: int
    job: Job
    result: TrainingResult


@dataclass(frozen=True, slots=True)
class Row:
    """One contender on one fresh seed.

    Attributes:
        task: name of the task.
        contender: its name.
        baseline: whether it is a baseline.
        seed: the seed.
        factor: tuned factor on its reference rate.
        learning_rate: tuned factor on the task's schedule.
        at_edge: whether the factor is at the edge of the grid.
        outcome: how the run ended.
        loss: validation loss; None unless the outcome is ok.
        test_loss: test loss; None unless the outcome is ok.
        accuracy: test accuracy; None unless the outcome is ok and the task classifies.
        steps: steps run.
    """

    task: str
    contender: str
    baseline: bool
    seed: int
    factor: float
    learning_rate: float
    at_edge: bool
    outcome: str
    loss: float | None
    test_loss: float | None
    accuracy: float | None
    steps: int


@dataclass(frozen=True, slots=True)
class Summary:
    """One contender over all fresh seeds.

    Attributes:
        contender: its name.
        baseline: whether it is a baseline.
        tuned: what tuning chose.
        learning_rate: tuned factor on the task's schedule.
        test_loss: mean over the seeds whose outcome is ok; None when there are none.
        accuracy: the same for the test accuracy; None when the task has none.
        failed: number of seeds whose outcome is not ok. They are in no mean: read it first.
    """

    contender: str
    baseline: bool
    tuned: Tuned
    learning_rate: float
    test_loss: Interval | None
    accuracy: Interval | None
    failed: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """A contender against a baseline.

    Attributes:
        contender: its name.
        baseline: the baseline's name.
        difference: test loss of the contender minus that of the baseline, over the seeds on which both ended ok:
            below zero the contender is better; None when there is no such seed.
    """

    contender: str
    baseline: str
    difference: Interval | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that `evaluate` found.

    Attributes:
        task: name of the task.
        seeds: the fresh seeds.
        tuning_seeds: the seeds for tuning.
        grid: factors tried.
        rows: one for each contender and seed, contenders in the order given.
        summaries: one for each contender, in the order given.
        comparisons: every contender against every baseline but itself.
    """

    task: str
    seeds: tuple[int, ...]
    tuning_seeds: tuple[int, ...]
    grid: tuple[float, ...]
    rows: tuple[Row, ...]
    summaries: tuple[Summary, ...]
    comparisons: tuple[Comparison, ...]


def evaluate(
    contenders: Sequence[Contender],
    task: str,
    seeds: Sequence[int],
    *,
    tune_on: Sequence[int] | None = None,
    grid: Sequence[float] = GRID,
    run: Map = map,
    progress: Callable[[Progress], None] | None = None,
) -> Evaluation:
    """Tunes every contender and compares them on fresh seeds.

    Args:
        contenders: programs and baselines, of distinct names.
        task: name of the task.
        seeds: fresh seeds, at least one, such as `tuning.fresh_seeds` gives.
        tune_on: tuning seeds, none of them among ``seeds``; None for `tuning.tuning_seeds`.
        grid: factors on each contender's reference rate, in rising order.
        run: runs the jobs; None of its processes shares anything with another.
        progress: called when a run has ended; None for silence.

    Returns:
        Rows, summaries and comparisons.

    Raises:
        TaskError: there is no such task.
        ValueError: no contenders, two of one name, no seeds, a seed twice, or one that tuning uses too.
    """
    task = get_task(task).name
    tuning = tuning_seeds() if tune_on is None else tuple(tune_on)
    _check(contenders, seeds, tuning, grid)
    total = len(contenders) * (len(grid) * len(tuning) + len(seeds))
    counted = _Counted(run, progress, total)

    trials = [
        Job(contender, task, contender.reference * factor, seed)
        for contender in contenders
        for factor in grid
        for seed in tuning
    ]
    trial_results = counted("tuning", trials)
    tuned = [choose({factor: list(islice(trial_results, len(tuning))) for factor in grid}) for _ in contenders]

    rates = [contender.reference * choice.factor for contender, choice in zip(contenders, tuned, strict=True)]
    jobs = [
        Job(contender, task, rate, seed) for contender, rate in zip(contenders, rates, strict=True) for seed in seeds
    ]
    results = counted("evaluation", jobs)
    rows = tuple(
        _row(task, contender, seed, choice, rate, next(results))
        for contender, choice, rate in zip(contenders, tuned, rates, strict=True)
        for seed in seeds
    )
    summaries = tuple(
        _summary(contender, choice, rate, [row for row in rows if row.contender == contender.name])
        for contender, choice, rate in zip(contenders, tuned, rates, strict=True)
    )
    return Evaluation(task, tuple(seeds), tuning, tuple(grid), rows, summaries, _comparisons(contenders, rows))


class _Counted:
    """Runs jobs and reports each that has ended."""

    def __init__(self, run: Map, progress: Callable[[Progress], None] | None, total: int):
        self._run, self._progress, self._total, self._done = run, progress, total, 0

    def __call__(self, stage: str, jobs: list[Job]) -> Iterator[TrainingResult]:
        for job, result in zip(jobs, self._run(run_job, jobs), strict=True):
            self._done += 1
            if self._progress is not None:
                self._progress(Progress(stage, self._done, self._total, job, result))
            yield result


def _check(contenders: Sequence[Contender], seeds: Sequence[int], tuning: Sequence[int], grid: Sequence[float]) -> None:
    names = [contender.name for contender in contenders]
    if not names:
        raise ValueError("nothing to evaluate: give at least one program or baseline")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two contenders are called '{name}': give each its own name")
    if not seeds or not tuning:
        raise ValueError("an evaluation needs at least one fresh seed and one tuning seed")
    if len(set(seeds)) < len(seeds) or len(set(tuning)) < len(tuning):
        raise ValueError("a seed is given twice")
    if shared := set(seeds) & set(tuning):
        raise ValueError(f"seed {min(shared)} is both a tuning seed and a fresh seed: results would flatter")
    if not grid or list(grid) != sorted(set(grid)) or grid[0] <= 0.0:
        raise ValueError(f"the grid must be positive and rising, got {list(grid)}")


def _row(task: str, contender: Contender, seed: int, tuned: Tuned, rate: float, result: TrainingResult) -> Row:
    return Row(
        task=task,
        contender=contender.name,
        baseline=contender.is_baseline,
        seed=seed,
        factor=tuned.factor,
        learning_rate=rate,
        at_edge=tuned.at_edge,
        outcome=result.outcome.value,
        loss=result.loss,
        test_loss=result.test_loss,
        accuracy=result.accuracy,
        steps=result.steps,
    )


def _summary(contender: Contender, tuned: Tuned, rate: float, rows: Sequence[Row]) -> Summary:
    losses = [row.test_loss for row in rows if row.test_loss is not None]
    accuracies = [row.accuracy for row in rows if row.accuracy is not None]
    return Summary(
        contender=contender.name,
        baseline=contender.is_baseline,
        tuned=tuned,
        learning_rate=rate,
        test_loss=mean_interval(losses) if losses else None,
        accuracy=mean_interval(accuracies) if accuracies else None,
        failed=sum(row.outcome != Outcome.OK.value for row in rows),
    )


def _comparisons(contenders: Sequence[Contender], rows: Sequence[Row]) -> tuple[Comparison, ...]:
    losses = {
        contender.name: {
            row.seed: row.test_loss for row in rows if row.contender == contender.name and row.test_loss is not None
        }
        for contender in contenders
    }
    return tuple(
        Comparison(contender.name, other.name, paired_difference(losses[contender.name], losses[other.name]))
        for contender in contenders
        for other in contenders
        if other.is_baseline and other.name != contender.name
    )
