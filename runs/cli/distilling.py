"""The commands ``simplify`` and ``export``: from a program to a readable file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from optsearch.runs.cli.options import (
    Address,
    AsJson,
    GpusPerWorker,
    Imports,
    Kept,
    ProgramArgument,
    Workers,
    check_workers,
    print_json,
)
from optsearch.runs.text.plain import printable


def simplify(
    program: ProgramArgument,
    steps: Annotated[
        str, typer.Option(help="Steps, separated by commas; only ablate trains.")
    ] = "prune,rewrite,ablate",
    tasks: Annotated[
        list[str] | None,
        typer.Option("--task", help="Task for ablation; may be repeated.", show_default="those of its search, or ae"),
    ] = None,
    imports: Imports = None,
    workers: Workers = None,
    address: Address = None,
    gpus: GpusPerWorker = 0,
    kept: Kept = None,
    as_json: AsJson = False,
) -> None:
    """Distil a program to the shortest readable form that trains equally well, with a record of every step.

    Prune removes statements that cannot influence the update (exact); rewrite finds the cheapest program that is equal
    by the laws of the functions; ablate removes statements that training does not need. The same command resumes after
    an interruption.
    """
    from optsearch.runs.commands.simplify import run_distillation
    from optsearch.runs.terminal import tables as terminal

    check_workers(workers, address, gpus)
    try:
        result = run_distillation(
            program,
            steps.split(","),
            tasks,
            workers=workers,
            address=address,
            gpus=gpus,
            folder=kept,
            imports=imports or (),
            quiet=as_json,
        )
    except KeyboardInterrupt:
        terminal.errors.print("Interrupted; finished training runs are saved. The same command resumes.")
        raise typer.Exit(130) from None
    print_json(result.as_values()) if as_json else terminal.distilled(result)


def export(
    program: ProgramArgument,
    to: Annotated[
        str, typer.Option("--to", help="Format: optax, torch, latex, pseudocode, json or that of a plug-in.")
    ] = "optax",
    out: Annotated[Path | None, typer.Option(help="File to write.", show_default="standard output")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    tuned: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|RUN",
            help="Export the tuned values of an evaluation: a file with the output of `evaluate --json`, or a run.",
        ),
    ] = None,
    task: Annotated[str | None, typer.Option(help="Task of that evaluation, if it has several.")] = None,
    as_json: AsJson = False,
) -> None:
    """Export a program to a file that does not depend on optsearch.

    The learning rate of an optax or torch file is that of optax and torch, and the program's own is its default. Where
    the update is not proportional to a learning rate, the file has a `rate_factor` instead and says so.
    """
    from optsearch.runs.library.export import write_export
    from optsearch.runs.library.references import load_program

    if task is not None and tuned is None:
        raise typer.BadParameter("names a task of an evaluation: give that with --tuned", param_hint="--task")
    named = load_program(program)
    source = write_export(named, to, out, tuned, task, force=force)
    if as_json:
        print_json({"program": named.name, "format": to, "file": None if out is None else str(out), "text": source})
    elif out is None:
        sys.stdout.write(printable(source))
