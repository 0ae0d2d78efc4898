"""The charts of a stage, from its evaluation."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

from optsearch.runs.report.chart import PALETTE, Chart, Row
from optsearch.runs.report.selection_charts import (
    Curve,
    Span,
    curves_chart,
    differences_chart,
    heat_map,
    losses_chart,
    sensitivity_chart,
    trend_chart,
    tuning_span,
)
from optsearch.runs.report.tuning_charts import rate_sensitivity_chart, tuning_curve_chart
from optsearch.selection.comparison.comparison import Estimate
from optsearch.selection.comparison.evaluation import TARGET, Evaluation
from optsearch.selection.comparison.evaluation import Row as Run
from optsearch.selection.space import DECAY, RATE
from optsearch.selection.statistics.bootstrap import bootstrap_interval
from optsearch.selection.statistics.intervals import Interval, mean_interval
from optsearch.selection.tuning.rate_sensitivity import RateSensitivity
from optsearch.selection.tuning.sensitivity import CELLS, Cell, sensitivity
from optsearch.selection.tuning.tuner import Trial, Tuned
from optsearch.selection.tuning.tuning_curve import TuningCurve

TICKS = 64
"""Maximum number of seeds with a tick mark, for each contender."""

BASELINES = 4
"""Maximum number of baselines in charts with one colour per contender."""

HALF_CELL = 10.0 ** (1.0 / CELLS)
"""Ratio between the edge and the centre of a heat map cell."""

_Record = TypeVar("_Record", TuningCurve, RateSensitivity)


@dataclass(frozen=True, slots=True)
class StageCharts:
    """Charts of a stage, for every task.

    Attributes:
        losses: losses on fresh seeds, and differences between programs and baselines.
        trends: differences against the number of steps, for each task and opponent; empty with one number of steps.
        curves: learning curves: training losses, and validation losses if they were recorded.
        sensitivity: loss against learning rate: of the trials, and at multiples of the tuned rates where measured.
        budgets: loss against tuning budget.
        heat_maps: for each task its name, its heat maps, and the number of contenders without one.
    """

    losses: Sequence[Chart]
    trends: Sequence[Chart]
    curves: Sequence[Chart]
    sensitivity: Sequence[Chart]
    budgets: Sequence[Chart]
    heat_maps: Sequence[tuple[str, Sequence[Chart], int]]

    def every(self) -> list[Chart]:
        """All charts."""
        maps = [chart for _, charts, _ in self.heat_maps for chart in charts]
        return [*self.losses, *self.trends, *self.curves, *self.sensitivity, *self.budgets, *maps]


@dataclass(frozen=True, slots=True)
class _Tunings:
    """The tunings of a contender on a task, as one.

    Attributes:
        contender: name of the contender.
        values: values of the tuning of lowest loss.
        trials: trials of all tunings.
        curve: cells by learning rate, with the lowest loss of all tunings.
        heat_map: cells by learning rate and weight decay; empty if the contender has no weight decay.
    """

    contender: str
    values: Mapping[str, float]
    trials: Sequence[Trial]
    curve: Sequence[Cell]
    heat_map: Sequence[Cell]


@dataclass(frozen=True, slots=True)
class _Task:
    """A task of an evaluation, and the displayed contenders.

    Attributes:
        name: name of the task.
        evaluation: the evaluation.
        order: contenders, programs by rank, then baselines.
        baselines: names of baselines.
        drawn: contenders with a colour.
    """

    name: str
    evaluation: Evaluation
    order: Sequence[str]
    baselines: Collection[str]
    drawn: Sequence[str]

    @property
    def hidden(self) -> int:
        return len(self.order) - len(self.drawn)

    def kind(self, contender: str) -> str:
        return "baseline" if contender in self.baselines else "program"

    def rows(self, contender: str) -> list[Run]:
        """Runs of a contender on fresh seeds."""
        return [row for row in self.evaluation.rows if (row.task, row.contender) == (self.name, contender)]

    def tunings(self) -> list[_Tunings]:
        """Tunings of the displayed contenders, in order."""
        mine: dict[str, list[Tuned]] = {}
        for entry in self.evaluation.tuning:
            if entry.task == self.name:
                mine.setdefault(entry.contender, []).append(entry.tuned)
        return [_merged(contender, mine[contender]) for contender in self.drawn]

    def drawn_of(self, records: Iterable[_Record]) -> list[_Record]:
        """Records of the displayed contenders on the task, in order."""
        mine = {row.contender: row for row in records if row.task == self.name}
        return [mine[contender] for contender in self.drawn if contender in mine]

    def mean(self, contender: str, field: str, at: float, loss: Interval | None) -> list[Row]:
        """A row with a mean loss over replicates and its interval, at a place of the axis; none without a loss."""
        if loss is None:
            return []
        about = {"contender": contender, "kind": self.kind(contender), field: at, "loss": loss.mean}
        return [about | {"low": loss.low, "high": loss.high, "replicates": loss.count}]

    def estimate(self, contender: str) -> Estimate | None:
        """Loss of a contender over replicates; None for a single replicate."""
        if self.evaluation.replicates < 2:
            return None
        return next(row for row in self.evaluation.estimates if (row.task, row.contender) == (self.name, contender))


def read(
    evaluation: Evaluation, order: Sequence[str], baselines: Collection[str], prefix: str, *, on_test: bool
) -> StageCharts:
    """Creates the charts of an evaluation.

    Args:
        evaluation: the evaluation.
        order: contenders, programs by rank, then baselines.
        baselines: names of baselines.
        prefix: prefix of the charts' names.
        on_test: if True, contenders are compared by test loss, otherwise by validation loss.
    """
    others = [name for name in order if name in baselines][:BASELINES]
    drawn = [name for name in order if name not in baselines][: len(PALETTE) - len(others)] + others
    losses: list[Chart] = []
    curves: list[Chart] = []
    rates: list[Chart] = []
    budgets: list[Chart] = []
    maps: list[tuple[str, Sequence[Chart], int]] = []
    kinds: list[Curve] = ["learning", "validation"] if evaluation.target == TARGET else ["learning"]
    for name, steps in zip(evaluation.tasks, evaluation.checkpoints, strict=True):
        task, mine = _Task(name, evaluation, order, baselines, drawn), f"{prefix}{file_name(name)}-"
        losses.append(_losses(task, mine, on_test=on_test))
        losses += _differences(task, mine)
        curves += [_curves(task, steps, mine, kind) for kind in kinds]
        if evaluation.budget.trials:
            rates.append(_sensitivity(task, mine))
            budgets.append(_tuning_curves(task, mine))
            charts, without = _heat_maps(task, mine)
            maps.append((name, charts, without))
        if evaluation.rate_sensitivity:
            rates.append(_rate_sensitivity(task, mine))
    return StageCharts(
        losses, _trends(evaluation, prefix), curves, rates, budgets, [entry for entry in maps if entry[1]]
    )


def loss_of(trial: Trial) -> float | None:
    """Mean loss of a trial; None if a run failed."""
    return None if math.inf in trial.losses else sum(trial.losses) / len(trial.losses)


def _losses(task: _Task, prefix: str, *, on_test: bool) -> Chart:
    rows: list[Row] = []
    failed = hidden = 0
    for contender in task.order:
        found, about = task.rows(contender), {"contender": contender, "kind": task.kind(contender)}
        estimate = task.estimate(contender)
        if estimate is not None and on_test:
            rows += [
                {"part": "point", **about, "number": number, "loss": loss}
                for number, loss in enumerate(estimate.replicates, start=1)
                if loss is not None
            ]
            if estimate.loss is not None:
                ends = {"low": estimate.loss.low, "high": estimate.loss.high}
                rows.append({"part": "mean", **about, "loss": estimate.loss.mean, **ends})
            failed += estimate.failed
            continue
        every = {row.seed: row.test_loss if on_test else row.loss for row in found}
        trained = {seed: loss for seed, loss in every.items() if loss is not None}
        ticks = list(trained.items())[:TICKS]
        rows += [{"part": "point", **about, "number": seed, "loss": loss} for seed, loss in ticks]
        failed, hidden = failed + len(found) - len(trained), hidden + len(trained) - len(ticks)
        if trained:
            interval = bootstrap_interval(list(trained.values()))
            ends = {"low": interval.low, "high": interval.high}
            rows.append({"part": "mean", **about, "loss": interval.mean, **ends})
    what = f"{'test' if on_test else 'validation'} loss on {task.name}"
    unit = "replicate" if on_test and task.evaluation.replicates > 1 else "seed"
    return losses_chart(f"{prefix}losses", f"Loss on {task.name}", what, rows, failed, hidden, unit=unit)


def _differences(task: _Task, prefix: str) -> list[Chart]:
    rows: list[Row] = [
        {
            "contender": row.contender,
            "baseline": row.baseline,
            "difference": row.difference.mean,
            "low": row.difference.low,
            "high": row.difference.high,
            "corrected": row.corrected,
            "verdict": row.verdict,
        }
        for row in task.evaluation.comparisons
        if row.task == task.name and row.difference is not None
    ]
    rows.sort(key=lambda row: task.order.index(row["contender"]))
    return [differences_chart(f"{prefix}differences", task.name, rows)] if rows else []


def _trends(evaluation: Evaluation, prefix: str) -> list[Chart]:
    """Differences against steps, for the opponents of the comparison over all tasks."""
    opponents = {row.opponent for row in evaluation.headlines}
    found: dict[tuple[str, str], list[Row]] = {}
    for row in evaluation.trends:
        if row.opponent in opponents:
            about = {"contender": row.contender, "verdict": row.verdict}
            found.setdefault((row.task, row.opponent), []).extend(
                about | {"steps": steps, "difference": each.mean, "low": each.low, "high": each.high}
                for steps, each in zip(row.steps, row.differences, strict=True)
            )
    return [
        trend_chart(f"{prefix}{file_name(f'{task}-{opponent}')}-steps", task, opponent, rows)
        for (task, opponent), rows in found.items()
    ]


def _curves(task: _Task, steps: Sequence[int], prefix: str, of: Curve) -> Chart:
    rows: list[Row] = []
    failed = 0
    for contender in task.drawn:
        curves = [row.train_losses if of == "learning" else row.validation_losses for row in task.rows(contender)]
        failed += sum(len(curve) < len(steps) for curve in curves)
        for place, step in enumerate(steps):
            losses = [loss for curve in curves if len(curve) > place and (loss := curve[place]) is not None]
            if losses:
                mean = mean_interval(losses)
                row = {"contender": contender, "kind": task.kind(contender), "step": step, "loss": mean.mean}
                rows.append(row | {"low": mean.low, "high": mean.high, "seeds": len(losses)})
    return curves_chart(f"{prefix}{of}-curves", task.name, rows, task.hidden, failed, of=of)


def _sensitivity(task: _Task, prefix: str) -> Chart:
    rows: list[Row] = []
    losses: dict[str, list[float]] = {}
    failed = 0
    for tunings in task.tunings():
        name, chosen = tunings.contender, tunings.values[RATE]
        trained = [cell for cell in tunings.curve if cell.loss < math.inf]
        failed += len(tunings.curve) - len(trained)
        for cell in trained:
            row = {"contender": name, "kind": task.kind(name), "rate": cell.rate}
            rows.append(row | {"times": cell.rate / chosen, "loss": cell.loss})
            losses.setdefault(name, []).append(cell.loss)
    span = tuning_span(losses)
    return sensitivity_chart(f"{prefix}sensitivity", task.name, rows, task.hidden, span, failed)


def _rate_sensitivity(task: _Task, prefix: str) -> Chart:
    rows: list[Row] = []
    failed = 0
    for found in task.drawn_of(task.evaluation.rate_sensitivity):
        for one in found.losses:
            failed += one.failed
            rows += task.mean(found.contender, "factor", one.factor, one.loss)
    factors = sorted({row["factor"] for row in rows})
    return rate_sensitivity_chart(f"{prefix}rate-sensitivity", task.name, rows, task.hidden, factors, failed)


def _tuning_curves(task: _Task, prefix: str) -> Chart:
    rows = [
        row
        for found in task.drawn_of(task.evaluation.tuning_curves)
        for trials, loss in enumerate(found.losses, start=1)
        for row in task.mean(found.contender, "trials", trials, loss)
    ]
    return tuning_curve_chart(f"{prefix}tuning-curve", task.name, rows, task.hidden)


def _heat_maps(task: _Task, prefix: str) -> tuple[list[Chart], int]:
    """Heat maps of the displayed contenders with weight decay, and the number of contenders without."""
    shown = [tunings for tunings in task.tunings() if tunings.heat_map]
    known = {one.contender: [cell.loss for cell in one.heat_map if cell.loss < math.inf] for one in shown}
    span = tuning_span({name: losses for name, losses in known.items() if losses})
    names = _unlike(f"{prefix}heat-map-{file_name(one.contender)}" for one in shown)
    charts = [_heat_map(task, tunings, name, span) for tunings, name in zip(shown, names, strict=True)]
    return charts, len(task.order) - len(charts)


def _heat_map(task: _Task, tunings: _Tunings, name: str, span: Span) -> Chart:
    rows: list[Row] = []
    for cell in tunings.heat_map:
        sides = {"rate": cell.rate / HALF_CELL, "rate_to": cell.rate * HALF_CELL}
        if cell.decay is not None:
            sides |= {"decay": cell.decay / HALF_CELL, "decay_to": cell.decay * HALF_CELL}
        loss = cell.loss if cell.loss < math.inf else None
        rows.append({"part": "cell", **{key: float(f"{side:.4g}") for key, side in sides.items()}, "loss": loss})
    for trial in tunings.trials:
        values, loss = dict(trial.values), loss_of(trial)
        if values.get(DECAY):
            row: Row = {"part": "trial", "rate": values[RATE], "decay": abs(values[DECAY]), "loss": loss}
            row |= {"seeds": len(trial.losses), "words": "failed" if loss is None else f"{loss:.5f}"}
            rows.append(row | {"chosen": values == tunings.values})
    unit = "learning rate" if tunings.contender in task.baselines else "learning rate, times its own"
    return heat_map(name, tunings.contender, task.name, rows, span, unit)


def _merged(contender: str, tunings: Sequence[Tuned]) -> _Tunings:
    """One tuning out of the replicates of a contender on a task."""
    best = min(tunings, key=lambda tuned: math.inf if tuned.loss is None else tuned.loss)
    every = [sensitivity(tuned.trials) for tuned in tunings]
    trials = [trial for tuned in tunings for trial in tuned.trials]
    curve = _lowest(cell for one in every for cell in one.curve)
    return _Tunings(contender, dict(best.values), trials, curve, _lowest(c for one in every for c in one.heat_map))


def _lowest(cells: Iterable[Cell]) -> list[Cell]:
    """For each place the cell of lowest loss, in order of rate and decay."""
    lowest: dict[tuple[float, float], Cell] = {}
    for cell in cells:
        place = cell.rate, cell.decay or 0.0
        if place not in lowest or cell.loss < lowest[place].loss:
            lowest[place] = cell
    return [lowest[place] for place in sorted(lowest)]


def _unlike(names: Iterator[str]) -> list[str]:
    """Makes names unique by appending numbers to duplicates."""
    found: list[str] = []
    for name in names:
        found.append(name if name not in found else next(new for n in count(2) if (new := f"{name}-{n}") not in found))
    return found


def file_name(text: str) -> str:
    """Converts a text to part of a file name."""
    return re.sub(r"[^A-Za-z0-9_.@-]+", "-", text).strip("-.")[:60] or "x"
