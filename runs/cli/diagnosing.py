"""The command ``doctor``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from optsearch.runs.cli.options import AsJson, Imports, print_json


def doctor(
    campaign: Annotated[
        str | None, typer.Argument(help="A shipped campaign's name, or a YAML file.", show_default="the machine alone")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; may be repeated.")
    ] = None,
    device_memory: Annotated[
        float | None,
        typer.Option(
            "--device-memory",
            metavar="GB",
            help="Plan for an accelerator with this memory, which this machine need not have.",
            min=0.001,
            max=1e6,
        ),
    ] = None,
    imports: Imports = None,
    as_json: AsJson = False,
) -> None:
    """Examine this machine, and what of a campaign fits its devices; exit code 1 if a search would fail.

    It reports devices, versions, memory, the compilation cache and authentication; for a campaign the memory of each
    task, how many lanes fit, and proposed settings. Nothing is trained.
    """
    from optsearch.runs.cli.json_rows import diagnosis_json
    from optsearch.runs.commands.doctor import examine
    from optsearch.runs.terminal.diagnosis_view import show_diagnosis

    overrides = list(settings or [])
    if imports:
        overrides.append(f"imports={json.dumps(imports)}")
    if campaign is None and (overrides or device_memory is not None):
        raise typer.BadParameter("--set, --import and --device-memory need a campaign", param_hint="CAMPAIGN")
    found = examine(campaign, overrides, None if device_memory is None else 1e9 * device_memory)
    print_json(diagnosis_json(found)) if as_json else show_diagnosis(found)
    if any(finding.good is False for finding in found.findings):
        raise typer.Exit(1)
