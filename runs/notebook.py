"""A run in a notebook: programs with rich display, tables as data frames.

    from optsearch import load

    run = load("quickstart-seed0")
    run.best                  # highlighted text, behaviour, lineage
    run.table("leaderboard")  # a pandas or polars frame if one of them is installed

All data are read when the run is loaded. Load a running run again to update it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from markupsafe import Markup

from optsearch.dsl.dataflow import prune
from optsearch.dsl.program import Program
from optsearch.dsl.verify import nearest
from optsearch.runs.library.references import run_folder
from optsearch.runs.report.chart import Chart, row_of
from optsearch.runs.report.explain import Explanation, explain
from optsearch.runs.report.final_charts import FreshRun, compared_controls, fresh_runs
from optsearch.runs.report.findings import Findings
from optsearch.runs.report.html import Report, read_report
from optsearch.runs.report.render import to_svg
from optsearch.runs.report.search_charts import without_program
from optsearch.runs.report.selections import ShownStage
from optsearch.runs.store.errors import RunError
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.history import (
    MutationStatistics,
    Point,
    SearchHistory,
    best_so_far,
    evaluated_points,
    mutation_statistics,
)
from optsearch.runs.summary.leaderboard import RankedChild
from optsearch.runs.summary.lineage import LineageStep, line_of
from optsearch.runs.summary.run import RunSummary
from optsearch.runs.summary.sentences import verdict
from optsearch.runs.text.highlight import html_lines
from optsearch.runs.text.phrasing import number

if TYPE_CHECKING:
    import optax

    from optsearch.dsl.transform import Rate

FrameLibrary = Literal["pandas", "polars", "rows"]
TableRow = dict[str, Any]
"""A row of a table: data frame libraries take rows as mappings of columns to values."""

FRAMES: tuple[FrameLibrary, ...] = ("pandas", "polars")
"""Data frame libraries in order of preference."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart with rich display in notebooks.

    Attributes:
        chart: the chart.
    """

    chart: Chart

    def _repr_svg_(self) -> str:
        return to_svg(self.chart)


@dataclass(frozen=True, slots=True)
class FoundProgram:
    """A program of a run.

    Attributes:
        id: its id within the run.
        fitness: fitness, lower is better; None if the program did not train.
        program: the program, with the learning rate of its evaluation.
        lineage: the program and its ancestors, from the warm start on.
        folder: folder of the run.
    """

    id: str
    fitness: float | None
    program: Program
    lineage: Sequence[LineageStep]
    folder: Path

    @property
    def reference(self) -> str:
        """The program as ``RUN:ID``, under which `evaluate` records results in the run."""
        return f"{self.folder}:{self.id}"

    @property
    def pruned(self) -> Program:
        """The program without dead statements."""
        return prune(self.program)

    def explain(self) -> Explanation:
        """Cost, behaviour and stability of the program."""
        return explain(self.program)

    def to_optax(
        self,
        learning_rate: Rate | None = None,
        *,
        rate_factor: Rate | None = None,
        weight_decay: float | None = None,
    ) -> optax.GradientTransformation:
        """Converts the program to an optax gradient transformation; see `optsearch.dsl.transform.to_optax`.

        Args:
            learning_rate: the learning rate: a number, or a schedule that maps the step to a number. None for the
                program's own.
            rate_factor: the same for a program without a learning rate. None for the program's own.
            weight_decay: the weight decay. None for the program's own.

        Raises:
            HyperparameterError: the program has no such hyperparameter, or a value is negative.
        """
        from optsearch.dsl.transform import to_optax

        return to_optax(self.program, learning_rate, rate_factor=rate_factor, weight_decay=weight_decay)

    def __str__(self) -> str:
        return str(self.program)

    def __repr__(self) -> str:
        size = f"{len(self.program.body)} statements, {len(self.pruned.body)} of them live"
        return f"<FoundProgram {self.reference}: fitness {number(self.fitness)}, {size}>"

    def _repr_html_(self) -> str:
        lines = Markup("\n").join(html_lines(self.program))
        says = Markup("").join(Markup("<li>{}</li>").format(sentence) for _, sentence in self.explain().says())
        page = Markup(
            "<style>{}</style><div class='optsearch'><b>program {}</b>, fitness {}, {} mutations from the warm start"
            "<pre>{}</pre><ul>{}</ul></div>"
        )
        return str(page.format(_STYLE, self.id, number(self.fitness), len(self.lineage) - 1, lines, says))


_STYLE = Markup(
    ".optsearch .keyword{color:#8b3ea8}.optsearch .function{color:#1e6fa8}.optsearch .number{color:#9a5b00}"
    ".optsearch .state{color:#1c7a45;font-weight:600}.optsearch .dead{opacity:.45}"
)


class Run:
    """A loaded run.

    Args:
        folder: the run folder.
        report: content of the report of this run.
    """

    def __init__(self, folder: Path, report: Report):
        self.folder = folder
        self._report = report
        self._tables: dict[str, Callable[[], list[TableRow]]] = {
            "leaderboard": lambda: [_board_row(row) for row in self._findings.board],
            "progress": lambda: self._by_search(lambda history: map(row_of, best_so_far(history))),
            "evaluations": lambda: self._by_search(lambda history: map(row_of, _evaluated(history))),
            "windows": lambda: [row_of(window) for window in self._findings.windows],
            "mutations": lambda: self._by_search(lambda history: map(_mutation_row, mutation_statistics(history))),
            "lineage": lambda: [without_program(step) for step in self._findings.line],
            "finals": lambda: [_final_row(run, len(self.summary.tasks)) for run in fresh_runs(self.summary)],
            "comparison": lambda: [row_of(compared) for compared in compared_controls(self.summary)],
            "verdicts": lambda: self._of_stages(lambda stage: stage.verdict_rows()),
            "trials": lambda: self._of_stages(lambda stage: stage.trial_rows()),
            "fresh_runs": lambda: self._of_stages(lambda stage: stage.run_rows()),
        }

    def _of_stages(self, rows_of: Callable[[ShownStage], Sequence[TableRow]]) -> list[TableRow]:
        """Rows of all stages of all funnels and evaluations."""
        return [
            {"selection": found.record.number, "stage": stage.record.name, **row}
            for found in self._findings.selections
            for stage in found.stages
            for row in rows_of(stage)
        ]

    def _by_search(self, rows_of: Callable[[SearchHistory], Iterable[TableRow]]) -> list[TableRow]:
        histories = self._findings.histories
        return [{"search": name, **row} for name, history in histories.items() for row in rows_of(history)]

    @property
    def _findings(self) -> Findings:
        return self._report.runs[0]

    @property
    def summary(self) -> RunSummary:
        """Summary of the run: status, counts, best program, controls and comparisons."""
        return self._findings.view

    @property
    def best(self) -> FoundProgram:
        """The best program.

        Raises:
            RunError: no program has trained yet.
        """
        if self.summary.best is None:
            raise RunError(f"{self.folder}: no program has trained yet: continue the search")
        return self.program(self.summary.best.id)

    @property
    def programs(self) -> list[FoundProgram]:
        """The best semantically distinct programs, in order of increasing fitness."""
        return [self.program(row.id) for row in self._findings.board]

    def program(self, program_id: str) -> FoundProgram:
        """Returns a program by its id, such as ``8123``, or ``c8123`` for a program of the control.

        Raises:
            RunError: the run has no program with this id.
        """
        with RunStore.read(self.folder) as store:
            search, ticket = store.find(program_id)
            item = store.ticket(search, ticket)
            return FoundProgram(
                program_id, item.fitness.value, item.scored, line_of(store, search, ticket), self.folder
            )

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables."""
        return tuple(self._tables)

    def table(self, name: str, library: FrameLibrary | None = None) -> Any:
        """Returns a table.

        Args:
            name: one of ``tables``.
            library: data frame library of the result, or ``rows`` for a list of dictionaries; None for the first
                installed library, or rows if none is installed.

        Raises:
            RunError: no table has this name, or the library is not installed.
        """
        if name not in self._tables:
            raise RunError(f"no table '{name}'{nearest(name, self._tables)}; there are {', '.join(self._tables)}")
        return _frame(self._tables[name](), library)

    @property
    def charts(self) -> dict[str, Drawing]:
        """The charts of the report by name; a notebook displays the chart that is the last value of a cell."""
        return {chart.name: Drawing(chart) for chart in self._report.all_charts()}

    def __repr__(self) -> str:
        best, counts = self.summary.best, self.summary.counts
        words = "nothing has trained yet" if best is None else f"best program {best.id}, fitness {number(best.fitness)}"
        return f"<Run {self.folder.name}: {self.summary.status}, {counts.generated:,} programs, {words}>"

    def _repr_html_(self) -> str:
        view = self.summary
        sentences = [verdict(row, view.warm_start_name) for row in view.comparison]
        says = Markup("").join(Markup("<li>{}</li>").format(sentence) for sentence in sentences)
        line = Markup("<tr><td>{}</td><td>{}</td><td>{}</td></tr>")
        board = [(row.id, number(row.fitness), len(row.live.body)) for row in self._findings.board[:10]]
        rows = Markup("").join(line.format(*cells) for cells in board)
        head = Markup("<tr><th>program</th><th>fitness</th><th>live statements</th></tr>")
        return str(Markup("<p>{}</p><ul>{}</ul><table>{}{}</table>").format(repr(self), says, head, rows))


