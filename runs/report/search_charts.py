"""The charts of a search; each function turns typed records into a chart.

Rows without a value are omitted; the note of the chart states their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optsearch.runs.report.chart import (
    EVALUATIONS,
    NOT_ZERO,
    PALETTE,
    PERCENT,
    PROGRAMS,
    Chart,
    Row,
    Spec,
    axis,
    layer,
    picked,
    row_of,
    series,
    tips,
)
from optsearch.runs.summary.history import VERDICTS, MutationStatistics, OutcomeShare, Window
from optsearch.runs.summary.lineage import Edge, LineageStep


@dataclass(frozen=True, slots=True)
class ProgressPoint:
    """A program in the progress chart.

    Attributes:
        series: name of the line that it belongs to.
        run: name of the run.
        evaluations: number of evaluated programs, the budget that searches share.
        programs: number of generated programs, with those that are equivalent to an evaluated one.
        fitness: fitness of the program.
        program: id of the program within the run.
    """

    series: str
    run: str
    evaluations: int
    programs: int
    fitness: float
    program: str


@dataclass(frozen=True, slots=True)
class Band:
    """Mean best fitness over the runs of a study.

    Attributes:
        series: name of the search.
        evaluations: number of evaluated programs.
        mean: mean over the runs.
        low: lower end of the 95 % interval; None for a single run.
        high: upper end of the interval; None for a single run.
    """

    series: str
    evaluations: int
    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Share:
    """A fraction of the programs or statements in a window of a search.

    Attributes:
        series: description of the fraction.
        run: name of the run.
        programs: number of generated programs at the end of the window.
        share: the fraction.
    """

    series: str
    run: str
    programs: int
    share: float


@dataclass(frozen=True, slots=True)
class ValidatedPoint:
    """A best program in the chart of the meta-validation.

    Attributes:
        series: name of the run.
        program: id of the program within the run.
        evaluations: number of evaluations when the program was the best.
        fitness: fitness in the search.
        loss: loss on the larger task.
    """

    series: str
    program: str
    evaluations: int
    fitness: float
    loss: float


def progress_chart(
    lines: Sequence[ProgressPoint],
    points: Sequence[ProgressPoint],
    bands: Sequence[Band],
    hidden: int,
    span: tuple[float, float],
) -> Chart:
    """Best fitness against evaluated programs, for every search of every run.

    Args:
        lines: changes of the best program.
        points: evaluated programs.
        bands: means over the runs of a study; empty without a study.
        hidden: number of evaluated programs that ``points`` omits.
        span: minimum and maximum displayed fitness; points outside are omitted.
    """
    inside = [point for point in points if point.fitness <= span[1]]
    hidden += len(points) - len(inside)
    rows = [{"part": "points", **row_of(row)} for row in inside]
    rows += [{"part": "line", **row_of(row)} for row in lines] + [{"part": "band", **row_of(row)} for row in bands]
    names = list(dict.fromkeys(row.series for row in lines))
    scale = {"domain": list(span), "nice": False, "zero": False, "clamp": True}
    title, x, color = "best fitness (validation loss)", axis("evaluations", EVALUATIONS), series(domain=names)
    y, pick = axis("fitness", title, scale=scale), picked()
    tooltip = tips(
        ("run", "run", None), ("series", "search", None), ("program", "program", None),
        ("evaluations", "evaluations", ",d"), ("programs", "generated", ",d"), ("fitness", "fitness", ".5f"),
    )  # fmt: skip
    layers: list[Spec] = []
    if inside:
        faint = {"opacity": {"value": 0.3}, "color": {"value": PALETTE[-1]}}
        layers.append(layer("points", {"type": "circle", "size": 12}, {"x": x, "y": y, "tooltip": tooltip, **faint}))
    if bands:
        low, mean = axis("low", title, scale=scale), axis("mean", title, scale=scale)
        ends = {"x": x, "y": low, "y2": {"field": "high"}, "color": color}
        layers.append(layer("band", {"type": "area", "opacity": 0.15}, ends))
        layers.append(layer("band", {"type": "line", "strokeDash": [5, 3]}, {"x": x, "y": mean, "color": color}))
    steps: Spec = {"type": "line", "interpolate": "step-after", "point": {"size": 22, "filled": True}}
    steps |= {"strokeWidth": 1} if bands else {}
    detail: Spec = {"field": "run", "type": "nominal"}
    encoding = {"x": x, "y": y, "color": color, "detail": detail, "tooltip": tooltip, "opacity": pick["opacity"]}
    layers.append(layer("line", steps, encoding) | {"params": pick["params"]})
    note = "Lower is better. The axis is what all searches have equally many of: evaluations; the main search begins "
    note += "after those of its first stage. Points are changes of the best program; "
    note += "click a name below the chart to single it out."
    note += " Dashed lines and bands are means over the runs with 95 % intervals, cut at the edge." if bands else ""
    note += f" Grey dots are evaluated programs; {hidden:,} more are not drawn." if inside else ""
    return Chart("progress", "Search progress", note, {"layer": layers, "height": 320}, rows)


def time_chart(shares: Sequence[Share]) -> Chart:
    """Fractions of cache hits and redundant statements over time."""
    pick = picked()
    y = axis("share", "share", axis=PERCENT, scale={"domain": [0, 1]})
    tooltip = tips(
        ("run", "run", None), ("series", "", None), ("programs", "generated", ",d"), ("share", "share", ".1%")
    )
    encoding = {
        "x": axis("programs", PROGRAMS),
        "y": y,
        "color": series(),
        "detail": {"field": "run", "type": "nominal"},
        "tooltip": tooltip,
        "opacity": pick["opacity"],
    }
    spec = {"params": pick["params"], "mark": {"type": "line", "point": {"size": 14}}, "encoding": encoding}
    note = "Shares in windows of the search: programs that an earlier one stands for, and statements that cannot "
    note += "influence the update."
    return Chart("cache", "Cache hits and redundant statements", note, spec, [row_of(row) for row in shares])


def meta_chart(points: Sequence[ValidatedPoint], task: str) -> Chart:
    """Meta-validation: loss on the larger task against fitness.

    Args:
        points: best programs that train on the larger task.
        task: name of the larger task.
    """
    rows = [row_of(point) for point in points]
    tooltip = tips(
        ("series", "run", None), ("program", "program", None), ("evaluations", "after evaluations", ",d"),
        ("fitness", "fitness", ".5f"), ("loss", "larger task", ".5f"),
    )  # fmt: skip
    x = axis("fitness", "search fitness (better to the right)", scale={**NOT_ZERO, "reverse": True})
    y = axis("loss", "validation loss on the larger task", scale=NOT_ZERO)
    line = {
        "mark": {"type": "line", "opacity": 0.4, "strokeWidth": 1},
        "encoding": {"x": x, "y": y, "order": axis("evaluations", ""), "color": series()},
    }
    dots = {
        "mark": {"type": "circle", "size": 60, "opacity": 1},
        "encoding": {"x": x, "y": y, "color": series(), "tooltip": tooltip},
    }
    note = (
        f"The best program of each moment, trained on {task}, which is no part of the fitness. When the line climbs, "
    )
    note += "the search overfits its proxy."
    return Chart(
        "meta-validation", "Meta-validation against fitness", note, {"layer": [line, dots], "height": 300}, rows
    )


def outcomes_chart(shares: Sequence[OutcomeShare]) -> Chart:
    """Outcomes of evaluations over time."""
    tooltip = tips(
        ("series", "", None),
        ("outcome", "outcome", None),
        ("programs", "up to program", ",d"),
        ("share", "share", ".1%"),
        ("count", "evaluations", "d"),
    )
    y = axis("share", "share of evaluations", stack="zero", axis=PERCENT, scale={"domain": [0, 1]})
    encoding = {"x": axis("programs", PROGRAMS), "y": y, "color": series("outcome"), "tooltip": tooltip}
    spec: Spec = {"mark": {"type": "area", "line": True, "opacity": 0.65}, "encoding": encoding}
    return Chart(
        "outcomes",
        "Outcomes of evaluations",
        "What became of the programs that were trained, in windows of the search.",
        spec,
        [row_of(row) for row in shares],
    )


def mutations_chart(kinds: Sequence[MutationStatistics]) -> Chart:
    """Effects of mutations by kind."""
    tooltip = tips(
        ("kind", "mutation", None),
        ("verdict", "child is", None),
        ("children", "children", ",d"),
        ("share", "share", ".2%"),
    )
    places = [{"calculate": f"indexof({list(VERDICTS)!r}, datum.verdict)", "as": "place"}]
    encoding = {
        "y": {"field": "kind", "type": "nominal", "title": None},
        "x": axis("share", "share of children", stack="zero", axis=PERCENT, scale={"domain": [0, 1]}),
        "color": series("verdict", domain=VERDICTS),
        "order": axis("place", ""),
        "tooltip": tooltip,
    }
    spec: Spec = {
        "transform": places,
        "mark": {"type": "bar"},
        "encoding": encoding,
        "height": 90 + 26 * len(kinds),
    }
    return Chart(
        "mutations",
        "What mutations led to",
        "Children by the kind of mutation that made them, against their parents.",
        spec,
        [
            {"kind": kind.kind, "verdict": name, "children": count, "share": count / kind.children}
            for kind in kinds
            for name, count in kind.verdicts.items()
        ],
    )


def population_chart(windows: Sequence[Window]) -> Chart:
    """Fitness of the population over time.

    Args:
        windows: windows whose population has members that trained.
    """
    tooltip = tips(
        ("programs", "generated", ",d"),
        ("best", "best alive", ".5f"),
        ("median", "median", ".5f"),
        ("ninetieth", "90 %", ".5f"),
    )
    x, scale = axis("programs", PROGRAMS), {**NOT_ZERO, "type": "linear"}
    title = "fitness of the population"
    band = {
        "mark": {"type": "area", "opacity": 0.2},
        "encoding": {"x": x, "y": axis("tenth", title, scale=scale), "y2": {"field": "ninetieth"}, "tooltip": tooltip},
    }
    median = {
        "mark": {"type": "line", "point": {"size": 14}},
        "encoding": {"x": x, "y": axis("median", title, scale=scale), "tooltip": tooltip},
    }
    best = {
        "mark": {"type": "line", "strokeDash": [4, 3]},
        "encoding": {"x": x, "y": axis("best", title, scale=scale), "tooltip": tooltip},
    }
    note = "Median, the best alive (dashed) and the range from 10 % to 90 % of the members that trained."
    return Chart(
        "population",
        "The population over time",
        note,
        {"layer": [band, median, best]},
        [row_of(row) for row in windows],
    )


def tree_chart(edges: Sequence[Edge], hidden: int, top: float) -> Chart:
    """The family tree of a search.

    Args:
        edges: edges, as returned by ``lineage.family_tree``.
        hidden: number of programs that the edges omit.
        top: maximum displayed fitness.
    """
    rows = [row_of(edge) for edge in edges if edge.fitness <= top]
    hidden += len(edges) - len(rows)
    names = ["winner's line", "others"]
    tooltip = tips(
        ("program", "program", None),
        ("programs", "generated as", ",d"),
        ("fitness", "fitness", ".5f"),
        ("steps", "mutations since", ",d"),
    )
    x, y = axis("programs", PROGRAMS), axis("fitness", "fitness", scale=NOT_ZERO)
    start = {"x": axis("from_programs", PROGRAMS), "y": axis("from_fitness", "fitness", scale=NOT_ZERO)}
    weight: Spec = {"condition": {"test": "datum.line === 'others'", "value": 0.3}, "value": 1}
    edge = {
        "mark": {"type": "rule"},
        "encoding": {
            **start,
            "x2": {"field": "programs"},
            "y2": {"field": "fitness"},
            "color": series("line", domain=names),
            "opacity": weight,
        },
    }
    dot = {
        "mark": {"type": "circle", "size": 26},
        "encoding": {"x": x, "y": y, "color": series("line", domain=names), "tooltip": tooltip, "opacity": weight},
    }
    note = "Ancestors of the last population and of the best program, where lines branch or the winner's fitness "
    note += f"changes; {hidden:,} programs are not drawn."
    return Chart("family-tree", "The population's tree", note, {"layer": [edge, dot], "height": 320}, rows)


def without_program(step: LineageStep) -> Row:
    """A step of a lineage as a row, without the text of its program."""
    return {name: value for name, value in row_of(step).items() if name != "program"}


def lineage_chart(line: Sequence[LineageStep]) -> Chart:
    """Fitness along the lineage of the best program, from the warm start on."""
    tooltip = tips(
        ("id", "program", None), ("mutation", "mutation", None), ("fitness", "fitness", ".5f"), ("gain", "gain", "+.5f")
    )
    x, y = (
        axis("step", "mutations since the warm start", axis={"tickMinStep": 1, "format": "d"}),
        axis("fitness", "fitness", scale=NOT_ZERO),
    )
    path = {
        "mark": {"type": "line", "interpolate": "step-after", "opacity": 0.5, "color": PALETTE[-1]},
        "encoding": {"x": x, "y": y},
    }
    dots = {
        "mark": {"type": "circle", "size": 55, "opacity": 1},
        "encoding": {"x": x, "y": y, "color": series("kind"), "tooltip": tooltip},
    }
    hidden = sum(step.fitness is None for step in line)
    note = "Every mutation from the warm start to the best program." + (
        f" {hidden} programs that did not train are not drawn." if hidden else ""
    )
    rows = [{"step": place, **without_program(step)} for place, step in enumerate(line)]
    return Chart("lineage", "From the warm start to the winner", note, {"layer": [path, dots]}, rows)
