"""What a search can be: one row for each algorithm, which is also how controls are declared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from optsearch.dsl.program import LR, Program, Statement
from optsearch.search.mutate import Mutator
from optsearch.search.mutation_config import ConstantsConfig, LimitsConfig, MutationWeights
from optsearch.search.random_programs import RandomPrograms

AlgorithmName = Literal["evolution", "constants", "schedule", "random"]
ControlName = Literal["constants", "schedule", "random"]
"""Names of the rows, and of those that can be controls; typed, so that settings report a wrong one."""


class VariationSettings(Protocol):
    """The settings of a campaign that decide how programs are made."""

    @property
    def mutation(self) -> MutationWeights: ...
    @property
    def limits(self) -> LimitsConfig: ...
    @property
    def constants(self) -> ConstantsConfig: ...
    @property
    def functions(self) -> list[str] | None: ...
    @property
    def warm_start_program(self) -> Program: ...


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One row.

    Attributes:
        name: what campaigns call it.
        variation: how it makes programs.
        start: the program that it starts from, given the warm start or the best program of a first stage.
        search: name of its search in a run where it is a control; empty for an algorithm that cannot be one.
        prefix: what the ids of the control's programs begin with.
        label: what reports call the control, with ``{warm_start}`` for the name of the warm start.
        tunes: whether it changes constants alone, so that a warm start without constants is an error.
        draws: whether it draws programs independently of each other.
    """

    name: AlgorithmName
    variation: Callable[[VariationSettings], Mutator | RandomPrograms]
    start: Callable[[Program], Program] = lambda program: program
    search: str = ""
    prefix: str = ""
    label: str = ""
    tunes: bool = False
    draws: bool = False


def _evolution(settings: VariationSettings) -> Mutator:
    return Mutator(settings.mutation, settings.functions, settings.limits, settings.constants)


def _tuning(settings: VariationSettings) -> Mutator:
    weights = settings.mutation.constants_only()
    return Mutator(weights, settings.functions, settings.limits, settings.constants)


def _drawing(settings: VariationSettings) -> RandomPrograms:
    warm = settings.warm_start_program
    longest = min(2 * len(warm.body), settings.limits.statements)
    return RandomPrograms(warm.state, longest, settings.functions, settings.constants.new)


def _free_schedule(program: Program) -> Program:
    """The learning rate is raised to a power first, so that the shape of the schedule is one of the constants."""
    return Program(program.state, (Statement(LR, "power", (LR, 1.0)), *program.body))


_ROWS = (
    Algorithm("evolution", _evolution),
    Algorithm(
        "constants", _tuning, search="control", prefix="c", label="{warm_start} with tuned constants", tunes=True
    ),
    Algorithm(
        "schedule",
        _tuning,
        _free_schedule,
        search="schedule",
        prefix="s",
        label="{warm_start} with tuned constants and schedule",
        tunes=True,
    ),
    Algorithm("random", _drawing, search="random", prefix="r", label="random search", draws=True),
)

ALGORITHMS: Mapping[AlgorithmName, Algorithm] = {row.name: row for row in _ROWS}
"""Every algorithm by name."""

CONTROLS: Mapping[str, Algorithm] = {row.search: row for row in _ROWS if row.search}
"""Algorithms that can be controls, by the names of their searches."""
