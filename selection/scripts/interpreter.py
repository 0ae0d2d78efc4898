"""The interpreter that runs a script: versions of its packages, and the optimizers of its torch."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from optsearch.dsl.errors import UserError
from optsearch.selection.scripts import probe

PROBE_LIMIT_S = 300.0
"""Time limit for a question to an interpreter, in seconds; an import of torch from a slow disk takes a minute."""


class InterpreterError(UserError, RuntimeError):
    """The interpreter of a script cannot be used."""


PYTHON = re.compile(r"python[\d.]*(\.exe)?")
"""File names of interpreters."""


def interpreter_words(words: Sequence[str]) -> tuple[str, ...]:
    """The part of a command that starts its Python interpreter, such as ``conda run -n torch python``.

    Returns:
        The words up to the first that names an interpreter; empty for a launcher such as ``torchrun``, which starts an
        interpreter of its own.
    """
    for place, word in enumerate(words):
        if PYTHON.fullmatch(os.path.basename(word)):
            return tuple(words[: place + 1])
    return ()


@cache
def packages(python: tuple[str, ...], folder: str) -> Mapping[str, str]:
    """Version of the interpreter, and of each installed package that may decide results.

    Args:
        python: command that starts the interpreter.
        folder: folder in which it runs.

    Raises:
        InterpreterError: it cannot be run.
    """
    return _asked(python, folder)


@cache
def torch_class(python: tuple[str, ...], folder: str, name: str) -> Mapping[str, Any]:
    """Describes a class of ``torch.optim`` by name, ignoring case: see `optsearch.selection.scripts.probe`.

    Raises:
        InterpreterError: torch cannot be imported.
    """
    return _asked(python, folder, name)


def _asked(python: tuple[str, ...], folder: str, *arguments: str) -> Mapping[str, Any]:
    about = f"the interpreter {shlex.join(python)} of the script"
    source = Path(probe.__file__).read_text(encoding="utf-8")
    try:
        done = subprocess.run(  # noqa: S603 - the interpreter that the user names, without a shell
            [*python, "-c", source, *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=PROBE_LIMIT_S,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InterpreterError(f"{about} cannot be run: {error}") from error
    try:
        return json.loads((done.stdout.strip().splitlines() or [""])[-1])
    except ValueError:
        lines = done.stderr.strip().splitlines() or ["no output"]
        raise InterpreterError(f"{about} cannot be used: {lines[-1]}") from None
