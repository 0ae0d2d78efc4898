"""A campaign's settings, and reading them so strictly that a slip of the pen cannot go unnoticed.

    name: quickstart
    task: ae
    warm_start: adamw
    budget: {programs: 10000}
    population: {size: 300, tournament: 8}

Everything that decides what a search finds is in the campaign; what only decides how fast it goes (workers, cluster)
is not. Unknown keys, wrong types and values out of range are all reported at once, each with its line.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from dsl.functions import FUNCTIONS, LEAVES
from dsl.library import LIBRARY
from dsl.program import Program, ProgramError
from dsl.syntax import parse
from dsl.verify import nearest
from search.evaluate import HurdleConfig
from search.evolution import Budget
from search.mutate import LimitsConfig, MutationWeights
from search.population import PopulationConfig
from search.yaml_text import Document, read_yaml

FINALIST_SEED = 900_000
"""First of the seeds that are kept for choosing among finalists; training seeds are below it."""

FRESH_SEED = 1_000_000
"""First of the seeds that are kept for the final comparison."""

_LAST = 2**31
"""Sorts faults of the command line after those of the file."""

Seed = Annotated[int, Field(ge=0, lt=FINALIST_SEED)]


class FinalistsConfig(BaseModel):
    """How the best program of a search, and of each control, is chosen once the search is over.

    Attributes:
        count: programs of lowest fitness that are trained again.
        seeds: number of seeds, used for nothing else, on which they are.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    count: int = Field(default=16, ge=1, le=10_000)
    seeds: int = Field(default=8, ge=1, le=4096)


class ConfigError(ValueError):
    """Settings break rules.

    Attributes:
        faults: one line for each, naming file, line, key, rule and value.
    """

    def __init__(self, faults: Sequence[str]):
        self.faults = tuple(faults)
        super().__init__("\n".join(faults))


class CampaignConfig(BaseModel):
    """All settings of a campaign.

    Attributes:
        name: what the run is called.
        description: what it is for.
        task: name of the proxy task.
        warm_start: name of a library program, or a program's text; it fills the population.
        training_seeds: seeds whose mean validation loss is the fitness.
        seed: seed of the search.
        budget: when it ends.
        population: the ageing population.
        mutation: weight of each mutation.
        limits: bounds on programs.
        functions: functions that new statements may call; None for all.
        look_ahead: tickets that may be open at a time. It decides who can be a parent, hence what is found.
        batch_size: evaluations that travel together.
        hurdle: when bad programs are stopped early; None for never.
        controls: searches of the same number of evaluations to compare with; ``constants`` is the hyper-parameter
            control, the same evolution with only constants mutable.
        finalists: how the best program is chosen.
        fresh_seeds: number of seeds, never used by the search, on which best program and controls are compared.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    description: str = ""
    task: str
    warm_start: str = "adamw"
    training_seeds: list[Seed] = Field(default=[0], min_length=1, max_length=64)
    seed: int = Field(default=0, ge=0, lt=2**63)
    budget: Budget
    population: PopulationConfig = PopulationConfig()
    mutation: MutationWeights = MutationWeights()
    limits: LimitsConfig = LimitsConfig()
    functions: list[str] | None = None
    look_ahead: int = Field(default=128, ge=1, le=100_000)
    batch_size: int = Field(default=4, ge=1, le=1024)
    hurdle: HurdleConfig | None = None
    controls: list[Literal["constants"]] = ["constants"]
    finalists: FinalistsConfig = FinalistsConfig()
    fresh_seeds: int = Field(default=16, ge=2, le=4096)

    @field_validator("task")
    @classmethod
    def _task_is_known(cls, name: str) -> str:
        from proxy_tasks.registry import get_task
        from proxy_tasks.task import TaskError

        try:
            task = get_task(name)
        except TaskError as error:
            raise ValueError(str(error)) from None
        if not task.searchable:
            raise ValueError(f"task '{task.name}' is held out for evaluation: a search must not use it")
        return task.name

    @field_validator("warm_start")
    @classmethod
    def _warm_start_is_valid(cls, text: str) -> str:
        if "\n" not in text and not text.lstrip().startswith("def"):
            if text not in LIBRARY:
                raise ValueError(f"unknown library program '{text}'{nearest(text, LIBRARY)}")
            return text
        try:
            return str(parse(text))
        except ProgramError as error:
            raise ValueError(f"the program is not valid: {error}") from None

    @field_validator("functions")
    @classmethod
    def _functions_are_known(cls, names: list[str] | None) -> list[str] | None:
        if names is None:
            return None
        for name in names:
            if name not in FUNCTIONS:
                raise ValueError(f"unknown function '{name}'{nearest(name, FUNCTIONS)}")
        if len(set(names)) != len(names):
            raise ValueError("a function stands twice")
        if not any(LEAVES not in FUNCTIONS[name].operands for name in names):
            raise ValueError("list at least one function that takes operands of any kind, or leave the key out for all")
        return names

    @field_validator("training_seeds", "controls")
    @classmethod
    def _distinct(cls, values: list[Any]) -> list[Any]:
        if len(set(values)) != len(values):
            raise ValueError(f"a value stands twice in {values}")
        return values

    @model_validator(mode="after")
    def _warm_start_fits(self) -> CampaignConfig:
        statements = len(self.warm_start_program.body)
        if statements > self.limits.statements:
            raise ValueError(
                f"the warm start has {statements} statements, but limits.statements is {self.limits.statements}"
            )
        if "constants" in self.controls and not any(
            isinstance(arg, float) for statement in self.warm_start_program.body for arg in statement.args
        ):
            raise ValueError("the warm start has no constants that controls: [constants] could tune: use controls: []")
        return self

    @property
    def warm_start_program(self) -> Program:
        """The warm start."""
        return LIBRARY[self.warm_start] if self.warm_start in LIBRARY else parse(self.warm_start)

    @property
    def fresh_seed_values(self) -> range:
        """The seeds of the final comparison; none is a training seed."""
        return range(FRESH_SEED, FRESH_SEED + self.fresh_seeds)


def load_campaign(text: str, source: str, overrides: Sequence[str] = ()) -> CampaignConfig:
    """Reads a campaign.

    Args:
        text: YAML.
        source: what to call the text in messages, such as the file's name.
        overrides: ``key.sub=value`` settings that replace or add to those of the text; values are read as YAML.

    Returns:
        The settings, all names checked.

    Raises:
        ConfigError: anything is wrong; all faults at once.
    """
    document = read_yaml(text)
    found = [(fault.line or 0, _line(source, fault.line, fault.reason)) for fault in document.faults]
    data = {} if document.data is None else document.data
    if not document.readable or not isinstance(data, dict):
        raise ConfigError([text for _, text in found] or [f"{source}: a campaign is a mapping of keys to values"])
    given: dict[tuple[str | int, ...], str] = {}
    config = None
    for override in overrides:
        found += [(_LAST, fault) for fault in _apply(data, override, given)]
    try:
        config = CampaignConfig.model_validate(data)
    except ValidationError as error:
        found += [
            _describe(details, document, source, given)
            for details in error.errors()
            if details["loc"] not in document.spoiled
        ]
    if config is None or found:
        raise ConfigError([text for _, text in sorted(found, key=lambda fault: fault[0])])
    return config


def load_campaign_file(path: Path, overrides: Sequence[str] = ()) -> tuple[CampaignConfig, str]:
    """Reads a campaign file.

    Args:
        path: the file.
        overrides: as for ``load_campaign``.

    Returns:
        The settings, and the text as it stands in the file.

    Raises:
        ConfigError: the file cannot be read, or anything is wrong in it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: not a text file: byte {error.start} is not UTF-8"]) from error
    return load_campaign(text, str(path), overrides), text


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


