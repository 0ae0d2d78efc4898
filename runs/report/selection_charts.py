"""The charts of funnels and evaluations; each function turns plain rows into a chart.

Contenders are programs and baselines. A chart that shows only some of them states the number of omitted ones. Losses
outside the axis range are clipped to it, because a nearly diverging contender would compress all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from optsearch.runs.report.chart import PALETTE, TEXT, Chart, Row, Spec, axis, decades, layer, picked, series, tips

KINDS = ("program", "baseline")

HEATS = ("#0b4f8a", "#2f86bd", "#7fbfd0", "#e7dfb2", "#e79a5f", "#c4513a")
"""Colours of a heat map, in order of increasing loss."""

SPREAD = 4.0
"""Distance of the axis limit above the median, as a multiple of the median's distance to the lowest loss."""

Span = tuple[float, float]

Curve = Literal["learning", "validation"]
"""Kind of a learning curve: training losses since the checkpoint before, or validation losses at the checkpoints."""

_CURVES: Mapping[Curve, tuple[str, str, str]] = {
    "learning": ("Learning curves", "training loss", "Training loss since the checkpoint before"),
    "validation": ("Validation curves", "validation loss", "Validation loss at the checkpoint"),
}
"""Heading, title of the axis, and description of each kind."""


def span_of(losses: Iterable[float]) -> Span:
    """Axis range from the lowest loss to the highest, clipped if outliers would compress the rest."""
    known = sorted(losses)
    if not known:
        return 0.0, 1.0
    low, middle, high = known[0], known[len(known) // 2], known[-1]
    return low, min(high, middle + SPREAD * (middle - low)) if middle > low else high


def tuning_span(losses: Mapping[str, Sequence[float]]) -> Span:
    """Axis range for tuning trials, which includes the best trial of every contender.

    Args:
        losses: losses of each contender's trials; nonempty for each.
    """
    low, high = span_of(loss for found in losses.values() for loss in found)
    worst = max((min(found) for found in losses.values()), default=low)
    return low, max(high, worst + 0.25 * (worst - low))


_BESIDE, _WIDEST_NAME, _MARGIN = 9, 160, 20
"""Pixels between a name and its point, of the widest name, and left of the first stage."""


def funnel_chart(name: str, rows: Sequence[Row], stages: Sequence[str], hidden: int) -> Chart:
    """Ranks of programs over the stages of a funnel.

    Args:
        name: name of the chart.
        rows: ``contender``, ``stage``, ``rank``, ``score``, ``why``, ``last`` (``went on``, ``fell`` or ``left``),
            ``fate`` (``left at the end`` or ``fell``).
        stages: names of the stages in order.
        hidden: number of programs that are not drawn.
    """
    fates = ["left at the end", "fell"]
    x: Spec = {"field": "stage", "type": "ordinal", "title": "stage", "sort": list(stages), "axis": {"labelAngle": 0}}
    named = max((len(row["contender"]) for row in rows if row["stage"] == stages[-1]), default=0)
    space = min(_WIDEST_NAME, round(0.6 * TEXT * named)) + _BESIDE  # for names at the last stage, also on a narrow page
    x["scale"] = {"range": [_MARGIN, {"expr": f"width - {space}"}]}
    ranks = max((row["rank"] for row in rows), default=1)
    ticks = sorted({1, *range(5, ranks + 1, 5)}) if ranks > 8 else list(range(1, ranks + 1))
    y = axis("rank", "rank (1 is the best)", scale={"reverse": True, "domain": [0.5, ranks + 0.5], "nice": False})
    y["axis"] = {"values": ticks, "format": "d", "grid": False}
    color = {
        "field": "fate",
        "type": "nominal",
        "title": None,
        "scale": {"domain": fates, "range": [PALETTE[2], PALETTE[-1]]},
    }
    shape = {
        "field": "last",
        "type": "nominal",
        "title": None,
        "scale": {"domain": ["went on", "fell", "left"], "range": ["circle", "M-1,-1L1,1M1,-1L-1,1", "circle"]},
        "legend": None,
    }
    tooltip = tips(("contender", "program", None), ("stage", "stage", None), ("rank", "rank", "d"))
    tooltip += tips(("loss", "loss", None), ("why", "", None))
    line = {
        "mark": {"type": "line", "strokeWidth": 2, "interpolate": "monotone"},
        "encoding": {"x": x, "y": y, "color": color, "detail": {"field": "contender", "type": "nominal"}},
    }
    dot = {
        "mark": {"type": "point", "size": 70, "filled": False, "strokeWidth": 2.4, "opacity": 1},
        "encoding": {"x": x, "y": y, "color": color, "shape": shape, "tooltip": tooltip},
    }
    label = {
        "transform": [{"filter": "datum.last !== 'went on'"}],
        "mark": {"type": "text", "align": "left", "dx": _BESIDE, "limit": _WIDEST_NAME},
        "encoding": {"x": x, "y": y, "text": {"field": "contender", "type": "nominal"}, "color": color},
    }
    note = "Each line is a program, named where its way ends; a cross is where it fell. Lines that cross say that the "
    note += "stages rank differently." + (f" {hidden:,} programs that fell early are not drawn." if hidden else "")
    spec = {"layer": [line, dot, label], "height": min(90 + 24 * ranks, 460)}
    return Chart(name, "Who passed and who fell", note, spec, rows)


def losses_chart(
    name: str, title: str, x_title: str, rows: Sequence[Row], failed: int, hidden: int = 0, *, unit: str = "seed"
) -> Chart:
    """Losses by replicate or seed with their mean and interval.

    Args:
        name: name of the chart.
        title: title of the chart.
        x_title: title of the loss axis.
        rows: rows with ``part`` point have ``contender``, ``kind``, ``loss``, ``number``; those with ``part`` mean have
            ``low`` and ``high`` too.
        failed: number of runs that did not train.
        hidden: number of trained runs without a tick mark.
        unit: ``replicate`` or ``seed``: what a point stands for.
    """
    order = list(dict.fromkeys(row["contender"] for row in rows))
    label = {"labelLimit": 230, "labelExpr": "split(datum.label, ' with ')"}  # long names take two lines
    y: Spec = {"field": "contender", "type": "nominal", "title": None, "sort": order, "axis": label}
    losses = [row["loss"] for row in rows]
    low, high = span_of(losses)
    ends = [row[end] for row in rows for end in ("low", "high") if row["part"] == "mean" and row[end] is not None]
    span = max(min([low, *ends]), low - (high - low)), min(max([high, *ends]), high + (high - low))
    scale, beyond = loss_scale(span, [*losses, *ends])
    x = axis("loss", x_title, scale=scale)
    seeds = tips(("contender", "", None), ("number", unit, "d"), ("loss", "loss", ".5f"))
    mean = tips(("contender", "", None), ("loss", "mean", ".5f"), ("low", "95 % from", ".5f"), ("high", "to", ".5f"))
    grey = {"color": {"value": PALETTE[-1]}}
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    color: Spec = {"color": series("kind", domain=kinds) | {"legend": None}}
    bar = {"x": axis("low", x_title, scale=scale), "x2": {"field": "high"}, "y": y, "tooltip": mean, **color}
    layers = [
        layer("point", {"type": "tick", "opacity": 0.55, "clip": True}, {"x": x, "y": y, "tooltip": seeds, **grey}),
        layer("mean", {"type": "rule", "strokeWidth": 3}, bar),
        layer("mean", {"type": "circle", "size": 90, "opacity": 1}, {"x": x, "y": y, "tooltip": mean, **color}),
    ]
    of = "independent tuning, its mean over fresh seeds" if unit == "replicate" else "fresh seed"
    note = f"One tick for each {of}; the dot is the mean, the bar its 95 % interval."
    note += f" {failed} runs that did not train are left out." if failed else ""
    note += f" {hidden:,} more seeds have none, but count." if hidden else ""
    note += beyond_words(beyond)
    return Chart(name, title, note, {"layer": layers, "height": 60 + 34 * len(order)}, rows)


def differences_chart(name: str, task: str, rows: Sequence[Row]) -> Chart:
    """Loss differences between programs and baselines on a task.

    Args:
        name: name of the chart.
        task: name of the task.
        rows: ``contender``, ``baseline``, ``difference``, ``low``, ``high``, ``corrected``, ``verdict``.
    """
    order = list(dict.fromkeys(row["contender"] for row in rows))
    baselines = list(dict.fromkeys(row["baseline"] for row in rows))
    title = "loss minus that of the baseline (negative is better)"
    ends = [abs(row[key]) for row in rows for key in ("difference", "low", "high") if row[key] is not None]
    edge = span_of(ends)[1]
    scale = {"domain": [-edge, edge], "nice": True, "clamp": True}
    beyond = sum(end > edge for end in ends)
    label = {"labelLimit": 230, "labelExpr": "split(datum.label, ' with ')"}  # long names take two lines
    y: Spec = {"field": "contender", "type": "nominal", "title": None, "sort": order, "axis": label}
    offset = {"field": "baseline", "type": "nominal", "sort": baselines}
    color = series("baseline", "against", domain=baselines)
    tooltip = tips(
        ("contender", "program", None), ("baseline", "against", None), ("difference", "difference", "+.5f"),
        ("low", "95 % from", "+.5f"), ("high", "to", "+.5f"), ("corrected", "p, corrected", ".3g"),
        ("verdict", "it is", None),
    )  # fmt: skip
    place = {"y": y, "yOffset": offset, "color": color, "tooltip": tooltip}
    grey = {"color": {"value": PALETTE[-1]}}
    zero = {"mark": {"type": "rule", "strokeDash": [3, 3]}, "encoding": {"x": {"datum": 0, "title": title}, **grey}}
    bar = {
        "mark": {"type": "rule", "strokeWidth": 2.5},
        "encoding": {"x": axis("low", title, scale=scale), "x2": {"field": "high"}, **place},
    }
    dot = {
        "mark": {"type": "circle", "size": 80, "opacity": 1},
        "encoding": {"x": axis("difference", title, scale=scale), **place},
    }
    note = "With 95 % intervals; an interval that contains 0 shows no difference." + beyond_words(beyond)
    height = 115 + max(34, 22 * len(baselines)) * len(order)
    return Chart(name, f"Against the baselines on {task}", note, {"layer": [bar, dot, zero], "height": height}, rows)


def trend_chart(name: str, task: str, opponent: str, rows: Sequence[Row]) -> Chart:
    """Loss differences between programs and an opponent against the number of steps.

    Args:
        name: name of the chart.
        task: name of the task.
        opponent: name of the baseline or family.
        rows: ``contender``, ``steps``, ``difference``, ``low``, ``high``, ``verdict``.
    """
    order = list(dict.fromkeys(row["contender"] for row in rows))
    x = axis("steps", "steps of a run", scale={"type": "log", "base": 2, "nice": False, "padding": 20})
    x["axis"] = {"values": sorted({row["steps"] for row in rows}), "format": ",d"}
    title = f"loss minus that of {opponent} (negative is better)"
    color = series("contender", "program", domain=order)
    tooltip = tips(
        ("contender", "program", None), ("steps", "steps", ",d"), ("difference", "difference", "+.5f"),
        ("low", "95 % from", "+.5f"), ("high", "to", "+.5f"), ("verdict", "the lead", None),
    )  # fmt: skip
    encoding = {"x": x, "color": color, "tooltip": tooltip}
    line = {
        "mark": {"type": "line", "point": {"size": 45}},
        "encoding": {**encoding, "y": axis("difference", title)},
    }
    bar = {
        "mark": {"type": "rule", "strokeWidth": 2},
        "encoding": {**encoding, "y": axis("low", title), "y2": {"field": "high"}},
    }
    grey = {"color": {"value": PALETTE[-1]}}
    zero = {"mark": {"type": "rule", "strokeDash": [3, 3]}, "encoding": {"y": {"datum": 0, "title": title}, **grey}}
    note = "All contenders are tuned again at each number of steps. Replicates with the same fresh seeds are paired; "
    note += "95 % intervals over replicates."
    return Chart(
        name, f"Against {opponent} by steps on {task}", note, {"layer": [zero, bar, line], "height": 240}, rows
    )


def curves_chart(name: str, task: str, rows: Sequence[Row], hidden: int, failed: int, *, of: Curve) -> Chart:
    """Learning curves on a task, as means over seeds with intervals.

    Args:
        name: name of the chart.
        task: name of the task.
        rows: ``contender``, ``kind``, ``step``, ``loss``, ``low``, ``high``, ``seeds``.
        hidden: number of contenders that are not drawn.
        failed: number of runs that ended early.
        of: ``learning`` for training losses, ``validation`` for validation losses.
    """
    heading, title, what = _CURVES[of]
    losses = [row["loss"] for row in rows]
    first = sorted(next(row["loss"] for row in rows if row["contender"] == name) for name in _contenders(rows))
    low, high = (min(losses), min(max(losses), 2.0 * abs(first[len(first) // 2]))) if rows else (0.0, 1.0)
    logarithmic = low > 0.0 and high > 3.0 * low
    scale, beyond = loss_scale((low, high), losses)
    if logarithmic:
        scale = {"type": "log", "nice": False, "domain": [low / 1.1, high * 1.1], "clamp": True}
    x, y = axis("step", "step", scale={"nice": False}), axis("loss", title, scale=scale)
    if logarithmic:
        y["axis"] = {"tickCount": 6, "format": "~g"}
    tooltip = tips(
        ("contender", "", None), ("step", "step", ",d"), ("loss", "mean", ".5g"), ("low", "95 % from", ".5g"),
        ("high", "to", ".5g"), ("seeds", "seeds", "d"),
    )  # fmt: skip
    color, pick = contender_colors(rows), picked("contender")
    lower = [{"calculate": f"max(datum.low, {low / 1.1})" if logarithmic else "datum.low", "as": "from"}]
    bands: Spec = {"opacity": {"condition": {"param": "pick", "value": 0.16}, "value": 0.02}}
    band = {
        "transform": lower,
        "mark": {"type": "area"},
        "encoding": {"x": x, "y": y | {"field": "from"}, "y2": {"field": "high"}, "color": color, **bands},
    }
    line = {
        "params": pick["params"],
        "mark": {"type": "line", "point": {"size": 20}},
        "encoding": {
            "x": x, "y": y, "color": color, "strokeDash": kind_dashes(), "opacity": pick["opacity"], "tooltip": tooltip
        },
    }  # fmt: skip
    note = (
        f"{what}: mean over the fresh seeds with 95 % interval, each contender as it was tuned; baselines are dashed."
    )
    note += hidden_words(hidden) + (f" {failed} runs that failed end early." if failed else "") + beyond_words(beyond)
    return Chart(name, f"{heading} on {task}", note, {"layer": [band, line], "height": 280}, rows)


def sensitivity_chart(name: str, task: str, rows: Sequence[Row], hidden: int, span: Span, failed: int) -> Chart:
    """Loss against learning rate on a task.

    Args:
        name: name of the chart.
        task: name of the task.
        rows: ``contender``, ``kind``, ``rate``, ``times`` (the rate as a multiple of the selected rate), ``loss``.
        hidden: number of contenders that are not drawn.
        span: displayed range of losses.
        failed: number of learning-rate bins in which every trial failed.
    """
    scale, beyond = loss_scale(span, [row["loss"] for row in rows])
    x = axis("times", "learning rate, in multiples of the one chosen", scale={"type": "log", "nice": False})
    x |= decades(row["times"] for row in rows)
    y = axis("loss", "validation loss", scale=scale)
    tooltip = tips(
        ("contender", "", None), ("rate", "rate", ".3g"), ("times", "times the chosen", ".3g"), ("loss", "loss", ".5f")
    )
    pick = picked("contender")
    encoding = {
        "x": x, "y": y, "color": contender_colors(rows), "strokeDash": kind_dashes(), "opacity": pick["opacity"],
        "tooltip": tooltip,
    }  # fmt: skip
    spec: Spec = {"params": pick["params"], "mark": {"type": "line", "point": {"size": 30}}, "encoding": encoding}
    note = "The lowest loss of the trials near each rate, in which everything else varies too. Baselines are dashed; "
    note += "all have the same number of trials."
    note += hidden_words(hidden) + (f" In {failed} place{'s' * (failed > 1)} every trial failed." if failed else "")
    note += beyond_words(beyond)
    return Chart(name, f"Sensitivity to the learning rate on {task}", note, spec | {"height": 280}, rows)


def heat_map(name: str, contender: str, task: str, rows: Sequence[Row], span: Span, unit: str) -> Chart:
    """Loss against learning rate and weight decay, for one contender on one task.

    Args:
        name: name of the chart.
        contender: name of the contender.
        task: name of the task.
        rows: rows with ``part`` cell have ``rate``, ``rate_to``, ``decay``, ``decay_to`` and ``loss``; those with
            ``part`` trial have ``rate``, ``decay``, ``loss`` (None if the trial failed), ``seeds``, ``chosen``.
        span: losses of the lightest and darkest colours, shared by all contenders of the task.
        unit: unit of the learning rate.

    Source: Chen et al. 2023 (arXiv:2302.06675), figure 6, which shows sensitivity in this form.
    """
    logarithmic: Spec = {"type": "log", "nice": False}
    x, y = axis("rate", unit, scale=logarithmic), axis("decay", "weight decay", scale=logarithmic)
    for channel, field in ((x, "rate"), (y, "decay")):
        channel |= decades(row[key] for row in rows for key in (field, f"{field}_to") if key in row)
        channel["axis"] |= {"grid": False}
    scale = {"domain": list(span), "range": list(HEATS), "clamp": True, "interpolate": "rgb"}
    legend = {"gradientLength": 120, "gradientThickness": 8, "format": ".3~g", "tickCount": 3}
    color = axis("loss", "loss", scale=scale, legend=legend)
    cells = tips(("loss", "lowest loss here", ".5f"))
    trials = tips(
        ("rate", "rate", ".3g"), ("decay", "weight decay", ".3g"), ("words", "mean loss", None), ("seeds", "seeds", "d")
    )
    edges = {"x2": {"field": "rate_to"}, "y2": {"field": "decay_to"}}
    failed = {"condition": {"test": "datum.loss === null", "value": PALETTE[-1]}, **color}
    square = {"x": x, "y": y, **edges, "color": failed, "tooltip": cells}
    cell = layer("cell", {"type": "rect", "invalid": None}, square)
    ring = {"condition": {"test": "datum.chosen", "value": 150}, "value": 16}
    dots = layer(
        "trial",
        {"type": "point", "filled": False, "strokeWidth": 1.6, "opacity": 0.9, "color": "#14171a"},
        {"x": x, "y": y, "size": ring, "tooltip": trials},
    )
    count = sum(row["part"] == "trial" for row in rows)
    note = f"{count} trials, a dot each; the ring was chosen; empty is where nothing was tried." + _failed_words(rows)
    return Chart(name, f"{contender} on {task}", note, {"layer": [cell, dots], "height": 240}, rows)


def _failed_words(rows: Sequence[Row]) -> str:
    failed = sum(row["part"] == "trial" and row["loss"] is None for row in rows)
    return f" {failed} failed: grey where all of a cell did." if failed else ""


def loss_scale(span: Span, losses: Iterable[float]) -> tuple[Spec, int]:
    """Axis for a range of losses, and the number of losses beyond its limit."""
    margin = 0.05 * (span[1] - span[0]) or 0.05 * abs(span[0]) or 0.01
    domain = [span[0] - margin, span[1] + margin]
    beyond = sum(not domain[0] <= loss <= domain[1] for loss in losses)
    return {"zero": False, "nice": False, "domain": domain, "clamp": True}, beyond


def _contenders(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["contender"] for row in rows))


def contender_colors(rows: Sequence[Row]) -> Spec:
    """A colour for each contender, in order of appearance."""
    return series("contender", domain=_contenders(rows))


def kind_dashes() -> Spec:
    """Solid lines for programs, dashed ones for baselines."""
    return {
        "field": "kind",
        "type": "nominal",
        "scale": {"domain": list(KINDS), "range": [[1, 0], [5, 3]]},
        "legend": None,
    }


def hidden_words(hidden: int) -> str:
    """States how many contenders are not drawn; empty for none."""
    return f" {hidden} contenders of lower rank are not drawn." if hidden else ""


def beyond_words(beyond: int) -> str:
    """States how many values are clipped to the axis; empty for none."""
    if beyond == 1:
        return " 1 value lies beyond the edge and is drawn at it."
    return f" {beyond} values lie beyond the edge and are drawn at it." if beyond else ""
