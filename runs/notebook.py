"""A run in a notebook: programs with rich display, tables as data frames.

    from optsearch import load

    run = load("quickstart-seed0")
    run.best                  # highlighted text, behaviour, lineage
    run.table("leaderboard")  # a pandas or polars frame if one of them is installed

All data are read when the run is loaded. Load a running run again to update it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from markupsafe import Markup

from optsearch.dsl.dataflow import prune
from optsearch.dsl.program import Program
from optsearch.dsl.verify import nearest
from optsearch.runs.library.references import run_folder
from optsearch.runs.report.chart import Chart, Row
from optsearch.runs.report.explain import Explanation, explain
from optsearch.runs.report.findings import Findings, comparison_rows, final_rows, without
from optsearch.runs.report.html import Report, read_report
from optsearch.runs.report.render import to_svg
from optsearch.runs.report.selections import ShownStage
from optsearch.runs.store.errors import RunError
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.history import SearchHistory, best_so_far, evaluated_points, mutation_statistics
from optsearch.runs.summary.lineage import line_of
from optsearch.runs.text.highlight import html_lines
from optsearch.runs.text.phrasing import number, verdict

if TYPE_CHECKING:
    import optax

FrameLibrary = Literal["pandas", "polars", "rows"]
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
        lineage: ancestors from the warm start on: rows with ``id``, ``fitness``, ``gain``, ``mutation``.
    """

    id: str
    fitness: float | None
    program: Program
    lineage: Sequence[Row]

    @property
    def pruned(self) -> Program:
        """The program without dead statements."""
        return prune(self.program)

    def explain(self) -> Explanation:
        """Cost, behaviour and stability of the program."""
        return explain(self.program)

    def to_optax(self, learning_rate: float | Callable[[Any], Any] = 1.0) -> optax.GradientTransformation:
        """Converts the program to an optax gradient transformation.

        Args:
            learning_rate: value of the program's ``lr``: a number, or a schedule that maps the step to a number.
        """
        from optsearch.dsl.transform import to_optax

        return to_optax(self.program, learning_rate)

    def __str__(self) -> str:
        return str(self.program)

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
        self._tables: dict[str, Callable[[], list[Row]]] = {
            "leaderboard": self._leaderboard,
            "progress": lambda: self._by_search(best_so_far),
            "evaluations": lambda: self._by_search(lambda history: evaluated_points(history, len(history))[0]),
            "windows": lambda: list(self._findings.windows),
            "mutations": lambda: self._by_search(mutation_statistics),
            "lineage": lambda: [without(row, "text") for row in self._findings.line],
            "finals": lambda: final_rows(self.summary),
            "comparison": lambda: comparison_rows(self.summary),
            "verdicts": lambda: self._of_stages(lambda stage: stage.verdict_rows()),
            "trials": lambda: self._of_stages(lambda stage: stage.trials_tried),
            "fresh_runs": lambda: self._of_stages(lambda stage: stage.runs),
        }

    def _of_stages(self, rows_of: Callable[[ShownStage], Sequence[Row]]) -> list[Row]:
        """Rows of all stages of all funnels and evaluations."""
        return [
            {"selection": found.number, "stage": stage.name, **row}
            for found in self._findings.selections
            for stage in found.stages
            for row in rows_of(stage)
        ]

    def _leaderboard(self) -> list[Row]:
        return [without(row, "program", "parent") | {"text": str(row["program"])} for row in self._findings.board]

    def _by_search(self, rows_of: Callable[[SearchHistory], list[Row]]) -> list[Row]:
        histories = self._findings.histories
        return [{"search": name, **row} for name, history in histories.items() for row in rows_of(history)]

    @property
    def _findings(self) -> Findings:
        return self._report.runs[0]

    @property
    def summary(self) -> dict[str, Any]:
        """Summary of the run, as printed by ``optsearch show RUN --json``, with programs as `Program` values."""
        return self._findings.view

    @property
    def best(self) -> FoundProgram:
        """The best program.

        Raises:
            RunError: no program has trained yet.
        """
        if self.summary["best"] is None:
            raise RunError(f"{self.folder}: no program has been evaluated yet: let the search run on")
        return self.program(self.summary["best"]["id"])

    @property
    def programs(self) -> list[FoundProgram]:
        """The best semantically distinct programs, in order of increasing fitness."""
        return [self.program(row["id"]) for row in self._findings.board]

    def program(self, program_id: str) -> FoundProgram:
        """Returns a program by its id, such as ``8123``, or ``c8123`` for a program of the control.

        Raises:
            RunError: the run has no program with this id.
        """
        with RunStore.read(self.folder) as store:
            arm, ticket = store.find(program_id)
            item = store.ticket(arm, ticket)
            return FoundProgram(program_id, item.fitness.value, item.scored, line_of(store, arm, ticket))

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
        best = self.summary["best"]
        words = f"best program {best['id']}, fitness {number(best['fitness'])}" if best else "nothing has trained yet"
        return f"<Run {self.folder.name}: {self.summary['status']}, {self.summary['generated']:,} programs, {words}>"

    def _repr_html_(self) -> str:
        view = self.summary
        warm = view["warm_start"]["name"] if view["warm_start"] else ""
        says = Markup("").join(Markup("<li>{}</li>").format(verdict(row, warm)) for row in view["comparison"])
        line = Markup("<tr><td>{}</td><td>{}</td><td>{}</td></tr>")
        board = [(row["id"], number(row["fitness"]), row["live_statements"]) for row in self._findings.board[:10]]
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


def _frame(rows: list[Row], library: FrameLibrary | None) -> Any:
    if library == "rows":
        return rows
    for name in FRAMES if library is None else (library,):
        try:
            return import_module(name).DataFrame(rows)
        except ImportError:
            if library is not None:
                raise RunError(f"{name} is not installed: install it, or ask for library='rows'") from None
    return rows
