"""Follows what `evaluate`, `select` and `simplify` do from another shell."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from optsearch.runs.cli.json_rows import work_row
from optsearch.runs.terminal.listing_view import versions, work_line


def follow_work(names: Sequence[str], folders: Sequence[Path], as_json: bool) -> None:
    """Prints a line for every version of some work until none of it is running.

    Args:
        names: names of the work.
        folders: folders of runs.
        as_json: if True, the lines are JSON.

    Raises:
        Exit: with code 1, if work has failed or crashed.
    """
    ended: dict[str, str] = {}
    for work in versions(names, folders):
        ended[work.name] = work.status
        if as_json:
            sys.stdout.write(f"{json.dumps(work_row(work), allow_nan=False)}\n")
            sys.stdout.flush()
        else:
            work_line(work)
    if any(status in ("failed", "crashed") for status in ended.values()):
        raise typer.Exit(1)
