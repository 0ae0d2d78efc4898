"""YAML as people mean it: plain data with the line of every value, and every fault at once.

Differences from YAML 1.1, each because it surprises: ``1e-3`` is a number; a key that stands twice is a fault; tags,
anchors and aliases are refused (a settings file needs none, and some of them run code or grow without end); times,
dates and octal numbers do not exist. ``yes``, ``no``, ``on`` and ``off`` are truth values as in YAML 1.1, which strict
settings refuse wherever no truth value is meant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

MAX_CHARACTERS = 1_000_000

Path = tuple[str | int, ...]
"""Keys and indices from the top to a value."""

_NULL = re.compile(r"(~|null|Null|NULL|)\Z")
_TRUE = re.compile(r"(true|True|TRUE|yes|Yes|YES|on|On|ON)\Z")
_FALSE = re.compile(r"(false|False|FALSE|no|No|NO|off|Off|OFF)\Z")
_DIGITS = r"[0-9]+(_[0-9]+)*"
_INTEGER = re.compile(rf"[-+]?{_DIGITS}\Z")
_REAL = re.compile(rf"[-+]?(\.[0-9]+|{_DIGITS}(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_SPECIAL = re.compile(r"(?P<sign>[-+]?)\.(inf|Inf|INF)\Z|\.(nan|NaN|NAN)\Z")


class _Loader(yaml.SafeLoader):
    """Composes nodes; what a plain scalar means is decided in ``_scalar``, not by the resolvers of YAML 1.1."""


_Loader.yaml_implicit_resolvers = {}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        line: from 1; None where no line is meant.
        reason: what and why.
    """

    line: int | None
    reason: str


@dataclass
class Document:
    """A text as plain data.

    Attributes:
        data: mappings, lists, texts, numbers, truth values and None.
        lines: line of every value, and of the key before it.
        faults: what is wrong with the text itself.
        readable: whether it is YAML at all, so that the data mean something.
        spoiled: values that could not be read, for which a fault stands already.
    """

    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict[Path, int])
    faults: list[Fault] = field(default_factory=list[Fault])
    readable: bool = True
    spoiled: set[Path] = field(default_factory=set[Path])


def read_yaml(text: str) -> Document:
    """Reads one YAML document.

    Args:
        text: the document.

    Returns:
        Its data and faults; the data are what can be made of a faulty text.
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
            document.faults.append(Fault(line, f"{_dotted((*path, key))}: the key stands twice, first in line {first}"))
            continue
        document.lines[(*path, key)] = line
        data[key] = _value(value_node, (*path, key), document, seen)
    return data


def _scalar(node: Node) -> str | int | float | bool | None:
    text = str(node.value)
    if getattr(node, "style", None) is not None:  # quoted, or a block of text
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
