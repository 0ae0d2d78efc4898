"""Options and JSON output shared by several commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

Json = dict[str, Any]
"""A JSON object. ``json_values`` and ``json_rows`` define its keys."""

_output: ContextVar[TextIO | None] = ContextVar("_output", default=None)
"""The standard output while it is reserved for JSON; None otherwise."""


@contextmanager
def _reserved_output() -> Generator[None]:
    token = _output.set(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _output.reset(token)


def _reserve_output(context: typer.Context, as_json: bool) -> bool:
    """With --json, redirects all other output, such as that of a user-defined task, to standard error."""
    if as_json:
        context.with_resource(_reserved_output())
    return as_json


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.", callback=_reserve_output)]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, or its name in optsearch-runs/.")]
MOST_WORKERS = 10_000
"""Maximum number of workers on a cluster; Ray starts a process for each."""

MOST_A_CORE = 16
"""Maximum number of workers per core of this machine; more workers only compete for memory."""

Workers = Annotated[
    int | None,
    typer.Option(
        help="Worker processes; 0 trains in this process.",
        show_default="one per core",
        min=0,
        max=MOST_WORKERS,
    ),
]
Address = Annotated[str | None, typer.Option(help="Join the Ray cluster at this address.")]

GpusPerWorker = Annotated[
    float,
    typer.Option(
        "--gpus-per-worker",
        help="GPUs for each worker, or a fraction that several share; without any it trains on a CPU core.",
        min=0,
    ),
]
ProgramArgument = Annotated[
    str, typer.Argument(metavar="PROGRAM", help="A file, a library name such as lion, RUN:ID or RUN:best.")
]

Imports = Annotated[
    list[str] | None,
    typer.Option("--import", metavar="MODULE:OBJECT", help="Import a user-defined task; may be repeated."),
]

Kept = Annotated[
    Path | None,
    typer.Option("--kept-in", help="Folder of the training cache.", show_default="optsearch-runs"),
]


def check_workers(workers: int | None, address: str | None, gpus: float = 0.0) -> None:
    """Rejects an implausible number of workers or GPUs before anything is started.

    Args:
        workers: value of ``--workers``; None if omitted.
        address: address of the Ray cluster to join; None for this machine.
        gpus: value of ``--gpus-per-worker``.

    Raises:
        BadParameter: the number is zero on a cluster or with GPUs, or too large, or no worker can have the GPUs.
    """
    from optsearch.runs.store.environment import available_cores
    from optsearch.search.workers.ray_runtime import WorkerError, check_share

    try:
        check_share(workers, gpus, address)
    except WorkerError as error:
        hint = "--workers" if address is not None and workers == 0 else "--gpus-per-worker"
        raise typer.BadParameter(str(error), param_hint=hint) from None
    cores = available_cores()
    if address is None and workers is not None and workers > MOST_A_CORE * cores:
        raise typer.BadParameter(
            f"{workers} workers are too many for {cores} core{'' if cores == 1 else 's'}: use at most "
            f"{MOST_A_CORE * cores}, or join a cluster with --address",
            param_hint="--workers",
        )


def print_json(value: Any) -> None:
    """Prints a value as JSON on the standard output, which ``--json`` reserves for it."""
    (_output.get() or sys.stdout).write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def print_rows(rows: Sequence[Json], as_json: bool, *, hidden: Sequence[str] = (), right: Sequence[str] = ()) -> None:
    """Prints rows with the same keys as a table, or as JSON.

    Args:
        rows: a nonempty sequence of rows.
        as_json: if True, prints JSON, otherwise a table.
        hidden: keys that the table omits.
        right: columns to align to the right.
    """
    if as_json:
        print_json(rows)
        return
    from optsearch.runs.terminal.tables import table

    columns = [name for name in rows[0] if name not in hidden]
    cells = [[", ".join(v) or "none" if isinstance(v := row[name], list) else v for name in columns] for row in rows]
    table(columns, cells, right=right)
