"""The command line: its commands, and the entry point.

A command parses arguments, calls another module, and prints text or JSON. Modules that are slow to import (jax, ray)
are imported by the commands that need them, so that help is instant.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from typing import Annotated

import typer

from optsearch.dsl.errors import UserError
from optsearch.runs.cli import (
    comparing,
    diagnosing,
    distilling,
    following,
    inspecting,
    listing,
    proposing,
    searching,
)
from optsearch.runs.cli.exit_codes import exit_code_lines
from optsearch.runs.cli.help import Commands
from optsearch.runs.text.plain import printable

app = Commands(
    help="Discovers optimizers: evolves small programs and scores each by training tiny models.",
    epilog=exit_code_lines(),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"optsearch {version('optsearch')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options of `optsearch` itself, before a command."""


for command in (
    searching.search,
    following.watch,
    inspecting.verify,
    inspecting.show,
    inspecting.report,
    distilling.simplify,
    proposing.propose,
    comparing.evaluate,
    comparing.select,
    distilling.export,
    listing.runs,
    listing.tasks,
    listing.functions,
    listing.library,
    listing.campaigns,
    diagnosing.doctor,
):
    app.command()(command)


def main() -> None:
    """Entry point: runs a command and reports errors that the user can act on as a single message.

    SIGTERM, by which batch systems end a job, interrupts every command as Ctrl-C does.
    """
    _prepare_standard_streams()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # flush here, so that an error is reported like any other
    except BrokenPipeError:  # the reader of the output, such as `head`, has exited
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except UserError as error:
        _fail(error, error.exit_code)
    except OSError as error:
        _fail(error, 1)


def _prepare_standard_streams() -> None:
    """Opens the null device in place of closed standard streams, and escapes characters that a stream cannot encode,
    such as those of a file name that is not UTF-8.

    Otherwise the next opened file would reuse the descriptor of a closed stream and receive the output of that stream.
    """
    number = os.open(os.devnull, os.O_RDWR)
    while number < 3:
        number = os.dup(number)
    os.close(number)
    for name, stream, mode in (("stdin", sys.stdin, "r"), ("stdout", sys.stdout, "w"), ("stderr", sys.stderr, "w")):
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - open until the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fail(error: Exception, code: int) -> None:
    sys.stderr.write(f"error: {printable(str(error))}\n")
    raise SystemExit(code)
