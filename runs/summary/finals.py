"""What training on further seeds says: losses on each task, with several tasks their score too, and who wins.

A seed's value is what the search optimizes, with that seed alone: with one task the loss; with several the mean score
against the losses of the warm start that the search was measured against. No task is left out for ``if_below``, and a
program that fails on one task has no value on that seed.
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
    """How runs on further seeds are compared.

    Attributes:
        tasks: those of the fitness, in its order.
        reference: with several tasks the warm start's loss on each; empty with one, or before it is known.
    """

    tasks: tuple[FurtherTask, ...]
    reference: tuple[float, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return tuple(task.task for task in self.tasks)

    def by_seed(self, runs: Sequence[Final]) -> dict[int, tuple[Final, ...]]:
        """One program's runs for each seed on which it has been trained on every task, in the order of the tasks."""
        found: dict[int, dict[str, Final]] = {}
        for run in runs:
            found.setdefault(run.seed, {})[run.task] = run
        return {
            seed: tuple(on[name] for name in self.names)
            for seed, on in found.items()
            if all(name in on for name in self.names)
        }

    def value(self, runs: Sequence[Final]) -> float | None:
        """The value of one seed's runs on all tasks; None when one of them has failed."""
        losses = [run.loss for run in runs if run.loss is not None]
        if len(losses) < len(runs):
            return None
        return losses[0] if len(self.tasks) == 1 else score(losses, self.tasks, self.reference)


def measure_of(store: RunReader) -> Measure:
    """How a run compares programs on further seeds."""
    tasks = store.config.fitness_tasks
    if len(tasks) == 1 or not store.arms() or not store.settled(store.arms()[0]):
        return Measure(tasks)
    return Measure(tasks, store.evaluation(store.arms()[0], WARM_START).fitness.losses)


def summarize(runs: Sequence[Final], measure: Measure) -> dict[str, Any] | None:
    """One program's runs on further seeds.

    Args:
        runs: of that program.
        measure: how they are compared.

    Returns:
        ``seeds``, ``losses``, ``outcomes`` and, where all have trained, ``mean`` and ``interval``. With several tasks
        ``scores`` in the place of losses, an outcome being that of the seed's first run that failed, and in ``tasks``
        the same of each task. None as long as no seed is complete.
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
    """The value of each seed, of what `summarize` gives or one of its tasks."""
    return dict(zip(fresh["seeds"], fresh["scores"] if "scores" in fresh else fresh["losses"], strict=True))


def compare(control: str, best: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """The best program against a control on the same seeds: control minus best, positive when best wins.

    Args:
        control: its name.
        best: as `summarize` gives it.
        other: the control's.

    Returns:
        ``control``, ``difference``, ``interval`` and ``winner``; with several tasks also ``tasks``, with these of each.
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
