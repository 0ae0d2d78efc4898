"""Objects of the user by reference, ``module:object``: custom tasks and baselines."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from optsearch.dsl.errors import UserError
from optsearch.dsl.verify import nearest


@dataclass(frozen=True, slots=True)
class Imported:
    """An object of the user.

    Attributes:
        name: its name in its module.
        made: the object.
        code: sha256 of the module's source, so that versions change with it; of the reference if there is no source.
    """

    name: str
    made: Any
    code: str


def imported(reference: str, *, error: type[UserError], example: str) -> Imported:
    """Imports an object; exceptions raised by the user's code propagate with their traceback.

    Args:
        reference: ``module:object``; the module is searched in the working folder and on Python's path.
        error: class of the errors to raise.
        example: a valid reference, for the message about a malformed one.

    Raises:
        error: the reference is malformed, or the module or object does not exist.
    """
    module_name, name = parts(reference, error=error, example=example)
    module = _module(module_name, reference, error)
    if not hasattr(module, name):
        public = [known for known in vars(module) if not known.startswith("_")]
        raise error(f"import {reference}: module '{module_name}' has no '{name}'{nearest(name, public)}")
    return Imported(name, getattr(module, name), code_of(module, reference))


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
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            raise failure(
                f"import {reference}: there is no module '{error.name}', neither in {folder} nor installed"
            ) from error
        raise failure(f"import {reference}: '{module}' needs module '{error.name}', which is not installed") from error


def code_of(module: ModuleType, reference: str) -> str:
    """The sha256 of a module's source, or of the reference if there is no source."""
    try:
        source = inspect.getsource(module)
    except (OSError, TypeError):
        source = reference
    return hashlib.sha256(source.encode()).hexdigest()
