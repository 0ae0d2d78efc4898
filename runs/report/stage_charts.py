"""Extracts the charts of a stage from the records of its evaluation."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from optsearch.runs.report.chart import PALETTE, Chart, Row
from optsearch.runs.report.selection_charts import (
    Curve,
    Span,
    curves_chart,
    differences_chart,
    heat_map,
    losses_chart,
    sensitivity_chart,
    tuning_span,
)
from optsearch.runs.report.tuning_charts import rate_sensitivity_chart, tuning_curve_chart
from optsearch.selection.bootstrap import bootstrap_interval
from optsearch.selection.sensitivity import CELLS
from optsearch.selection.space import DECAY, RATE
from optsearch.selection.statistics import mean_interval

TICKS = 64
"""Maximum number of seeds with a tick mark, for each contender."""

BASELINES = 4
"""Maximum number of baselines in charts with one colour per contender."""

CURVES: Mapping[str, Curve] = {"train_losses": "learning", "validation_losses": "validation"}
"""Kind of a learning curve, by the key of a run; earlier releases recorded training losses alone."""

HALF_CELL = 10.0 ** (1.0 / CELLS)
"""Ratio between the edge and the centre of a heat map cell."""


@dataclass(frozen=True, slots=True)
class StageCharts:
    """Charts of a stage, for every task.

    Attributes:
        losses: losses on fresh seeds, and differences between programs and baselines.
        curves: learning curves: training losses, and validation losses if they were recorded.
        sensitivity: loss against learning rate: of the trials, and at multiples of the tuned rates where measured.
        budgets: loss against tuning budget.
        heat_maps: for each task its name, its heat maps, and the number of contenders without one.
    """

    losses: Sequence[Chart]
    curves: Sequence[Chart]
    sensitivity: Sequence[Chart]
    budgets: Sequence[Chart]
    heat_maps: Sequence[tuple[str, Sequence[Chart], int]]

    def every(self) -> list[Chart]:
        """All charts."""
        maps = [chart for _, charts, _ in self.heat_maps for chart in charts]
        return [*self.losses, *self.curves, *self.sensitivity, *self.budgets, *maps]


@dataclass(frozen=True, slots=True)
class _Task:
    """A task of an evaluation, and the displayed contenders.

    Attributes:
        name: name of the task.
        evaluation: the recorded evaluation.
        order: contenders, programs by rank, then baselines.
        baselines: names of baselines.
        drawn: contenders with a colour.
    """

    name: str
    evaluation: Mapping[str, Any]
    order: Sequence[str]
    baselines: Collection[str]
    drawn: Sequence[str]

    @property
    def hidden(self) -> int:
        return len(self.order) - len(self.drawn)

    def kind(self, contender: str) -> str:
        return "baseline" if contender in self.baselines else "program"

    def rows(self, contender: str) -> list[Mapping[str, Any]]:
        """Runs of a contender on fresh seeds."""
        found = self.evaluation["rows"]
        return [row for row in found if row["task"] == self.name and row["contender"] == contender]

    def tuning(self) -> list[Mapping[str, Any]]:
        """Tuning results of the displayed contenders, in order; replicates are merged.

        A cell has the lowest loss of all replicates; the selected values are those of the replicate of lowest loss.
        """
        mine: dict[str, list[Mapping[str, Any]]] = {}
        for row in self.evaluation["tuning"]:
            if row["task"] == self.name:
                mine.setdefault(row["contender"], []).append(row)
        return [_merged(mine[contender]) for contender in self.drawn]

    def drawn_of(self, key: str) -> list[Mapping[str, Any]]:
        """Records of the displayed contenders on the task, in order.

        Args:
            key: list of records with ``task`` and ``contender`` in the evaluation.
        """
        mine = {row["contender"]: row for row in self.evaluation[key] if row["task"] == self.name}
        return [mine[contender] for contender in self.drawn if contender in mine]

    def mean(self, contender: str, field: str, at: float, loss: Mapping[str, Any] | None) -> list[Row]:
        """A row with a mean loss over replicates and its interval, at a place of the axis; none without a loss."""
        if loss is None:
            return []
        about = {"contender": contender, "kind": self.kind(contender), field: at, "loss": loss["mean"]}
        return [about | {"low": loss["low"], "high": loss["high"], "replicates": loss["count"]}]

    def estimate(self, contender: str) -> Mapping[str, Any] | None:
        """Loss of a contender over replicates; None for a single replicate."""
        if self.evaluation["replicates"] < 2:
            return None
        return next(
            row for row in self.evaluation["estimates"] if (row["task"], row["contender"]) == (self.name, contender)
        )


def read(
    evaluation: Mapping[str, Any], order: Sequence[str], baselines: Collection[str], prefix: str, *, on_test: bool
) -> StageCharts:
    """Creates the charts of an evaluation.

    Args:
        evaluation: values, as returned by `recorded_evaluation`.
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
    for name, steps in zip(evaluation["tasks"], evaluation["checkpoints"], strict=True):
        task, mine = _Task(name, evaluation, order, baselines, drawn), f"{prefix}{file_name(name)}-"
        losses.append(_losses(task, mine, on_test=on_test))
        losses += _differences(task, mine)
        recorded = [key for key in CURVES if any(key in row for row in evaluation["rows"])]
        curves += [_curves(task, steps, mine, key) for key in recorded]
        if evaluation["budget"]["trials"]:
            rates.append(_sensitivity(task, mine))
            budgets.append(_tuning_curves(task, mine))
            charts, without = _heat_maps(task, mine)
            maps.append((name, charts, without))
        if evaluation["rate_sensitivity"]:
            rates.append(_rate_sensitivity(task, mine))
    return StageCharts(losses, curves, rates, budgets, [entry for entry in maps if entry[1]])