def load_run(reference: str | Path) -> Run:
    """Reads a run.

    Args:
        reference: the run folder, or its name in ``optsearch-runs/``.

    Raises:
        RunError: the run does not exist or cannot be read.
    """
    folder = run_folder(str(reference))
    return Run(folder, read_report([folder]))


def _board_row(row: RankedChild) -> TableRow:
    return {
        "id": row.id,
        "fitness": row.fitness,
        "statements": len(row.program.body),
        "live_statements": len(row.live.body),
        "state": list(row.live.state),
        "mutation": row.mutation,
        "parent_id": row.parent_id,
        "text": str(row.program),
    }


def _evaluated(history: SearchHistory) -> list[Point]:
    return evaluated_points(history, len(history))[0]


def _mutation_row(found: MutationStatistics) -> TableRow:
    """Statistics of a kind of mutation, with a column for each verdict."""
    return {"kind": found.kind, "children": found.children, **found.verdicts, "median_gain": found.median_gain}


def _final_row(run: FreshRun, tasks: int) -> TableRow:
    """A run on a fresh seed; scores exist only with several tasks."""
    row = row_of(run)
    return row if tasks > 1 else {name: value for name, value in row.items() if name != "score"}


def _frame(rows: list[TableRow], library: FrameLibrary | None) -> Any:
    if library == "rows":
        return rows
    for name in FRAMES if library is None else (library,):
        try:
            return import_module(name).DataFrame(rows)
        except ImportError:
            if library is not None:
                raise RunError(f"{name} is not installed: install it, or ask for library='rows'") from None
    return rows
