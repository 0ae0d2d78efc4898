"""Tables for notebooks; every cell is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

Cell = str | float | None
"""A value of a table: text, a number, or None for an empty cell."""


def html_table(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Markup:
    """An HTML table.

    Args:
        head: title of each column.
        rows: cells of each row.
    """
    return Markup("<table>{}{}</table>").format(
        _row("th", head), Markup("").join(_row("td", [_text(cell) for cell in row]) for row in rows)
    )


def _row(kind: str, cells: Iterable[str]) -> Markup:
    cell = Markup("<{0}>{1}</{0}>")
    return Markup("<tr>{}</tr>").format(Markup("").join(cell.format(kind, text) for text in cells))


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    return f"{cell:.5g}" if isinstance(cell, float) else str(cell)
