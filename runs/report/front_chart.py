"""The chart of the Pareto front: fitness, length and state of the programs that no other one beats in all three."""

from __future__ import annotations

from collections.abc import Sequence

from optsearch.runs.report.chart import NOT_ZERO, Chart, Row, Spec, axis, layer, picked, series, tips
from optsearch.runs.report.explain import BYTES
from optsearch.runs.summary.front import FrontProgram
from optsearch.runs.summary.leaderboard import RankedProgram
from optsearch.search.population.archive import Size, size_of


def front_chart(front: Sequence[FrontProgram], ranked: Sequence[RankedProgram]) -> Chart:
    """Fitness against live statements; the colour is the state in bytes of float32 per parameter.

    Args:
        front: programs of the front.
        ranked: further programs, drawn faintly.
    """
    shown = {row.id for row in front}
    rows = [_row("front", one.id, one.fitness, one.size) for one in front]
    rows += [
        _row("others", one.id, one.fitness, size_of(one.program))
        for one in ranked
        if one.id not in shown and one.fitness is not None
    ]
    names = [_state(arrays) for arrays in sorted({row["arrays"] for row in rows})]
    color, pick = series("state", "state per parameter", domain=names), picked("state")
    x = axis("statements", "live statements", scale=NOT_ZERO)
    y = axis("fitness", "fitness (validation loss)", scale=NOT_ZERO)
    tooltip = tips(
        ("program", "program", None), ("fitness", "fitness", ".5f"), ("statements", "live statements", "d"),
        ("state", "state per parameter", None),
    )  # fmt: skip
    dots: Spec = {"x": x, "y": y, "color": color, "tooltip": tooltip}
    line: Spec = {"type": "line", "interpolate": "step-after", "strokeWidth": 1}
    layers = [
        layer("others", {"type": "circle", "size": 30, "opacity": 0.35}, dots),
        layer("front", line, {"x": x, "y": y, "color": color, "opacity": pick["opacity"]}),
        layer("front", {"type": "circle", "size": 110, "opacity": 1}, dots) | {"params": pick["params"]},
    ]
    note = (
        "Lower, shorter and with less state is better. Large dots: no other program has lower fitness, fewer "
        "statements and less state at once. Small dots: other programs of the leaderboard."
    )
    return Chart("front", "Loss against length and state", note, {"layer": layers, "height": 300}, rows)


def _row(part: str, program: str, fitness: float, size: Size) -> Row:
    about = {"part": part, "program": program, "fitness": fitness, "statements": size.statements}
    return about | {"state": _state(size.state), "arrays": size.state}


def _state(arrays: int) -> str:
    return f"{BYTES * arrays} bytes"
