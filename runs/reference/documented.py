"""Descriptions of fields: the sections ``Attributes:`` of docstrings."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Mapping
from functools import cached_property

from optsearch.runs.reference.markdown import prose


def summary(owner: type) -> str:
    """The text of a docstring before its sections.

    Raises:
        ValueError: there is no docstring.
    """
    text = inspect.cleandoc(owner.__doc__ or "")
    if not text:
        raise ValueError(f"{owner.__name__} has no docstring")
    return prose(re.split(r"\n(?=Attributes:|Raises:|Source:)", text)[0].strip())


def descriptions(*owners: type) -> Mapping[str, str]:
    """Description of each field and property of classes and of their bases; earlier classes take precedence."""
    found: dict[str, str] = {}
    for base in (base for owner in owners for base in inspect.getmro(owner)):
        for name, text in (_attributes(vars(base).get("__doc__") or "") | _properties(base)).items():
            found.setdefault(name, text)
    return found


def described(name: str, found: Mapping[str, str], owner: type) -> str:
    """The description of a field.

    Raises:
        ValueError: it has none; the message says where one is missing.
    """
    if name not in found:
        raise ValueError(f"{owner.__name__}.{name} has no description: add it to the docstring of {owner.__name__}")
    return found[name]


def _attributes(docstring: str) -> dict[str, str]:
    _, found, section = inspect.cleandoc(docstring).partition("Attributes:\n")
    section = textwrap.dedent(re.split(r"^\w+:$", section, flags=re.MULTILINE)[0])
    entries = re.split(r"^(?=\w+: )", section, flags=re.MULTILINE) if found else []
    pairs = (entry.partition(": ") for entry in entries)
    return {name: prose(" ".join(text.split())) for name, _, text in pairs if name}


def _properties(owner: type) -> dict[str, str]:
    found = {name: one.__doc__ for name, one in vars(owner).items() if isinstance(one, property | cached_property)}
    return {name: prose(" ".join(text.split())) for name, text in found.items() if text}