def _line(source: str, line: int | None, reason: str) -> str:
    return f"{source}: {reason}" if line is None else f"{source}:{line}: {reason}"


def _describe(
    details: ErrorDetails, document: Document, source: str, given: dict[tuple[str | int, ...], str]
) -> tuple[int, str]:
    """Line to sort by, and the fault as the user reads it."""
    path = details["loc"]
    reason = f"{'.'.join(map(str, path))}: {_reason(details)}" if path else _reason(details)
    for length in range(len(path), 0, -1):
        if path[:length] in given:
            return _LAST, f"{given[path[:length]]}: {reason}"
        line = document.lines.get(path[:length])
        if line is not None:
            return line, _line(source, line, reason)
    return 0, _line(source, None, reason)


_RULES = {
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be a text",
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
"""What each kind of pydantic error says to a user."""


def _reason(details: ErrorDetails) -> str:
    kind, value, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key{_nearest_key(details['loc'])}"
    if kind == "missing":
        return "this key is required"
    if kind == "value_error":
        return str(context.get("error", details["msg"]))
    if kind not in _RULES:
        return f"{details['msg']}, got {_shown(value)}"
    hint = ""
    if isinstance(value, bool) and kind != "bool_type":
        hint = " (yes, no, on, off, true and false are truth values: put quotes around a text)"
    elif kind == "int_type" and isinstance(value, float) and value.is_integer():
        hint = f" (write {int(value)})"
    return f"{_RULES[kind].format(**context)}, got {_shown(value)}{hint}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = "nothing" if value is None else "a mapping" if isinstance(value, dict) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _nearest_key(path: tuple[str | int, ...]) -> str:
    model: type[BaseModel] | None = CampaignConfig
    for part in path[:-1]:
        model = _model_of(model.model_fields[str(part)].annotation) if model and part in model.model_fields else None
    known = list(model.model_fields) if model else []
    match = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
    listed = f"; the keys are {', '.join(known)}" if known else ""
    return f"; did you mean '{match[0]}'?" if match else listed


def _model_of(annotation: Any) -> type[BaseModel] | None:
    options = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    return next((option for option in options if isinstance(option, type) and issubclass(option, BaseModel)), None)
