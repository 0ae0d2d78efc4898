"""Loads settings from YAML and command-line overrides into a pydantic model; reports all errors at once."""

from __future__ import annotations

import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from optsearch.search.settings.config_errors import LAST, ConfigError, describe, line_of
from optsearch.search.settings.yaml_text import MAX_CHARACTERS, read_yaml

M = TypeVar("M", bound=BaseModel)


def load_settings(
    model: type[M], text: str, source: str, overrides: Sequence[str] = (), context: Mapping[str, Any] | None = None
) -> M:
    """Loads and validates settings.

    Args:
        model: pydantic model of the settings.
        text: YAML text.
        source: name of the text in messages, such as the file name.
        overrides: ``key.sub=value`` settings that replace or extend those of the text; values are parsed as YAML.
        context: what the validators of the model are given besides. Defaults to nothing.

    Returns:
        The validated settings.

    Raises:
        ConfigError: the settings are not valid; contains all errors.
    """
    document = read_yaml(text)
    found = [(fault.line or 0, line_of(source, fault.line, fault.reason)) for fault in document.faults]
    data = {} if document.data is None else document.data
    if not document.readable or not isinstance(data, dict):
        raise ConfigError([text for _, text in found] or [f"{source}: settings are a mapping of keys to values"])
    given: dict[tuple[str | int, ...], str] = {}
    config = None
    for override in overrides:
        found += [(LAST, fault) for fault in _apply(data, override, given)]
    try:
        config = model.model_validate(data, context=context and dict(context))
    except ValidationError as error:
        found += [
            describe(details, model, document, source, given)
            for details in error.errors()
            if details["loc"] not in document.spoiled
        ]
    if config is None or found:
        raise ConfigError([text for _, text in sorted(found, key=lambda fault: fault[0])])
    return config


def settings_text(path: Path) -> str:
    """Reads the text of a settings file, up to one character more than the maximum length.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # pipes may block and devices may be endless
            raise ConfigError([f"{path}: not a regular file: write the settings to one"])
        with path.open(encoding="utf-8") as file:
            return file.read(MAX_CHARACTERS + 1)
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: not a text file: byte {error.start} is not UTF-8"]) from error


def _apply(data: dict[str, Any], override: str, given: dict[tuple[str | int, ...], str]) -> list[str]:
    key, equals, text = override.partition("=")
    where = f"--set {override}"
    path = tuple(part.strip() for part in key.split("."))
    if not equals or not all(path):
        return [f"{where}: write it as key=value or key.sub=value"]
    value = read_yaml(text)
    if value.faults:
        return [f"{where}: {fault.reason}" for fault in value.faults]
    place = data
    for depth, part in enumerate(path[:-1], start=1):
        inner = place.get(part)
        if inner is None:
            inner = place[part] = {}
        if not isinstance(inner, dict):
            return [f"{where}: {'.'.join(path[:depth])} is {inner!r}, not a mapping"]
        place = inner
    place[path[-1]] = value.data
    given[path] = where
    return []
