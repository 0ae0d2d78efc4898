"""Consoles, tables and text output of the commands. This module only formats; it computes no results.

Text from files is printed verbatim; markup in it is never interpreted.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from optsearch.dsl.program import Program
from optsearch.runs.text.highlight import terminal_text
from optsearch.runs.text.plain import printable

if TYPE_CHECKING:
    from optsearch.runs.library.catalog import TaskEntry
    from optsearch.simplify.distil import Distilled


PIPED_WIDTH = 200
"""Width of tables in a pipe, unless COLUMNS says another one."""


class PlainConsole(Console):
    """A console that emits its own styles and cursor movements, but sanitises text.

    Markup, emoji codes and control characters in text have no effect.
    """

    def __init__(self, **options: Any):
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yields the sanitised segments of a renderable."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text), style, control)


console = PlainConsole()
"""Console for results."""

errors = PlainConsole(stderr=True)
"""Console for errors and remarks, so that piped results stay clean."""


def warn_of_open_cluster(address: str | None) -> None:
    """Warns if the Ray cluster to join accepts connections without authentication.

    Args:
        address: address of the cluster; None if no cluster is joined.
    """
    from optsearch.search.workers.cluster import unauthenticated

    if address is not None and unauthenticated():
        errors.print(
            "Warning: this Ray cluster is joined without token authentication, so anybody who can reach it can "
            "run code on it: start it and this command with RAY_AUTH_MODE=token (docs/cluster.md).",
            markup=False,
        )


def say_device(machine: str, *, quiet: bool) -> None:
    """Says on which device workers with a share of a GPU train; warns if JAX has not found it.

    Args:
        machine: machine of the workers, from `optsearch.proxy_tasks.machine.made_on`.
        quiet: if True, only warns.
    """
    _, _, device = machine.partition("; accelerator ")
    if not device:
        errors.print(
            "Warning: workers have a share of a GPU, but JAX has not found it and trains on the CPU: install JAX for "
            "this GPU on the nodes, such as jax[cuda12] (docs/cluster.md).",
            markup=False,
        )
    elif not quiet:
        errors.print(f"The workers train on {device}.", markup=False)


def say(text: str = "", style: str | None = None, *, whole: bool = False) -> None:
    """Prints one line or paragraph of text, without markup; a terminal gets lines that end between words.

    Args:
        text: the text; further lines are indented as far as the first, and by two more below a dash.
        style: style of the text; None for plain text.
        whole: if True, the text is one line, because it is a command to be copied.
    """
    if console.is_terminal and not whole:
        text = wrapped(text, console.width)
    console.print(Text(text, style=style or ""), soft_wrap=True)


def wrapped(text: str, width: int) -> str:
    """Breaks a paragraph into lines between words; longer words stay whole."""
    bare = text.lstrip(" ")
    indent = " " * (len(text) - len(bare) + 2 * bare.startswith("- "))
    return textwrap.fill(
        text,
        max(width, len(indent) + 10),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
        drop_whitespace=True,
    )


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[str] = ()) -> None:
    """Prints a plain table, or a list of its rows where the width has no room for its words.

    The width is that of the terminal; in a pipe it is COLUMNS, or without that ``PIPED_WIDTH``.

    Args:
        columns: headings.
        rows: cells; None prints as a dash.
        right: headings of right-aligned columns.
    """
    target = console
    if not console.is_terminal:
        columns_set = os.environ.get("COLUMNS", "")
        width = int(columns_set) if columns_set.isascii() and columns_set.isdigit() else PIPED_WIDTH
        target = PlainConsole(file=console.file, width=max(width, 1))
    cells = [["-" if cell is None else str(cell) for cell in row] for row in rows]
    widths = _widths(list(zip(columns, *cells, strict=True)), target.width)
    if widths is None:
        _list(target, columns, cells)
        return
    view = Table(box=None, pad_edge=False, header_style="bold")
    for name, width in zip(columns, widths, strict=True):
        view.add_column(name, justify="right" if name in right else "left", overflow="fold", width=width)
    for row in cells:
        view.add_row(*map(Text, row))
    target.print(view)


def _widths(columns: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """Widths of columns, at most ``width`` with two spaces between; None if words would have to be broken.

    Args:
        columns: for each column its cells, the heading included.
        width: width of the table.
    """
    widths = [max(map(len, column)) for column in columns]
    padding = [now - max(len(cell.rstrip()) for cell in column) for now, column in zip(widths, columns, strict=True)]
    spare = [now - max(map(_least_width, column)) for now, column in zip(widths, columns, strict=True)]
    for _ in range(sum(widths) + 2 * (len(widths) - 1) - width):
        widest = max(range(len(widths)), key=lambda place: (padding[place] > 0, spare[place]))
        if not spare[widest]:
            return None
        for each in (widths, padding, spare):
            each[widest] -= 1
    return widths


def _least_width(cell: str) -> int:
    """Width of the longest word of a cell, with the indentation of the first."""
    first, *others = cell.split() or [""]
    return max(map(len, (cell[: len(cell) - len(cell.lstrip())] + first, *others)))


def _list(target: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints each row of a table as a heading and a line for each column."""
    for row in rows:
        heading, *others = row
        target.print(Text(wrapped(heading, target.width), style="bold"), soft_wrap=True)
        for name, cell in zip(columns[1:], others, strict=True):
            if cell:
                line = f"  {name.strip()}: {cell.strip()}" if name.strip() else f"  {cell.strip()}"
                target.print(Text(wrapped(line, target.width)), soft_wrap=True)


def tasks(entries: Sequence[TaskEntry]) -> None:
    """Prints tasks by family, one line each in 80 columns or more."""
    for family in dict.fromkeys(entry.task.family for entry in entries):
        members = [entry for entry in entries if entry.task.family == family]
        say(f"{family}: {members[0].task.description}")
        if fault := members[0].fault:
            say(f"  {fault[0].upper()}{fault[1:]}")
        table(
            ["  task", "use", "weights", "steps", "epochs", "trivial", "AdamW", "noise"],
            [
                [
                    f"  {entry.task.name:<16}",
                    f"{entry.task.use:<8}",
                    f"{entry.task.parameters:,}",
                    f"{entry.task.steps:,}",
                    f"{entry.task.epochs:.1f}",
                    "-" if entry.task.trivial_loss is None else f"{entry.task.trivial_loss:.4g}",
                    *(
                        ["-", "-"]
                        if entry.adamw is None
                        else [f"{entry.adamw.test_loss:.4g}", f"{entry.adamw.noise:.2g}"]
                    ),
                ]
                for entry in members
            ],
            right=["weights", "steps", "epochs", "trivial", "AdamW", "noise"],
        )
        say()
    say("Epochs: how often a run sees its training data.")
    say("Trivial: test loss of a predictor that ignores its input.")
    say("AdamW: mean test loss at its best learning rate. Noise: its standard deviation over seeds.")
    say("--json prints further properties, which docs/tasks.md explains.")


def program(shown: Program) -> None:
    """Prints a program, indented and highlighted."""
    console.print(terminal_text(shown), soft_wrap=True)


def distilled(result: Distilled) -> None:
    """Prints a distilled program on standard output, and the record of its distillation on standard error."""
    say(str(result.program).rstrip("\n"))
    errors.print()
    if result.recognised is not None:
        errors.print(f"It is known: {result.recognised}.", markup=False, soft_wrap=True)
    for step in result.steps:
        errors.print(str(step), markup=False, soft_wrap=True)
