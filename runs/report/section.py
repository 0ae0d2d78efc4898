"""The part of the page about one run, as the values that the template shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote

from markupsafe import Markup

from optsearch.dsl.program import Program
from optsearch.runs.report.chart import Chart
from optsearch.runs.report.explain import (
    TOPICS,
    Explanation,
    cost_table,
    distilled,
    explain,
    formula,
    influence_marks,
)
from optsearch.runs.report.final_charts import FINALS
from optsearch.runs.report.findings import Findings
from optsearch.runs.report.selections import Selection
from optsearch.runs.summary.finals import Winner
from optsearch.runs.summary.leaderboard import RankedChild
from optsearch.runs.summary.lineage import LineageStep, difference
from optsearch.runs.summary.run import ControlSummary, RunSummary
from optsearch.runs.summary.sentences import headline, verdict
from optsearch.runs.summary.status import INCOMPLETE
from optsearch.runs.text.highlight import html_line, html_lines
from optsearch.runs.text.phrasing import control_name
from optsearch.selection.behaviour import stand_ins
from optsearch.selection.funnel import CandidatesConfig
from optsearch.simplify.distil import Distilled

WINNERS: dict[Winner | None, str] = {
    "best": "better",
    "control": "worse",
    "undecided": "undecided",
    None: "undecided",
}
"""Relation of the best program to a control, by winner."""


@dataclass(frozen=True, slots=True)
class BestSection:
    """The best program of a run.

    Attributes:
        explanation: its cost and behaviour.
        says: sentences about its behaviour, each with the display name of its topic.
        lines: highlighted lines of its text, each with a note on the influence of the statement; empty for none.
        distilled: its pruned and rewritten form.
        distilled_lines: highlighted lines of this form.
        formula: steps of this form as MathML.
        cost: cost of a step per parameter: quantity, value of the program, value of AdamW.
    """

    explanation: Explanation
    says: Sequence[tuple[str, str]]
    lines: Sequence[tuple[Markup, str]]
    distilled: Distilled
    distilled_lines: Sequence[Markup]
    formula: Sequence[Markup]
    cost: Sequence[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One of the best programs of a run.

    Attributes:
        ranked: the program and its parent.
        lines: highlighted lines of its text.
        changes: highlighted lines of the difference to its parent, each with its sign; empty without a parent.
    """

    ranked: RankedChild
    lines: Sequence[Markup]
    changes: Sequence[tuple[str, Markup]]


@dataclass(frozen=True, slots=True)
class BoardGroup:
    """Programs of the leaderboard that behave alike.

    Attributes:
        leader: the first one.
        others: the other ones, in order.
    """

    leader: BoardRow
    others: Sequence[BoardRow]


@dataclass(frozen=True, slots=True)
class RunSection:
    """The part of the page about one run.

    Attributes:
        run: report content of the run.
        view: summary of the run.
        headline: its result in one sentence.
        verdicts: comparisons with the controls: relation of the best program to the control, and sentence.
        incomplete: message for an incomplete copy; empty for other runs.
        cautions: warnings about the best program.
        controls: the controls with their display names.
        responses: response charts of the best program.
        evidence: charts of the best program on fresh seeds.
        origin: charts of the search of this run alone.
        exports: command that exports the best program; empty if there is none.
        selections: funnels and evaluations, each with sentences about its result.
        best: the best program; None if no program has trained yet.
        board: the best programs, grouped by behaviour.
        line: lineage of the best program; True for a step that changed the fitness, and for the warm start.
        gains: number of steps that changed the fitness.
    """

    run: Findings
    view: RunSummary
    headline: str
    verdicts: Sequence[tuple[str, str]]
    incomplete: str
    cautions: Sequence[str]
    controls: Sequence[tuple[str, ControlSummary]]
    responses: Sequence[Chart]
    evidence: Sequence[Chart]
    origin: Sequence[Chart]
    exports: str
    selections: Sequence[tuple[Selection, Sequence[str]]]
    best: BestSection | None
    board: Sequence[BoardGroup]
    line: Sequence[tuple[LineageStep, bool]]
    gains: int


def read_section(run: Findings, responses: Sequence[Chart]) -> RunSection:
    """Gathers the values of the part of the page about one run.

    Args:
        run: report content of the run.
        responses: response charts of its best program.
    """
    view, warm = run.view, run.view.warm_start_name
    best = None if run.best is None else _best_section(run.best)
    probes = () if best is None else best.explanation.probes
    fresh = [chart for chart in run.charts if chart.name.removeprefix(run.anchor).split("-")[0] == FINALS]
    return RunSection(
        run=run,
        view=view,
        headline=headline(view),
        verdicts=[(WINNERS[row.overall.winner], verdict(row, warm)) for row in view.comparison],
        incomplete=INCOMPLETE if view.status == "incomplete" else "",
        cautions=[probe.says for probe in probes if probe.name == "schedule" and probe.value != 1.0],
        controls=[(control_name(control.name, warm), control) for control in view.controls],
        responses=responses,
        evidence=fresh,
        origin=[chart for chart in run.charts if chart not in fresh],
        exports="" if best is None else f"optsearch export {quote(f'{view.folder}:best')} --to optax --out found.py",
        selections=[(found, found.says()) for found in run.selections],
        best=best,
        board=_board_groups(run.board),
        line=[(step, bool(step.gain) or place == 0) for place, step in enumerate(run.line)],
        gains=sum(bool(step.gain) for step in run.line),
    )


def _best_section(program: Program) -> BestSection:
    short, explanation = distilled(program), explain(program)
    marks = influence_marks(explanation.influences)
    return BestSection(
        explanation=explanation,
        says=[(TOPICS.get(topic, topic), sentence) for topic, sentence in explanation.says()],
        lines=[(line, marks.get(place, "")) for place, line in enumerate(html_lines(program), start=1)],
        distilled=short,
        distilled_lines=html_lines(short.program),
        formula=formula(short.program),
        cost=cost_table(explanation.cost),
    )


def _board_groups(board: Sequence[RankedChild]) -> list[BoardGroup]:
    """Groups programs that behave alike, in the order of their first ones."""
    rows = [_board_row(row) for row in board]
    stand = stand_ins([row.program for row in board], CandidatesConfig().distance)
    return [
        BoardGroup(rows[first], [rows[place] for place, other in enumerate(stand) if other == first != place])
        for first in dict.fromkeys(stand)
    ]


def _board_row(row: RankedChild) -> BoardRow:
    changes = [] if row.parent is None else difference(str(row.parent), str(row.program))
    shown = [(sign, html_line(line, row.program.state)) for sign, line in changes]
    return BoardRow(row, html_lines(row.program), shown)
