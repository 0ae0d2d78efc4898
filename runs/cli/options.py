"""Options that several commands share, and how they print JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

_output: ContextVar[TextIO | None] = ContextVar("_output", default=None)
"""The standard output while it is reserved for JSON; None where it is not."""


@contextmanager
def _reserved_output() -> Generator[None]:
    token = _output.set(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _output.reset(token)


def _reserve_output(context: typer.Context, as_json: bool) -> bool:
    """With --json, what anything else prints, such as a user's own task, goes to the standard error."""
    if as_json:
        context.with_resource(_reserved_output())
    return as_json


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of words.", callback=_reserve_output)]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, or its name in optsearch-runs/.")]
MOST_WORKERS = 10_000
"""Workers on a cluster: Ray makes a process for each."""

MOST_A_CORE = 16
"""Workers for each core of this machine; more only take memory from each other."""

Workers = Annotated[
    int | None,
    typer.Option(
        help="Worker processes; 0 trains in this one.", show_default="one for each core", min=0, max=MOST_WORKERS
    ),
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


def check_workers(workers: int | None, address: str | None) -> None:
    """Refuses a number of workers that cannot be meant, before anything is started.

    Args:
        workers: as given with ``--workers``; None where it is left out.
        address: of the Ray cluster to join; None for this machine.

    Raises:
        BadParameter: workers on a cluster are none, or too many for this machine.
    """
    from optsearch.runs.store.environment import available_cores

    if address is not None and workers == 0:
        raise typer.BadParameter(
            f"0 trains in this process, not on the Ray cluster at {address}: leave out --address, or ask for 1 or more",
            param_hint="--workers",
        )
    cores = available_cores()
    if address is None and workers is not None and workers > MOST_A_CORE * cores:
        raise typer.BadParameter(
            f"{workers} workers are too many for {cores} core{'' if cores == 1 else 's'}: ask for at most "
            f"{MOST_A_CORE * cores}, or join a cluster with --address",
            param_hint="--workers",
        )


def print_json(value: Any) -> None:
    """A value on the standard output, which ``--json`` reserves for it."""
    from optsearch.runs.summary.run import json_text

    (_output.get() or sys.stdout).write(json.dumps(value, indent=2, allow_nan=False, default=json_text) + "\n")


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
    from optsearch.runs.terminal.tables import table

    columns = [name for name in rows[0] if name not in hidden]
    cells = [[", ".join(v) or "none" if isinstance(v := row[name], list) else v for name in columns] for row in rows]
    table(columns, cells, right=right)
