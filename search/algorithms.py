"""Table of search algorithms, one row each; controls are declared in the same table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from optsearch.dsl.program import LR, Program, Statement
from optsearch.search.variation.mutate import Mutator
from optsearch.search.variation.mutation_config import ConstantsConfig, LimitsConfig, MutationWeights
from optsearch.search.variation.random_programs import RandomPrograms

AlgorithmName = Literal["evolution", "constants", "schedule", "random"]
ControlName = Literal["constants", "schedule", "random"]
"""Names of all algorithms, and of those usable as controls. As literal types, they are validated with the settings."""


class VariationSettings(Protocol):
    """Campaign settings that determine how programs are generated."""

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
    """A search algorithm.

    Attributes:
        name: name in campaign files.
        description: what it does.
        variation: creates the variation operator from the settings.
        start: maps the warm start, or the best program of a first stage, to the initial program.
        search: name of the control's search in a run; empty if the algorithm cannot be a control.
        prefix: prefix of the ids of the control's programs.
        label: label of the control in reports; ``{warm_start}`` stands for the name of the warm start.
        tunes: True if the algorithm changes only constants; a warm start without constants is then an error.
        draws: True if the algorithm samples programs independently.
    """

    name: AlgorithmName
    description: str
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
    """Prepends a power of the learning rate, so that a constant controls the shape of the schedule."""
    return Program(program.state, (Statement(LR, "power", (LR, 1.0)), *program.body))


_ROWS = (
    Algorithm("evolution", "ageing evolution of whole programs", _evolution),
    Algorithm(
        "constants",
        "the same evolution with only constants mutable: tunes the hyperparameters of the warm start",
        _tuning,
        search="control",
        prefix="c",
        label="{warm_start} with tuned constants",
        tunes=True,
    ),
    Algorithm(
        "schedule",
        "as ``constants``, after the learning rate has been raised to a power, which is tuned too: a program that only "
        "reshapes the schedule does not beat it",
        _tuning,
        _free_schedule,
        search="schedule",
        prefix="s",
        label="{warm_start} with tuned constants and schedule",
        tunes=True,
    ),
    Algorithm(
        "random",
        "independent random programs",
        _drawing,
        search="random",
        prefix="r",
        label="random search",
        draws=True,
    ),
)

ALGORITHMS: Mapping[AlgorithmName, Algorithm] = {row.name: row for row in _ROWS}
"""All algorithms by name."""

CONTROLS: Mapping[str, Algorithm] = {row.search: row for row in _ROWS if row.search}
"""Algorithms usable as controls, by the name of their search."""
