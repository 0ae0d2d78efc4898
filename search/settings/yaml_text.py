"""Strict YAML parser: plain data with the line of every value; reports all errors at once.

Differences from YAML 1.1, which avoid common pitfalls: ``1e-3`` is a number; duplicate keys are errors; tags and
aliases are rejected, because settings do not need them and they can execute code or expand without limit; times, dates
and octal numbers are not supported. ``yes``, ``no``, ``on`` and ``off`` are booleans as in YAML 1.1; strict settings
reject them wherever no boolean is expected.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

MAX_CHARACTERS = 1_000_000

Path = tuple[str | int, ...]
"""Path of keys and indices from the root to a value."""

_NULL = re.compile(r"(~|null|Null|NULL|)\Z")
_TRUE = re.compile(r"(true|True|TRUE|yes|Yes|YES|on|On|ON)\Z")
_FALSE = re.compile(r"(false|False|FALSE|no|No|NO|off|Off|OFF)\Z")
_DIGITS = r"[0-9]+(_[0-9]+)*"
_INTEGER = re.compile(rf"[-+]?{_DIGITS}\Z")
_REAL = re.compile(rf"[-+]?(\.[0-9]+|{_DIGITS}(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_SPECIAL = re.compile(r"(?P<sign>[-+]?)\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z")


class _Loader(yaml.SafeLoader):
    """Composes nodes without the implicit resolvers of YAML 1.1; ``_scalar`` interprets plain scalars."""


_Loader.yaml_implicit_resolvers = {}


@dataclass(frozen=True, slots=True)
class Fault:
    """An error in the text.

    Attributes:
        line: line number, starting at 1; None if the error has no line.
        reason: error message.
    """

    line: int | None
    reason: str


@dataclass
class Document:
    """A parsed YAML document.

    Attributes:
        data: mappings, lists, strings, numbers, booleans and None.
        lines: line of every value, or of its key in a mapping.
        faults: errors in the text.
        readable: False if the text is not valid YAML, so that the data are meaningless.
        spoiled: paths of values that could not be parsed and have an entry in ``faults``.
    """

    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict[Path, int])
    faults: list[Fault] = field(default_factory=list[Fault])
    readable: bool = True
    spoiled: set[Path] = field(default_factory=set[Path])


def read_yaml(text: str) -> Document:
    """Parses one YAML document.

    Args:
        text: YAML text.

    Returns:
        The data and errors. If there are errors, the data are those that could be parsed.
    """
    document = Document()
    if len(text) > MAX_CHARACTERS:
        document.faults.append(Fault(None, f"the text has more than {MAX_CHARACTERS} characters"))
        document.readable = False
        return document
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            document.data = _value(node, (), document, set())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = "; ".join(part for part in (error.problem, error.context) if part)
        document.faults.append(Fault(mark.line + 1 if mark else None, f"not valid YAML: {reason}"))
        document.readable = False
    except yaml.YAMLError as error:
        document.faults.append(Fault(None, f"not valid YAML: {' '.join(str(error).split())}"))
        document.readable = False
    except RecursionError:
        document.faults.append(Fault(None, "the values are nested too deeply"))
        document.readable = False
    finally:
        if loader is not None:
            loader.dispose()
    return document


def _value(node: Node, path: Path, document: Document, seen: set[int]) -> Any:
    line = document.lines.setdefault(path, node.start_mark.line + 1)
    if id(node) in seen:
        document.spoiled.add(path)
        document.faults.append(Fault(line, f"{_dotted(path)}: aliases (*name) are not allowed: write the value again"))
        return None
    seen.add(id(node))
    if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.startswith("tag:yaml.org,2002:python"):
        document.spoiled.add(path)
        document.faults.append(Fault(line, f"{_dotted(path)}: tags are not allowed, got {node.tag!r}"))
        return None
    if isinstance(node, MappingNode):
        return _mapping(node, path, document, seen)
    if isinstance(node, SequenceNode):
        return [_value(item, (*path, index), document, seen) for index, item in enumerate(node.value)]
    return _scalar(node)


def _mapping(node: MappingNode, path: Path, document: Document, seen: set[int]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, ScalarNode):
            document.faults.append(Fault(line, f"{_dotted(path)}: a key must be a name"))
            continue
        key = str(key_node.value)
        if key in data:
            first = document.lines[(*path, key)]
            document.faults.append(Fault(line, f"{_dotted((*path, key))}: duplicate key, first in line {first}"))
            continue
        document.lines[(*path, key)] = line
        data[key] = _value(value_node, (*path, key), document, seen)
    return data


def _scalar(node: Node) -> str | int | float | bool | None:
    text = str(node.value)
    if getattr(node, "style", None) is not None:  # quoted or block scalar
        return text
    if _NULL.match(text):
        return None
    if _TRUE.match(text):
        return True
    if _FALSE.match(text):
        return False
    if _INTEGER.match(text) and len(text) <= 40:
        return int(text)
    if _REAL.match(text):
        return float(text.replace("_", ""))
    special = _SPECIAL.match(text)
    if special:
        return float("nan") if text[1:2].lower() == "n" else float(f"{special['sign'] or ''}inf")
    return text


def _dotted(path: Path) -> str:
    return ".".join(map(str, path)) or "the file"
