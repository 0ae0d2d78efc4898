"""The command ``watch``: follows a run, or what `evaluate`, `select` and `simplify` do, from another shell."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from optsearch.runs.cli.options import Kept


def watch(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's folder, its name in optsearch-runs/, or a name of `runs`.")
    ],
    plain: Annotated[bool, typer.Option("--plain", help="Print a line every few seconds, also in a terminal.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON after every change.")] = False,
    kept: Kept = None,
) -> None:
    """Follow a run from another shell until it ends; exit code 1 if it failed or crashed, or is an incomplete copy.

    If `evaluate`, `select` or `simplify` is working on a program of the run, that work is followed.
    """
    from optsearch.runs.cli.json_values import snapshot_json
    from optsearch.runs.library.references import RUNS_FOLDER, existing_run, run_folder
    from optsearch.runs.terminal.listing_view import work_of
    from optsearch.runs.terminal.watch import snapshots
    from optsearch.runs.terminal.watch import watch as follow

    places = [kept] if kept is not None else [RUNS_FOLDER, *(path.parent for path in existing_run(run))]
    names = [run, *(str(path.resolve()) for path in existing_run(run))]
    work = work_of(names, places)
    try:
        if work:
            follow_work([each.name for each in work], places, as_json)
            return
        folder, status, last = run_folder(run), "", ""
        if not as_json:
            status = follow(folder, live=not plain)
        for seen in snapshots(folder) if as_json else ():
            status, line = seen.status, json.dumps(snapshot_json(seen), allow_nan=False)
            if line != last:
                sys.stdout.write(f"{line}\n")
                sys.stdout.flush()
            last = line
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if status in ("failed", "crashed", "incomplete"):
        raise typer.Exit(1)


def follow_work(names: Sequence[str], folders: Sequence[Path], as_json: bool) -> None:
    """Prints a line for every version of some work until none of it is running.

    Args:
        names: names of the work.
        folders: folders of runs.
        as_json: if True, the lines are JSON.

    Raises:
        Exit: with code 1, if work has failed or crashed.
    """
    from optsearch.runs.cli.json_rows import work_row
    from optsearch.runs.terminal.listing_view import versions, work_line

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
