"""Reference of settings: keys of campaigns and funnels with their ranges, mutations, algorithms and controls."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from optsearch.runs.reference.documented import described, descriptions, summary
from optsearch.runs.reference.markdown import code, page, prose, sentence, settings_words, table
from optsearch.search.algorithms import ALGORITHMS
from optsearch.search.config import SEEDS, CampaignConfig
from optsearch.search.variation.mutation_config import CONSTANTS, MutationWeights
from optsearch.selection.funnel import FunnelConfig

_NAMES = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false", "null": "`null`"}
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def settings_page() -> str:
    """The page of all settings."""
    return page(
        "Settings",
        "Files are strict YAML: an unknown key, a wrong type or a value out of range is an error, and all errors are "
        "reported at once. [campaigns.md](campaigns.md) and [selection.md](selection.md#the-funnel) explain what the "
        "settings are for. A key whose default is `null` may be left out; what happens then stands in its description. "
        "`optsearch campaigns` lists the campaigns that ship.",
        *_blocks(CampaignConfig, "Campaigns"),
        "## Algorithms and controls",
        "The values of `algorithm`; those with a prefix are also values of `controls`. Programs of a control have ids "
        "that begin with its prefix.",
        _algorithms(),
        *_blocks(FunnelConfig, "Funnels"),
    )


def _algorithms() -> str:
    rows = [
        (code(row.name), sentence(prose(row.description)), row.prefix and code(row.prefix), row.label)
        for row in ALGORITHMS.values()
    ]
    return table(("algorithm", "meaning", "prefix", "label in reports"), rows)


def _blocks(model: type[BaseModel], title: str) -> Iterator[str]:
    """A file: its own keys, then those of each mapping in it."""
    yield f"## {title}"
    places = dict(_places(model, ""))
    yield _keys(model, places)
    for inner, place in places.items():
        yield f"### {code(place)}"
        yield summary(inner)
        yield _keys(inner, places)


def _places(model: type[BaseModel], path: str) -> Iterator[tuple[type[BaseModel], str]]:
    """The models inside a model, each with the first place at which it stands."""
    seen = set[type[BaseModel]]()
    for name, field in model.model_fields.items():
        for inner in _models(field.annotation):
            place = f"{path}.{name}".lstrip(".")
            for found, where in ((inner, place), *_places(inner, place)):
                if found not in seen:
                    yield found, where
                seen.add(found)


def _keys(model: type[BaseModel], places: Mapping[type[BaseModel], str]) -> str:
    schema, found, rows = model.model_json_schema(), descriptions(model), list[tuple[str, ...]]()
    links = {inner.__name__: f"[mapping](#{place.replace('.', '')})" for inner, place in places.items()}
    for name, field in model.model_fields.items():
        about = schema["properties"][name]
        meaning = sentence(settings_words(described(name, found, model)))
        if model is MutationWeights and name in CONSTANTS:
            meaning += " Changes only constants."
        rows.append((code(name), _type(about, links), _default(field.is_required(), about), meaning))
    return table(("key", "value", "default", "meaning"), rows)


def _default(required: bool, about: Mapping[str, Any]) -> str:
    if required:
        return "required"
    default = about.get("default")
    if isinstance(default, dict):
        return "below"
    if isinstance(default, list):
        return code(f"[{', '.join(map(_literal, default))}]")
    return code(_literal(default))


def _literal(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else json.dumps(value)


def _type(about: Mapping[str, Any], links: Mapping[str, str]) -> str:
    """A JSON schema in words.

    Args:
        about: the schema.
        links: what stands for each model.
    """
    if "$ref" in about:
        return links[about["$ref"].rpartition("/")[2]]
    if "anyOf" in about:
        return " or ".join(_type(part, links) for part in about["anyOf"])
    if "enum" in about:
        return " or ".join(code(value) for value in about["enum"])
    if "const" in about:
        return code(about["const"])
    if about["type"] == "array":
        size = _size(about.get("minItems"), about.get("maxItems"))
        return f"list{size} of {_type(about['items'], links)}"
    pattern = f", matching {code(about['pattern'])}" if "pattern" in about else ""
    return f"{_NAMES[about['type']]}{_bounds(about)}{pattern}"


def _bounds(about: Mapping[str, Any]) -> str:
    if "minimum" in about and "maximum" in about:
        return f" {_number(about['minimum'])} to {_number(about['maximum'])}"
    bounds = [f"{sign} {_number(about[key])}" for key, sign in _BOUNDS.items() if key in about]
    return f" {', '.join(bounds)}" if bounds else ""


def _size(least: int | None, most: int | None) -> str:
    if least is None and most is None:
        return ""
    return f" ({least or 0} to {most})" if most is not None else f" (at least {least})"


def _number(value: float) -> str:
    if value == SEEDS:
        return "2^63"
    return f"{int(value):,}" if float(value).is_integer() else f"{value:g}"


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in the type of a field."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models(inner)