def _losses(task: _Task, prefix: str, *, on_test: bool) -> Chart:
    key = "test_loss" if on_test else "loss"
    rows: list[Row] = []
    failed = hidden = 0
    for contender in task.order:
        found, about = task.rows(contender), {"contender": contender, "kind": task.kind(contender)}
        estimate = task.estimate(contender)
        if estimate is not None and on_test:
            rows += [
                {"part": "point", **about, "number": number, "loss": loss}
                for number, loss in enumerate(estimate["replicates"], start=1)
                if loss is not None
            ]
            if estimate["loss"] is not None:
                ends = {"low": estimate["loss"]["low"], "high": estimate["loss"]["high"]}
                rows.append({"part": "mean", **about, "loss": estimate["loss"]["mean"], **ends})
            failed += estimate["failed"]
            continue
        trained = [row for row in found if row[key] is not None]
        ticks = [{"part": "point", **about, "number": row["seed"], "loss": row[key]} for row in trained[:TICKS]]
        rows, failed, hidden = rows + ticks, failed + len(found) - len(trained), hidden + len(trained) - len(ticks)
        losses = [row[key] for row in trained]
        if losses:
            interval = bootstrap_interval(losses)
            ends = {"low": interval.low, "high": interval.high}
            rows.append({"part": "mean", **about, "loss": interval.mean, **ends})
    what = f"{'test' if on_test else 'validation'} loss on {task.name}"
    unit = "replicate" if on_test and task.evaluation["replicates"] > 1 else "seed"
    return losses_chart(f"{prefix}losses", f"Loss on {task.name}", what, rows, failed, hidden, unit=unit)


def _differences(task: _Task, prefix: str) -> list[Chart]:
    rows = [
        {
            "contender": row["contender"],
            "baseline": row["baseline"],
            "difference": row["difference"]["mean"],
            "low": row["difference"]["low"],
            "high": row["difference"]["high"],
            "corrected": row["corrected"],
            "verdict": row["verdict"],
        }
        for row in task.evaluation["comparisons"]
        if row["task"] == task.name and row["difference"] is not None
    ]
    rows.sort(key=lambda row: task.order.index(row["contender"]))
    return [differences_chart(f"{prefix}differences", task.name, rows)] if rows else []


def _curves(task: _Task, steps: Sequence[int], prefix: str, key: str) -> Chart:
    rows: list[Row] = []
    failed = 0
    for contender in task.drawn:
        curves = [row[key] for row in task.rows(contender)]
        failed += sum(len(curve) < len(steps) for curve in curves)
        for place, step in enumerate(steps):
            losses = [curve[place] for curve in curves if len(curve) > place and curve[place] is not None]
            if losses:
                mean = mean_interval(losses)
                row = {"contender": contender, "kind": task.kind(contender), "step": step, "loss": mean.mean}
                rows.append(row | {"low": mean.low, "high": mean.high, "seeds": len(losses)})
    return curves_chart(f"{prefix}{CURVES[key]}-curves", task.name, rows, task.hidden, failed, of=CURVES[key])


def _sensitivity(task: _Task, prefix: str) -> Chart:
    rows: list[Row] = []
    failed = 0
    for tuning in task.tuning():
        chosen, name = tuning["values"][RATE], tuning["contender"]
        for cell in tuning["sensitivity"]["curve"]:
            failed += cell["loss"] is None
            if cell["loss"] is not None:
                row = {"contender": name, "kind": task.kind(name), "rate": cell["rate"]}
                rows.append(row | {"times": cell["rate"] / chosen, "loss": cell["loss"]})
    losses: dict[str, list[float]] = {}
    for row in rows:
        losses.setdefault(row["contender"], []).append(row["loss"])
    span = tuning_span(losses)
    return sensitivity_chart(f"{prefix}sensitivity", task.name, rows, task.hidden, span, failed)


