"""Explanation of a program: cost, behaviour, similar optimizers, and formula."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from markupsafe import Markup, escape

from optsearch.dsl.cost import Cost, cost
from optsearch.dsl.export.text import to_latex
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program
from optsearch.runs.report.chart import Chart, Row, Spec, axis, decades, picked, series, tips
from optsearch.simplify.behaviour.probes import Probe, probes
from optsearch.simplify.behaviour.similarity import (
    Influence,
    Likeness,
    influence_words,
    influences,
    likeness_words,
    likenesses,
)
from optsearch.simplify.behaviour.stability import Restraint, Stability, restraint, stability
from optsearch.simplify.distil import Distilled, distil

REFERENCES = ("adamw", "lion")
"""Library programs that are drawn as references in every response chart."""

BYTES = 4
"""Bytes of a float32 number."""

DASHES = [[1, 0], [6, 3], [2, 3]]
"""Dash patterns of the program and of each reference."""

MANY_TIMES = 10
"""Change of the updates, relative to their size, above which its digits do not matter."""

TITLES = {
    "scale": "Response to the scale of the gradient",
    "evenness": "Sizes of the steps of different parameters",
    "spectrum": "Singular values of the step of a matrix",
    "spike": "Response to a spike",
    "noise": "Averaging of noise",
    "turn": "When the gradient turns",
    "schedule": "Response to the schedule",
    "stability": "Stability on quadratics",
}

TOPICS = {
    "scale": "gradient scale",
    "evenness": "step sizes",
    "spectrum": "matrices",
    "spike": "memory",
    "turn": "sign flips",
    "likeness": "like",
}
"""Display names of topics whose identifiers are unclear."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Properties of a program that are determined without training.

    Attributes:
        program: the program.
        cost: cost of one optimizer step.
        probes: responses to probes.
        restraint: bounds of updates and weights.
        stability: stable learning rates.
        likenesses: library programs by behavioural distance.
        influences: effect of each live statement.
    """

    program: Program
    cost: Cost
    probes: tuple[Probe, ...]
    restraint: Restraint
    stability: Stability
    likenesses: tuple[Likeness, ...]
    influences: tuple[Influence, ...]

    def says(self) -> list[tuple[str, str]]:
        """All results as pairs of topic and sentence."""
        return [
            ("cost", _cost_words(self.cost)),
            *((probe.name, probe.says) for probe in self.probes),
            *(("bounds", sentence) for sentence in self.restraint.says),
            ("stability", self.stability.says),
            ("likeness", likeness_words(self.likenesses)),
            ("statements", influence_words(self.influences)),
        ]

    @property
    def sentences(self) -> list[str]:
        """All results as sentences."""
        return [sentence for _, sentence in self.says()]


def explain(program: Program) -> Explanation:
    """Analyses a program.

    Args:
        program: a verified program.
    """
    return Explanation(
        program,
        cost(program),
        probes(program),
        restraint(program),
        stability(program),
        likenesses(program),
        influences(program),
    )


@lru_cache(maxsize=64)
def distilled(program: Program) -> Distilled:
    """Prunes and rewrites a program, without training."""
    return distil(program, ("prune", "rewrite"))


def response_charts(explanation: Explanation, name: str, prefix: str = "") -> list[Chart]:
    """Charts of the program's responses, each with those of the references.

    Args:
        explanation: explanation of the program.
        name: display name of the program.
        prefix: prefix of the charts' names.
    """
    contenders = [(name, explanation.probes, explanation.stability)]
    contenders += [(other, probes(LIBRARY[other]), stability(LIBRARY[other])) for other in REFERENCES]
    charts: list[Chart] = []
    for place, probe in enumerate(explanation.probes):
        rows = [
            {"series": label, "x": x, "y": y}
            for label, responses, _ in contenders
            for x, y in zip(responses[place].x, responses[place].y, strict=True)
        ]
        charts.append(
            _response_chart(prefix, probe.name, probe.says, (probe.x_title, probe.y_title), probe.logarithmic, rows)
        )
    rows = [
        {"series": label, "x": x, "y": y}
        for label, _, limits in contenders
        for x, y in zip(limits.curvatures, limits.rates, strict=True)
    ]
    titles = "curvature of the quadratic", "largest stable schedule"
    charts.append(_response_chart(prefix, "stability", explanation.stability.says, titles, True, rows))
    return charts


def _response_chart(
    prefix: str, name: str, says: str, titles: tuple[str, str], logarithmic: bool, rows: Sequence[Row]
) -> Chart:
    known = [row for row in rows if row["y"] is not None and (not logarithmic or row["y"] > 0.0)]
    hidden = len(rows) - len(known)
    scale: Spec = {"type": "log"} if logarithmic else {"zero": True, "nice": True}
    names = list(dict.fromkeys(row["series"] for row in rows))
    pick = picked()
    ticks = {key: decades(row[key] for row in known) if logarithmic else {} for key in ("x", "y")}
    encoding = {
        "x": axis("x", titles[0], scale=scale if logarithmic else {"nice": False}, **ticks["x"]),
        "y": axis("y", titles[1], scale=scale, **ticks["y"]),
        "color": series(domain=names) | {"legend": {"symbolType": "stroke"}},
        "strokeDash": series(domain=names) | {"scale": {"domain": names, "range": DASHES}},
        "opacity": pick["opacity"],
        "tooltip": tips(("series", "program", None), ("x", titles[0], ".4~g"), ("y", titles[1], ".4~g")),
    }  # fmt: skip
    mark = {"type": "line", "point": {"size": 18}} if logarithmic else {"type": "line"}
    spec: Spec = {"params": pick["params"], "mark": mark, "encoding": encoding, "height": 220}
    note = says + (f" {hidden} points without a finite value are not drawn." if hidden else "")
    return Chart(f"{prefix}{name}", TITLES[name], note, spec, known)


def cost_table(found: Cost) -> list[tuple[str, str, str]]:
    """Cost of a step per parameter: quantity, value of the program, value of AdamW."""
    other = cost(LIBRARY["adamw"])
    return [
        ("state arrays", str(found.state), str(other.state)),
        ("bytes of state (float32)", str(BYTES * found.state), str(BYTES * other.state)),
        ("operations", _operations(found), _operations(other)),
        ("the same, in additions", f"{found.arithmetic:g}", f"{other.arithmetic:g}"),
        ("bytes read and written", str(BYTES * found.traffic), str(BYTES * other.traffic)),
        ("passes over the parameters", str(found.passes), str(other.passes)),
    ]


def formula(program: Program) -> list[Markup]:
    """Steps of the algorithm as MathML, one per line."""
    lines: list[Markup] = []
    for line in to_latex(program).split("\n"):
        command, _, rest = line.strip().partition(" ")
        if command in (r"\State", r"\Require"):
            parts = re.split(r"\$(.+?)\$", rest)
            pieces = [
                _mathml(part) if place % 2 else escape(part.replace(r"\gets 0", "= 0"))
                for place, part in enumerate(parts)
            ]
            lines.append(Markup("").join(pieces))
    return lines


def _mathml(part: str) -> Markup:
    """Converts LaTeX to MathML; brackets stretch only around fractions, as stretching needs a mathematical font."""
    from latex2mathml.converter import convert

    text = convert(part)
    text = text if "<mfrac" in text else text.replace('stretchy="true"', 'stretchy="false"')
    return Markup(text)  # noqa: S704 - made of names and numbers of the language


def _operations(found: Cost) -> str:
    return ", ".join(f"{count} {operation.value}" for operation, count in found.operations.items()) or "none"


def _cost_words(found: Cost) -> str:
    other = cost(LIBRARY["adamw"])
    arrays = f"{found.state} state array{'' if found.state == 1 else 's'}"
    operations, moved = sum(found.operations.values()), BYTES * found.traffic
    return (
        f"It keeps {arrays}, {BYTES * found.state} bytes a parameter (AdamW {BYTES * other.state}), takes {operations} "
        f"operations a parameter and step, worth {found.arithmetic:g} additions (AdamW {other.arithmetic:g}), and it "
        f"moves {moved} bytes, {found.traffic / other.traffic:.2f} of AdamW's."
    )


def influence_marks(found: Sequence[Influence]) -> dict[int, str]:
    """Margin notes on the influence of each statement, by line of the program's text."""
    return {row.line: _influence(row.change) for row in found}


def _influence(change: float | None) -> str:
    if change is None:
        return "cannot be left out"
    return f"{change:.0%}" if change < MANY_TIMES else f"over {MANY_TIMES} times"
