"""Results of training on further seeds: losses on each task, scores over several tasks, and comparisons.

The value of a seed is the objective of the search, evaluated on that seed alone: the loss with one task, otherwise the
mean score relative to the losses of the warm start that the search used. ``if_below`` skips no task here, and a program
that fails on one task has no value on that seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.records import Final
from optsearch.search.evolution import WARM_START
from optsearch.search.scoring.fitness import OK, FurtherTask, score
from optsearch.selection.statistics.intervals import Interval, mean_interval, paired_difference

Winner = Literal["best", "control", "undecided"]
"""The contender with the lower mean: the best program, the control, or neither if the interval includes 0."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Metric for comparing runs on further seeds.

    Attributes:
        tasks: tasks of the fitness, in order.
        reference: losses of the warm start with several tasks; empty with one task, or while unknown.
    """

    tasks: tuple[FurtherTask, ...]
    reference: tuple[float, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return tuple(task.task for task in self.tasks)

    def by_seed(self, runs: Sequence[Final]) -> dict[int, tuple[Final, ...]]:
        """Groups the runs of a program by seed, in task order; omits seeds on which a task is missing."""
        found: dict[int, dict[str, Final]] = {}
        for run in runs:
            found.setdefault(run.seed, {})[run.task] = run
        return {
            seed: tuple(on[name] for name in self.names)
            for seed, on in found.items()
            if all(name in on for name in self.names)
        }

    def value(self, runs: Sequence[Final]) -> float | None:
        """Value of the runs of one seed on all tasks; None if one of them failed."""
        losses = [run.loss for run in runs if run.loss is not None]
        if len(losses) < len(runs):
            return None
        return losses[0] if len(self.tasks) == 1 else score(losses, self.tasks, self.reference)


def measure_of(store: RunReader) -> Measure:
    """Metric with which a run compares programs on further seeds."""
    tasks = store.config.fitness_tasks
    if len(tasks) == 1 or not store.searches() or not store.settled(store.searches()[0]):
        return Measure(tasks)
    return Measure(tasks, store.evaluation(store.searches()[0], WARM_START).fitness.losses)


@dataclass(frozen=True, slots=True)
class FurtherRuns:
    """Results of one program on further seeds.

    Attributes:
        seeds: seeds on which the program was trained on every task.
        values: loss on each seed, or score with several tasks; None if a run of the seed failed.
        outcomes: number of seeds with each outcome; with several tasks, that of the seed's first failed run.
        interval: mean of the values with its 95 % interval; None if a run failed.
        tasks: losses on each of several tasks, by its name; empty with one task.
    """

    seeds: tuple[int, ...]
    values: tuple[float | None, ...]
    outcomes: Mapping[str, int]
    interval: Interval | None
    tasks: Mapping[str, FurtherRuns] = field(default_factory=dict)

    @property
    def mean(self) -> float | None:
        """Mean of the values; None if a run failed."""
        return None if self.interval is None else self.interval.mean

    @property
    def by_seed(self) -> dict[int, float | None]:
        """Maps seeds to values."""
        return dict(zip(self.seeds, self.values, strict=True))

    @property
    def trained(self) -> dict[int, float]:
        """Maps the seeds on which no run failed to their values."""
        return {seed: value for seed, value in self.by_seed.items() if value is not None}

    def on(self, task: str | None) -> FurtherRuns:
        """Losses on one of several tasks; the results themselves for None."""
        return self if task is None else self.tasks[task]


@dataclass(frozen=True, slots=True)
class Difference:
    """Value of the best program minus that of a control on the same seeds; negative if the best program is better.

    Attributes:
        interval: mean paired difference with its 95 % interval; None if a run of either failed, or for a single seed.
        winner: the better one; if only one of the two trains on every seed, that one. None if neither does, or for a
            single seed.
    """

    interval: Interval | None
    winner: Winner | None


@dataclass(frozen=True, slots=True)
class ControlComparison:
    """Comparison of the best program with one control.

    Attributes:
        control: name of the control, or ``warm start``.
        overall: difference of the losses, or of the scores with several tasks.
        tasks: difference of the losses on each of several tasks, by its name; empty with one task.
    """

    control: str
    overall: Difference
    tasks: Mapping[str, Difference]

    def name_of(self, winner: Winner | None) -> str | None:
        """The winner, where the name of the control stands for ``control``."""
        return self.control if winner == "control" else winner


def summarize(runs: Sequence[Final], measure: Measure) -> FurtherRuns | None:
    """Summarises the runs of a program on further seeds.

    Args:
        runs: runs of the program.
        measure: the metric.

    Returns:
        Losses, or scores with several tasks and the losses on each of them. None if no seed is complete.
    """
    whole = measure.by_seed(runs)
    if not whole:
        return None
    seeds, rows = tuple(whole), list(whole.values())
    each = [
        _further_runs(seeds, [row[place].loss for row in rows], [row[place].outcome for row in rows])
        for place in range(len(measure.tasks))
    ]
    if len(each) == 1:
        return each[0]
    outcomes = [next((run.outcome for run in row if run.loss is None), OK) for row in rows]
    tasks = dict(zip(measure.names, each, strict=True))
    return replace(_further_runs(seeds, [measure.value(row) for row in rows], outcomes), tasks=tasks)


def _further_runs(seeds: tuple[int, ...], values: Sequence[float | None], outcomes: Sequence[str]) -> FurtherRuns:
    trained = [value for value in values if value is not None]
    interval = mean_interval(trained) if len(trained) == len(values) else None
    return FurtherRuns(seeds, tuple(values), dict(Counter(outcomes)), interval)


def compare(control: str, best: FurtherRuns, other: FurtherRuns) -> ControlComparison:
    """Compares the best program with a control on the same seeds.

    Args:
        control: name of the control.
        best: results of the best program.
        other: results of the control, on the same tasks.
    """
    tasks = {task: _difference(mine, other.tasks[task]) for task, mine in best.tasks.items()}
    return ControlComparison(control, _difference(best, other), tasks)


def _difference(best: FurtherRuns, other: FurtherRuns) -> Difference:
    if best.interval is None or other.interval is None:
        trains: Winner | None = (
            "best" if best.interval is not None else "control" if other.interval is not None else None
        )
        return Difference(None, trains)
    interval = paired_difference(best.trained, other.trained)
    if interval is None or interval.low is None or interval.high is None:
        return Difference(None, None)
    return Difference(interval, "best" if interval.high < 0 else "control" if interval.low > 0 else "undecided")
