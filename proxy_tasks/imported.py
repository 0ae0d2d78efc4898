"""Objects of the user by reference, ``module:object``: custom tasks and baselines."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from optsearch.dsl.errors import UserError
from optsearch.dsl.verify import nearest

LONGEST = 300
"""Number of characters of a message of the user's code that an error repeats."""


@dataclass(frozen=True, slots=True)
class Imported:
    """An object of the user.

    Attributes:
        name: its name in its module.
        made: the object.
        code: sha256 of the module's source, so that versions change with it; of the reference if there is no source.
        folder: folder of the module's file; the working folder if it has none.
    """

    name: str
    made: Any
    code: str
    folder: str


def imported(reference: str, *, error: type[UserError], example: str) -> Imported:
    """Imports an object.

    Args:
        reference: ``module:object``; the module is searched in the working folder and on Python's path.
        error: class of the errors to raise.
        example: a valid reference, for the message about a malformed one.

    Raises:
        error: the reference is malformed, the module or object does not exist, or the module raises an exception.
    """
    module_name, name = parts(reference, error=error, example=example)
    module = _module(module_name, reference, error)
    if not hasattr(module, name):
        public = [known for known in vars(module) if not known.startswith("_")]
        raise error(f"import {reference}: module '{module_name}' has no '{name}'{nearest(name, public)}")
    return Imported(name, getattr(module, name), code_of(module, reference), folder_of(module))


def parts(reference: str, *, error: type[UserError], example: str) -> tuple[str, str]:
    """Splits a reference into module and object.

    Args:
        reference: the reference.
        error: class of the error to raise.
        example: a valid reference.

    Raises:
        error: the reference does not have the form ``module:object``.
    """
    module, colon, name = reference.partition(":")
    if not colon or not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise error(f"import {reference}: write it as module:object, such as {example}")
    return module, name


def _module(module: str, reference: str, failure: type[UserError]) -> ModuleType:
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)  # sys.path[0] is the folder of the command itself
    try:
        with blamed(reference, folder, failure):
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            raise failure(
                f"import {reference}: there is no module '{error.name}', neither in {folder} nor installed"
            ) from error
        raise failure(f"import {reference}: '{module}' needs module '{error.name}', which is not installed") from error


@contextmanager
def blamed(reference: str, folder: str, failure: type[UserError]) -> Generator[None]:
    """Turns exceptions of the user's code into an error of one sentence that names the line.

    Args:
        reference: reference of the object, ``module:object``.
        folder: folder of the user's code.
        failure: class of the error to raise.

    Raises:
        failure: the code has raised an exception.
    """
    try:
        yield
    except (UserError, ModuleNotFoundError):
        raise
    except Exception as error:
        words = " ".join((error.msg if isinstance(error, SyntaxError) else str(error)).split())
        short = words if len(words) <= LONGEST else f"{words[:LONGEST]}..."
        line = _line_of(error, os.path.realpath(folder))
        raise failure(f"import {reference}: {type(error).__name__}: {short}{line}") from error


def _line_of(error: BaseException, folder: str) -> str:
    """The last line of the user's code that led to an exception, as a phrase; empty if there is none."""
    if isinstance(error, SyntaxError):
        return f" (line {error.lineno} of {os.path.basename(error.filename or '')})"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if os.path.realpath(frame.filename).startswith(os.path.join(folder, ""))
    ]
    if not frames:
        return ""
    last = frames[-1]
    return f" (line {last.lineno} of {os.path.basename(last.filename)}: `{last.line}`)"


def folder_of(module: ModuleType) -> str:
    """The folder of a module's file; the working folder if it has none."""
    return os.path.dirname(module.__file__ or "") or "."


def code_of(module: ModuleType, reference: str) -> str:
    """The sha256 of a module's source, or of the reference if there is no source."""
    try:
        source = inspect.getsource(module)
    except (OSError, TypeError):
        source = reference
    return hashlib.sha256(source.encode()).hexdigest()