def _rate_sensitivity(task: _Task, prefix: str) -> Chart:
    rows: list[Row] = []
    failed = 0
    for found in task.drawn_of("rate_sensitivity"):
        for one in found["losses"]:
            failed += one["failed"]
            rows += task.mean(found["contender"], "factor", one["factor"], one["loss"])
    factors = sorted({row["factor"] for row in rows})
    return rate_sensitivity_chart(f"{prefix}rate-sensitivity", task.name, rows, task.hidden, factors, failed)


def _tuning_curves(task: _Task, prefix: str) -> Chart:
    rows = [
        row
        for found in task.drawn_of("tuning_curves")
        for trials, loss in enumerate(found["losses"], start=1)
        for row in task.mean(found["contender"], "trials", trials, loss)
    ]
    return tuning_curve_chart(f"{prefix}tuning-curve", task.name, rows, task.hidden)


def _heat_maps(task: _Task, prefix: str) -> tuple[list[Chart], int]:
    """Heat maps of the displayed contenders with weight decay, and the number of contenders without."""
    tunings = [tuning for tuning in task.tuning() if tuning["sensitivity"]["heat_map"]]
    cells = {row["contender"]: [cell["loss"] for cell in row["sensitivity"]["heat_map"]] for row in tunings}
    known = {name: [loss for loss in losses if loss is not None] for name, losses in cells.items()}
    span = tuning_span({name: losses for name, losses in known.items() if losses})
    names = _unlike(f"{prefix}heat-map-{file_name(tuning['contender'])}" for tuning in tunings)
    charts = [_heat_map(task, tuning, name, span) for tuning, name in zip(tunings, names, strict=True)]
    return charts, len(task.order) - len(charts)


def _heat_map(task: _Task, tuning: Mapping[str, Any], name: str, span: Span) -> Chart:
    rows: list[Row] = []
    for cell in tuning["sensitivity"]["heat_map"]:
        sides = {"rate": cell["rate"] / HALF_CELL, "rate_to": cell["rate"] * HALF_CELL}
        sides |= {"decay": cell["decay"] / HALF_CELL, "decay_to": cell["decay"] * HALF_CELL}
        rows.append(
            {"part": "cell", **{key: float(f"{side:.4g}") for key, side in sides.items()}, "loss": cell["loss"]}
        )
    for trial in tuning["trials"]:
        values, losses = trial["values"], trial["losses"]
        if values.get(DECAY):
            loss = None if None in losses else sum(losses) / len(losses)
            row = {"part": "trial", "rate": values[RATE], "decay": abs(values[DECAY]), "loss": loss}
            row |= {"seeds": len(losses), "words": "failed" if loss is None else f"{loss:.5f}"}
            rows.append(row | {"chosen": values == tuning["values"]})
    contender = tuning["contender"]
    unit = "learning rate" if contender in task.baselines else "learning rate, times its own"
    return heat_map(name, contender, task.name, rows, span, unit)


def _merged(tunings: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """One tuning out of the replicates of a contender on a task."""
    best = min(tunings, key=lambda row: float("inf") if row["loss"] is None else row["loss"])
    cells: dict[str, list[Mapping[str, Any]]] = {}
    for part in ("curve", "heat_map"):
        lowest: dict[tuple[float, float | None], Mapping[str, Any]] = {}
        for cell in (cell for row in tunings for cell in row["sensitivity"][part]):
            place = cell["rate"], cell["decay"]
            known = lowest.get(place)
            if known is None or known["loss"] is None or (cell["loss"] is not None and cell["loss"] < known["loss"]):
                lowest[place] = cell
        cells[part] = [lowest[place] for place in sorted(lowest, key=lambda p: (p[0], p[1] or 0.0))]
    trials = [trial for row in tunings for trial in row["trials"]]
    return {**best, "trials": trials, "sensitivity": {**best["sensitivity"], **cells}}


def _unlike(names: Iterator[str]) -> list[str]:
    """Makes names unique by appending numbers to duplicates."""
    found: list[str] = []
    for name in names:
        found.append(name if name not in found else next(new for n in count(2) if (new := f"{name}-{n}") not in found))
    return found


def file_name(text: str) -> str:
    """Converts a text to part of a file name."""
    return re.sub(r"[^A-Za-z0-9_.@-]+", "-", text).strip("-.")[:60] or "x"
