"""Keys of JSON objects from their forms, and comparison of JSON values with forms.

A form is a class: a typed dictionary, or a model or a dataclass whose values are encoded as they are. In a dataclass
pairs of a name and a value are an object in JSON, tuples are lists, and a number that is not finite is null.
"""

from __future__ import annotations

import dataclasses
import enum
import operator
import types
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NotRequired,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from pydantic import BaseModel

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
    names = list(hints)
    if issubclass(form, BaseModel):
        names = list(form.model_fields)
    elif dataclasses.is_dataclass(form):
        names = [field.name for field in dataclasses.fields(form)]
    return [
        Key(name, _inner(hints[name]), get_origin(hints[name]) is not NotRequired, described(name, found, form))
        for name in names
    ]


def forms_in(kind: Any) -> Iterator[type]:
    """The forms that occur in a type, in order."""
    kind = _plain(kind)
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
    kind = _plain(kind)
    if _is_form(kind):
        return link[kind]
    if kind in _SCALARS:
        return _SCALARS[kind]
    if (names := _names(kind)) is not None:
        return " or ".join(f"`{name}`" for name in names)
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(words(part, link) for part in get_args(kind))
    if (inner := _values(kind)) is not None:
        return f"object of {words(inner, link)}"
    element = words(_element(kind), link)
    return f"list of ({element})" if " or " in element else f"list of {element}"


def faults(value: Any, kind: Any, place: str = "", *, lenient: bool = False) -> Iterator[str]:
    """How a JSON value differs from a type, a sentence for each difference.

    Args:
        value: the value.
        kind: the type.
        place: its place in the output.
        lenient: if True, a number may be null, as in dataclasses.
    """
    kind = _plain(kind)
    if _is_form(kind):
        yield from _faults_of_object(value, keys(kind), place, dataclasses.is_dataclass(kind))
    elif kind is Any or (lenient and kind is float and value is None):
        return
    elif (names := _names(kind)) is not None:
        if value not in names:
            yield f"{place}: {value!r} is not one of {names}"
    elif kind in _SCALARS:
        if not _is_scalar(value, kind):
            yield f"{place}: {value!r} is not {_SCALARS[kind]}"
    elif get_origin(kind) in (Union, types.UnionType):
        found = [list(faults(value, part, place, lenient=lenient)) for part in get_args(kind)]
        yield from () if [] in found else max(found, key=len)
    elif (inner := _values(kind)) is not None:
        if isinstance(value, dict):
            for key, one in value.items():
                yield from faults(one, inner, f"{place}.{key}", lenient=lenient)
        else:
            yield f"{place}: {value!r} is not an object"
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from faults(one, _element(kind), f"{place}[{number}]", lenient=lenient)
    else:
        yield f"{place}: {value!r} is not a list"


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
            yield from faults(value[key.name], key.kind, f"{place}.{key.name}", lenient=lenient)
        elif key.required:
            yield f"{place}.{key.name}: the key is missing"


def _plain(kind: Any) -> Any:
    """A type without annotations, or the form of a value inside other values."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return ENCODED.get(kind, kind)


def _is_form(kind: Any) -> bool:
    if not isinstance(kind, type) or get_origin(kind) is not None:
        return False
    return is_typeddict(kind) or dataclasses.is_dataclass(kind) or issubclass(kind, BaseModel)


def _is_scalar(value: Any, kind: Any) -> bool:
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        return isinstance(value, int | float)
    return isinstance(value, str if kind is Path else kind)


def _names(kind: Any) -> tuple[Any, ...] | None:
    """The values of an enumeration or of literals; None for other types."""
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return tuple(one.value for one in kind)
    return get_args(kind) if get_origin(kind) is Literal else None


def _values(kind: Any) -> Any:
    """The type of the values of a mapping, or of pairs of a name and a value; None for other types."""
    origin, parts = get_origin(kind), get_args(kind)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return parts[1]
    if origin is not tuple or parts[1:] != (...,) or get_origin(parts[0]) is not tuple:
        return None
    name, *value = get_args(parts[0])
    return value[0] if name is str else None


def _element(kind: Any) -> Any:
    """The type of the elements of a list."""
    parts = [part for part in get_args(kind) if part is not ...]
    return reduce(operator.or_, dict.fromkeys(parts))


def _inner(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is NotRequired else hint
