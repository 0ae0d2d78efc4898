"""Error messages for settings: file, line, key, rule, value and nearest valid name.

Each pydantic error becomes a message of one line.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from optsearch.dsl.errors import UserError
from optsearch.dsl.verify import nearest
from optsearch.search.settings.yaml_text import Document

Path = tuple[str | int, ...]

LAST = 2**31
"""Sort key of command-line errors, which come after those of the file."""


class ConfigError(UserError, ValueError):
    """The settings are not valid.

    Attributes:
        faults: one message per error, with file, line, key, rule and value.
    """

    def __init__(self, faults: Sequence[str]):
        self.faults = tuple(faults)
        super().__init__("\n".join(faults))


class RuleError(ValueError):
    """Several settings are inconsistent.

    Attributes:
        path: path of keys to the setting to which the message and its line number refer.
    """

    def __init__(self, path: Path, reason: str):
        super().__init__(reason)
        self.path = path


def line_of(source: str, line: int | None, reason: str) -> str:
    """Prefixes a message with source and line."""
    return f"{source}: {reason}" if line is None else f"{source}:{line}: {reason}"


def describe(
    details: ErrorDetails, model: type[BaseModel], document: Document, source: str, given: Mapping[Path, str]
) -> tuple[int, str]:
    """Formats a pydantic error; returns the line number as sort key, and the message.

    Args:
        details: the pydantic error.
        model: the validated model.
        document: the parsed text, with the line of every value.
        source: name of the text in messages.
        given: settings of the command line: path of keys, and original text.
    """
    path = details["loc"]
    broken = details.get("ctx", {}).get("error")
    if isinstance(broken, RuleError):
        path = (*path, *broken.path)
    reason = _reason(details, model)
    reason = f"{'.'.join(map(str, path))}: {reason}" if path else reason
    for length in range(len(path), 0, -1):
        if path[:length] in given:
            return LAST, f"{given[path[:length]]}: {reason}"
        line = document.lines.get(path[:length])
        if line is not None:
            return line, line_of(source, line, reason)
    return 0, line_of(source, None, reason)


_RULES = {
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be a string",
    "list_type": "must be a list",
    "model_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of keys to values",
    "finite_number": "must be a finite number",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be above {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be below {lt}",
    "literal_error": "must be {expected}",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "string_pattern_mismatch": "must start with a letter or digit and have only letters, digits, '.', '_' and '-' "
    "(at most 64)",
}
"""Message for each kind of pydantic error."""


def _reason(details: ErrorDetails, model: type[BaseModel]) -> str:
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key{_nearest_key(details['loc'], model)}"
    if kind == "missing":
        return "this key is required"
    if kind == "value_error":
        return str(context.get("error", details["msg"]))
    if kind not in _RULES:
        return f"{details['msg']}, got {_shown(value)}"
    hint = ""
    if isinstance(value, bool) and kind != "bool_type":
        hint = " (yes, no, on, off, true and false are truth values: put quotes around a string)"
    elif kind == "int_type" and isinstance(value, float) and value.is_integer():
        hint = f" (write {int(value)})"
    return f"{_RULES[kind].format(**context)}, got {_shown(value)}{hint}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = "nothing" if value is None else "a mapping" if isinstance(value, dict) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _nearest_key(path: Path, model: type[BaseModel]) -> str:
    inner: type[BaseModel] | None = model
    for part in path[:-1]:
        if isinstance(part, int):  # list index; the model was found at the key of the list
            continue
        inner = _model_of(inner.model_fields[part].annotation) if inner and part in inner.model_fields else None
    known = list(inner.model_fields) if inner else []
    listed = f"; the keys are {', '.join(known)}" if known else ""
    return nearest(str(path[-1]), known, similarity=0.5) or listed


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """Returns the model in an annotation such as ``M``, ``M | None`` or ``list[M]``; None if there is none."""
    if isinstance(annotation, types.UnionType | types.GenericAlias):
        return next((model for option in typing.get_args(annotation) if (model := _model_of(option))), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
