"""The commands that list: ``runs``, and what ships: ``tasks``, ``functions``, ``library`` and ``campaigns``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from optsearch.runs.cli.options import AsJson, Imports, print_json, print_rows

if TYPE_CHECKING:
    from optsearch.runs.library.catalog import CheckedLaw


def tasks(
    check: Annotated[
        str | None, typer.Option("--check", metavar="NAME", help="Check one task against the laws that all tasks keep.")
    ] = None,
    imports: Imports = None,
    as_json: AsJson = False,
) -> None:
    """List the tasks that programs are trained on, or check one: exit code 1 when it breaks a law."""
    from optsearch.proxy_tasks.registry import plugged_tasks
    from optsearch.runs.cli.json_rows import law_row, task_row
    from optsearch.runs.library import catalog
    from optsearch.runs.terminal import tables as terminal
    from optsearch.search.scoring.evaluate import import_own_tasks

    own = import_own_tasks(imports or ())
    if check is None:
        plugged, faults = plugged_tasks()
        for fault in faults:
            terminal.errors.print(str(fault), markup=False, soft_wrap=True)
        entries = catalog.tasks((*own, *plugged))
        print_json([task_row(entry) for entry in entries]) if as_json else terminal.tasks(entries)
        return
    laws: list[CheckedLaw] = []
    for law in catalog.check_task(check):
        laws.append(law)
        if not as_json:
            terminal.say(f"{'ok  ' if law.fault is None else 'FAIL'} {law.law}: {law.fault or law.sentence}")
    if as_json:
        print_json([law_row(law) for law in laws])
    if any(law.fault is not None for law in laws):
        raise typer.Exit(1)


def runs(
    folder: Annotated[Path | None, typer.Argument(help="Folder of runs.", show_default="optsearch-runs")] = None,
    as_json: AsJson = False,
) -> None:
    """List the runs in a folder, with the selections, evaluations and distillations of their programs.

    A run is a folder: `mv` renames it, `rm -r` removes it.
    """
    from optsearch.runs.cli.json_rows import listed_row
    from optsearch.runs.library.references import RUNS_FOLDER
    from optsearch.runs.summary.listing import list_runs
    from optsearch.runs.terminal.listing_view import listed_runs

    found = list_runs(folder or RUNS_FOLDER)
    print_json([listed_row(row) for row in found]) if as_json else listed_runs(found)


def functions(as_json: AsJson = False) -> None:
    """List the functions that programs can call."""
    from optsearch.runs.cli.json_rows import function_row
    from optsearch.runs.library import catalog

    print_rows([function_row(row) for row in catalog.functions()], as_json)


def library(as_json: AsJson = False) -> None:
    """List the optimizers that ship as programs: known ones, and those that searches have discovered."""
    from optsearch.runs.cli.json_rows import library_row
    from optsearch.runs.library import catalog
    from optsearch.runs.library.discovery import DISCOVERED
    from optsearch.runs.terminal import discovery_view

    entries = catalog.library()
    if as_json:
        print_json([library_row(entry) for entry in entries])
        return
    known = [library_row(entry) for entry in entries if entry.discovery is None]
    print_rows(known, as_json, hidden=["text", "discovery"], right=["statements"])
    discovery_view.listing(list(DISCOVERED.values()))


def campaigns(as_json: AsJson = False) -> None:
    """List the campaigns that ship with optsearch."""
    from optsearch.runs.cli.json_rows import campaign_row
    from optsearch.runs.library import catalog

    print_rows([campaign_row(config) for config in catalog.campaigns()], as_json, right=["programs", "population"])
