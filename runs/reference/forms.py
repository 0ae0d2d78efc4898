"""Keys of JSON objects from their forms, and comparison of JSON values with forms.

A form is a class: a typed dictionary, or a dataclass whose values are encoded as they are. In a dataclass pairs of a
name and a value are an object in JSON, tuples and sets are lists, and a number that is not finite is null.
"""

from __future__ import annotations

import dataclasses
import enum
import operator
import types
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, Literal, NamedTuple, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from optsearch.runs.cli.json_forms.made_from import ENCODED, MADE_FROM
from optsearch.runs.reference.documented import described, descriptions

_SCALARS: Mapping[Any, str] = {
    str: "string", int: "integer", float: "number", bool: "true or false", type(None): "null", Any: "any value",
    Path: "string",
}  # fmt: skip


class Key(NamedTuple):
    """A key of an object.

    Attributes:
        name: the key.
        kind: type of its value.
        required: False if it may be absent.
        description: what it holds.
    """

    name: str
    kind: Any
    required: bool
    description: str


def keys(form: type) -> list[Key]:
    """The keys of a form, in order.

    Raises:
        ValueError: one has no description.
    """
    found = descriptions(form, *MADE_FROM.get(form, ()))
    hints = get_type_hints(form, include_extras=True)
    names = [field.name for field in dataclasses.fields(form)] if dataclasses.is_dataclass(form) else list(hints)
    return [
        Key(name, _inner(hints[name]), get_origin(hints[name]) is not NotRequired, described(name, found, form))
        for name in names
    ]


def forms_in(kind: Any) -> Iterator[type]:
    """The forms that occur in a type, in order."""
    kind = ENCODED.get(kind, kind)
    if _is_form(kind):
        yield kind
    for part in get_args(kind):
        yield from forms_in(part)


def words(kind: Any, link: Mapping[type, str]) -> str:
    """A type in words.

    Args:
        kind: the type.
        link: what stands for each form.
    """
    kind = ENCODED.get(kind, kind)
    if _is_form(kind):
        return link[kind]
    if kind in _SCALARS:
        return _SCALARS[kind]
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return " or ".join(f"`{one.value}`" for one in kind)
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in parts)
    if origin in (Union, types.UnionType):
        return " or ".join(words(part, link) for part in parts)
    if origin is not None and issubclass(origin, Mapping):
        return f"object of {words(parts[1], link)}"
    if (pair := _pairs(kind)) is not None:
        return f"object of {words(pair, link)}"
    element = words(_element(kind), link)
    return f"list of ({element})" if " or " in element else f"list of {element}"


def faults(value: Any, kind: Any, place: str = "") -> Iterator[str]:
    """How a JSON value differs from a form, a sentence for each difference; numbers may be null in dataclasses."""
    kind = ENCODED.get(kind, kind)
    origin, parts = get_origin(kind), get_args(kind)
    if _is_form(kind):
        yield from _faults_of_object(value, keys(kind), place, dataclasses.is_dataclass(kind))
    elif kind is Any:
        return
    elif kind in _SCALARS or (isinstance(kind, type) and issubclass(kind, enum.Enum)):
        if not _is_scalar(value, kind):
            yield f"{place}: {value!r} is not {_SCALARS.get(kind, 'one of the names')}"
    elif origin is Literal:
        if value not in parts:
            yield f"{place}: {value!r} is not one of {parts}"
    elif origin in (Union, types.UnionType):
        if all(any(faults(value, part)) for part in parts):
            yield from faults(value, next(part for part in parts if part is not type(None)), place)
    elif (origin is not None and issubclass(origin, Mapping)) or _pairs(kind) is not None:
        inner = parts[1] if origin is not None and issubclass(origin, Mapping) else _pairs(kind)
        if not isinstance(value, dict):
            yield f"{place}: {value!r} is not an object"
        else:
            for key, one in value.items():
                yield from faults(one, inner, f"{place}.{key}")
    elif not isinstance(value, list):
        yield f"{place}: {value!r} is not a list"
    else:
        for number, one in enumerate(value):
            yield from faults(one, _element(kind), f"{place}[{number}]")


def faults_of_output(value: Any, forms: Sequence[type], many: str = "") -> list[str]:
    """How the output of a command differs from the keys of several forms together."""
    together = [key for form in forms for key in keys(form)]
    return [
        fault
        for number, one in enumerate(value if many else [value])
        for fault in _faults_of_object(one, together, f"[{number}]" if many else "", False)
    ]


def _faults_of_object(value: Any, known: Sequence[Key], place: str, lenient: bool) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{place}: {value!r} is not an object"
        return
    for name in sorted(value.keys() - {key.name for key in known}):
        yield f"{place}.{name}: the key is not documented"
    for key in known:
        if key.name in value:
            if not (lenient and value[key.name] is None and key.kind is float):
                yield from faults(value[key.name], key.kind, f"{place}.{key.name}")
        elif key.required:
            yield f"{place}.{key.name}: the key is missing"


def _is_form(kind: Any) -> bool:
    return isinstance(kind, type) and (is_typeddict(kind) or dataclasses.is_dataclass(kind))


def _is_scalar(value: Any, kind: Any) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return value in {one.value for one in kind}
    return isinstance(value, str if kind is Path else kind) and not (kind is int and isinstance(value, bool))


def _pairs(kind: Any) -> Any:
    """The type of the values of pairs of a name and a value; None for other types."""
    if get_origin(kind) is not tuple or get_args(kind)[1:] != (...,):
        return None
    pair = get_args(kind)[0]
    return get_args(pair)[1] if get_origin(pair) is tuple and get_args(pair)[:1] == (str,) else None


def _element(kind: Any) -> Any:
    """The type of the elements of a list."""
    parts = [part for part in get_args(kind) if part is not ...]
    return reduce(operator.or_, dict.fromkeys(parts))


def _inner(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is NotRequired else hint
