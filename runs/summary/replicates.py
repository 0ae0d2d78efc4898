"""A study: one campaign with several seeds, each a separate run, and statistics over the runs.

Two searches that differ only in their seed find different programs. Search methods are therefore compared by means over
seeds, with intervals in which each run is one sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optsearch.runs.summary.run import ProgramEntry, RunSummary
from optsearch.selection.statistics.intervals import Interval, mean_interval, paired_difference


@dataclass(frozen=True, slots=True)
class StudyComparison:
    """Comparison of the best programs with one control, paired by run.

    Attributes:
        control: name of the control, or ``warm start``.
        runs: number of runs in which both trained on every fresh seed.
        difference: mean over these runs of the best program's mean minus the control's, with its 95 % interval; None
            for fewer than two runs.
    """

    control: str
    runs: int
    difference: Interval | None


@dataclass(frozen=True, slots=True)
class StudyTask:
    """Statistics over the runs of a study on one of several tasks.

    Attributes:
        task: name of the task.
        best_fresh: mean loss of the best programs on fresh seeds; None if none has been run there.
        comparison: comparisons of these losses with each control.
    """

    task: str
    best_fresh: Interval | None
    comparison: tuple[StudyComparison, ...]


@dataclass(frozen=True, slots=True)
class StudySummary:
    """Statistics over the runs of a study: means with 95 % intervals, in which each run is one sample.

    Attributes:
        seeds: seeds of the runs.
        best_fitness: fitness of the best programs; None, as the other means, if no run has a value.
        best_fresh: mean loss of the best programs on fresh seeds; mean score with several tasks.
        cache_hit_rate: fraction of cache hits.
        redundant_share: fraction of redundant statements in the population.
        comparison: comparisons of the losses or scores with each control.
        tasks: losses on each of several tasks; empty with one task.
    """

    seeds: tuple[int, ...]
    best_fitness: Interval | None
    best_fresh: Interval | None
    cache_hit_rate: Interval | None
    redundant_share: Interval | None
    comparison: tuple[StudyComparison, ...]
    tasks: tuple[StudyTask, ...]


def study_summary(runs: Sequence[RunSummary]) -> StudySummary:
    """Statistics over the runs of a study.

    Args:
        runs: summary of each run, at least one; all have the same tasks and controls.
    """
    tasks = runs[0].tasks if len(runs[0].tasks) > 1 else ()
    return StudySummary(
        seeds=tuple(run.seed for run in runs),
        best_fitness=_estimate([None if run.best is None else run.best.fitness for run in runs]),
        best_fresh=_estimate([_mean(run.best) for run in runs]),
        cache_hit_rate=_estimate([run.counts.hit_rate for run in runs]),
        redundant_share=_estimate([run.redundant_share for run in runs]),
        comparison=_comparison(runs),
        tasks=tuple(
            StudyTask(task, _estimate([_mean(run.best, task) for run in runs]), _comparison(runs, task))
            for task in tasks
        ),
    )


def _comparison(runs: Sequence[RunSummary], task: str | None = None) -> tuple[StudyComparison, ...]:
    """Comparisons of the best programs with each control, by the run's metric or the loss on one of several tasks."""
    found: list[StudyComparison] = []
    for name in ["warm start", *(control.name for control in runs[0].controls)]:
        mine: dict[int, float] = {}
        theirs: dict[int, float] = {}
        for run in runs:
            other, best = _mean(_control(run, name), task), _mean(run.best, task)
            if other is not None and best is not None:
                theirs[run.seed], mine[run.seed] = other, best
        difference = paired_difference(mine, theirs) if len(mine) > 1 else None
        found.append(StudyComparison(name, len(mine), difference))
    return tuple(found)


def _control(run: RunSummary, name: str) -> ProgramEntry | None:
    if name == "warm start":
        return run.warm_start
    return next((control.best for control in run.controls if control.name == name), None)


def _mean(entry: ProgramEntry | None, task: str | None = None) -> float | None:
    """Mean on fresh seeds, of the metric of the run or of the loss on one of several tasks."""
    return None if entry is None or entry.fresh is None else entry.fresh.on(task).mean


def _estimate(values: Sequence[float | None]) -> Interval | None:
    """Mean and interval over the runs with a value; None if there are none."""
    known = [value for value in values if value is not None]
    return mean_interval(known) if known else None
