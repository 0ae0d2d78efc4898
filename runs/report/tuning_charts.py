"""Charts of the tunings of an evaluation: loss at multiples of the tuned rate, and loss against tuning budget."""

from __future__ import annotations

from collections.abc import Sequence

from optsearch.runs.report.chart import Chart, Row, Spec, axis, picked, tips
from optsearch.runs.report.selection_charts import (
    beyond_words,
    contender_colors,
    hidden_words,
    kind_dashes,
    loss_scale,
    tuning_span,
)


def rate_sensitivity_chart(
    name: str, task: str, rows: Sequence[Row], hidden: int, factors: Sequence[float], failed: int
) -> Chart:
    """Loss at multiples of the tuned rates on a task, all else fixed.

    Args:
        name: name of the chart.
        task: name of the task.
        rows: ``contender``, ``kind``, ``factor``, ``loss``, ``low``, ``high``, ``replicates``.
        hidden: number of contenders that are not drawn.
        factors: the factors, in increasing order.
        failed: number of runs that did not train.
    """
    title = "learning rate, in multiples of the tuned one"
    x = axis("factor", title, scale={"type": "log", "base": 2, "nice": False})
    x["axis"] = {"values": list(factors), "format": "~g"}
    note = (
        "Each tuned point at multiples of its rate, all else fixed, on one further seed for each replicate. Means and "
    )
    note += "95 % intervals over replicates; a flat curve forgives a wrong rate. Baselines are dashed."
    note += f" {failed} runs that did not train are left out." if failed else ""
    return _means(name, f"Loss at multiples of the tuned rate on {task}", note, rows, hidden, x, "factor", "~g")


def tuning_curve_chart(name: str, task: str, rows: Sequence[Row], hidden: int) -> Chart:
    """Loss against tuning budget on a task.

    Args:
        name: name of the chart.
        task: name of the task.
        rows: ``contender``, ``kind``, ``trials``, ``loss``, ``low``, ``high``, ``replicates``.
        hidden: number of contenders that are not drawn.
    """
    x = axis("trials", "tuning trials", scale={"type": "log", "nice": False})
    x["axis"] = {"format": "d"}
    note = "Validation loss of the point that would have been selected after so many trials, in the order tried: means "
    note += "and 95 % intervals over replicates. It is the loss on the tuning seeds: selection makes it lower than on "
    note += "other seeds. A curve begins where every replicate has a point with all seeds."
    return _means(name, f"Loss against tuning budget on {task}", note, rows, hidden, x, "trials", "d")


def _means(name: str, title: str, note: str, rows: Sequence[Row], hidden: int, x: Spec, field: str, form: str) -> Chart:
    """Means of contenders as lines with bands of their intervals."""
    losses: dict[str, list[float]] = {}
    for row in rows:
        losses.setdefault(row["contender"], []).append(row["loss"])
    scale, beyond = loss_scale(tuning_span(losses), [row["loss"] for row in rows])
    y, color, pick = axis("loss", "validation loss", scale=scale), contender_colors(rows), picked("contender")
    tooltip = tips(
        ("contender", "", None), (field, field, form), ("loss", "mean", ".5f"), ("low", "95 % from", ".5f"),
        ("high", "to", ".5f"), ("replicates", "replicates", "d"),
    )  # fmt: skip
    opacity: Spec = {"condition": {"param": "pick", "value": 0.16}, "value": 0.02}
    ends = {"y": y | {"field": "low"}, "y2": {"field": "high"}}
    band = {"mark": {"type": "area", "clip": True}, "encoding": {"x": x, **ends, "color": color, "opacity": opacity}}
    line = {
        "params": pick["params"],
        "mark": {"type": "line", "point": {"size": 30}},
        "encoding": {
            "x": x, "y": y, "color": color, "strokeDash": kind_dashes(), "opacity": pick["opacity"], "tooltip": tooltip
        },
    }  # fmt: skip
    spec: Spec = {"layer": [band, line], "height": 280}
    return Chart(name, title, note + hidden_words(hidden) + beyond_words(beyond), spec, rows)
