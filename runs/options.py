"""Options that several commands share, and how they print JSON."""

from __future__ import annotations

import json
import sys
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


def print_json(value: Any) -> None:
    """A value on the standard output."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")
