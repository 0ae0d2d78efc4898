"""The commands that list what ships with optsearch: ``tasks``, ``functions``, ``library`` and ``campaigns``."""

from __future__ import annotations

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
    from optsearch.search.evaluate import import_own_tasks

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
