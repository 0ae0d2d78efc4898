"""Options that several commands share, and how they print JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of words.")]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, or its name in optsearch-runs/.")]
Workers = Annotated[
    int | None, typer.Option(help="Worker processes; 0 trains in this one.", show_default="one for each core", min=0)
]
ProgramArgument = Annotated[
    str, typer.Argument(metavar="PROGRAM", help="A file, a library name such as lion, RUN:ID or RUN:best.")
]

Imports = Annotated[
    list[str] | None,
    typer.Option("--import", metavar="MODULE:OBJECT", help="Your own task, called as the object; may be repeated."),
]

Kept = Annotated[
    Path | None,
    typer.Option("--kept-in", help="Folder where training runs are kept and shared.", show_default="optsearch-runs"),
]


def print_json(value: Any) -> None:
    """A value on the standard output."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def print_rows(
    rows: Sequence[dict[str, Any]], as_json: bool, *, hidden: Sequence[str] = (), right: Sequence[str] = ()
) -> None:
    """Rows of equal keys as a table, or as JSON.

    Args:
        rows: at least one.
        as_json: which.
        hidden: keys that the table leaves out.
        right: columns of numbers.
    """
    if as_json:
        print_json(rows)
        return
    from runs.terminal import table

    columns = [name for name in rows[0] if name not in hidden]
    cells = [[", ".join(v) or "none" if isinstance(v := row[name], list) else v for name in columns] for row in rows]
    table(columns, cells, right=right)
