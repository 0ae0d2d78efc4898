"""Results of training on further seeds: losses on each task, scores over several tasks, and comparisons.

The value of a seed is the objective of the search, evaluated on that seed alone: the loss with one task, otherwise the
mean score relative to the losses of the warm start that the search used. ``if_below`` skips no task here, and a program
that fails on one task has no value on that seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.records import Final
from optsearch.search.evolution import WARM_START
from optsearch.search.fitness import OK, FurtherTask, score
from optsearch.selection.statistics import mean_interval, paired_difference


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
    if len(tasks) == 1 or not store.arms() or not store.settled(store.arms()[0]):
        return Measure(tasks)
    return Measure(tasks, store.evaluation(store.arms()[0], WARM_START).fitness.losses)


def summarize(runs: Sequence[Final], measure: Measure) -> dict[str, Any] | None:
    """Summarises the runs of a program on further seeds.

    Args:
        runs: runs of the program.
        measure: the metric.

    Returns:
        ``seeds``, ``losses``, ``outcomes`` and, if all runs trained, ``mean`` and ``interval``. With several tasks,
        ``scores`` replace losses, an outcome is that of the seed's first failed run, and ``tasks`` holds the same for
        each task. None if no seed is complete.
    """
    whole = measure.by_seed(runs)
    if not whole:
        return None
    each = [_block(whole, "losses", [row[n].loss for row in whole.values()], [row[n].outcome for row in whole.values()])
            for n in range(len(measure.tasks))]  # fmt: skip
    if len(each) == 1:
        return each[0]
    outcomes = [next((run.outcome for run in row if run.loss is None), OK) for row in whole.values()]
    scores = _block(whole, "scores", [measure.value(row) for row in whole.values()], outcomes)
    return scores | {"tasks": [{"task": name, **block} for name, block in zip(measure.names, each, strict=True)]}


def _block(
    seeds: Mapping[int, object], name: str, values: Sequence[float | None], outcomes: Sequence[str]
) -> dict[str, Any]:
    block: dict[str, Any] = {"seeds": list(seeds), name: list(values), "outcomes": dict(Counter(outcomes))}
    block |= {"mean": None, "interval": None}
    trained = [value for value in values if value is not None]
    if len(trained) == len(values):
        estimate = mean_interval(trained)
        block |= {"mean": estimate.mean, "interval": [estimate.low, estimate.high]}
    return block


def values_of(fresh: Mapping[str, Any]) -> dict[int, float | None]:
    """Maps seeds to values, for a result of `summarize` or one of its tasks."""
    return dict(zip(fresh["seeds"], fresh["scores"] if "scores" in fresh else fresh["losses"], strict=True))


def compare(control: str, best: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Compares the best program with a control on the same seeds: control minus best, positive if best wins.

    Args:
        control: name of the control.
        best: result of `summarize` for the best program.
        other: result of `summarize` for the control.

    Returns:
        ``control``, ``difference``, ``interval`` and ``winner``; with several tasks also ``tasks``, the same for each.
    """
    row = {"control": control, **_difference(control, best, other)}
    if "tasks" in best:
        row["tasks"] = [
            {"task": mine["task"], **_difference(control, mine, theirs)}
            for mine, theirs in zip(best["tasks"], other["tasks"], strict=True)
        ]
    return row


def _difference(control: str, best: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"difference": None, "interval": None, "winner": None}
    if best["mean"] is not None and other["mean"] is not None:
        difference = paired_difference(_trained(other), _trained(best))
        if difference is not None and difference.low is not None and difference.high is not None:
            row |= {"difference": difference.mean, "interval": [difference.low, difference.high]}
            row["winner"] = "best" if difference.low > 0 else control if difference.high < 0 else "undecided"
    elif best["mean"] is not None or other["mean"] is not None:
        row["winner"] = "best" if best["mean"] is not None else control
    return row


def _trained(fresh: Mapping[str, Any]) -> dict[int, float]:
    return {seed: value for seed, value in values_of(fresh).items() if value is not None}
