"""A baseline: a known optimizer with its reference learning rate and its tunable numbers."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from optsearch.dsl.errors import UserError
from optsearch.selection.space import BETA, CONSTANT, DECAY, EPS, LIMIT, POWER, RATE, Dimension, Ranges, dimension

if TYPE_CHECKING:
    import optax

    from optsearch.proxy_tasks.execution.compiled_loop import Evaluated

Schedule = Callable[[Any], Any]
Make = Callable[[Any, Schedule, Mapping[str, Any]], "optax.GradientTransformation"]
"""Factory: takes the optax module, the schedule, and a value for each keyword argument of the row."""

ALWAYS = (DECAY, POWER)
"""Kinds that are tuned together with the learning rate even without the constants."""

_BETAS = (
    "adam_b1", "adam_b2", "b1", "b2", "b3", "beta", "beta1", "beta2", "beta3", "decay", "momentum", "rho",
)  # fmt: skip
_KINDS = {
    DECAY: DECAY,
    "weight_decay_rate": DECAY,
    "power": POWER,
    "limit": LIMIT,
    "clipping_threshold": LIMIT,
    "l2_norm_clip": LIMIT,
    **dict.fromkeys(_BETAS, BETA),
    **dict.fromkeys(("eps", "eps_root", "epsilon"), EPS),
}
"""Kind of each argument; any other number is a `CONSTANT`."""

_OFF = (DECAY, "weight_decay_rate", "momentum")
"""Arguments whose default None is the same as 0."""


class BaselineError(UserError, LookupError):
    """An unknown baseline, or an optimizer that cannot be one."""


class Number(NamedTuple):
    """A number in the signature of an optimizer.

    Attributes:
        parameter: name of the parameter.
        place: index in the parameter's tuple; None for a parameter that is a number.
        default: its default.
        tunable: True for a float of at least 0; whole numbers and negative ones are settings.
    """

    parameter: str
    place: int | None
    default: float
    tunable: bool


@dataclass(frozen=True, slots=True)
class Baseline:
    """An optimizer from optax, or built from its parts.

    Attributes:
        name: name of the baseline.
        reference: learning rate at which tuning starts.
        make: factory of the optimizer.
        arguments: default of each tunable keyword argument.
        description: further settings.
        family: name of its family, whose best member is the opponent in the headline; empty for none.
        contains: baselines that it equals for certain values of its further arguments, with these values. Its tuning
            also tries their best points.
        calls: dotted name of the function whose numbers it leaves at their defaults, except its arguments; empty for
            none.
        sets: parameters of that function that depend on its arguments.
        fixed: further numbers that are not tuned, such as ``period = 5``.
        schedule: ``task`` for the task's schedule, ``constant`` for its warm-up and then a constant rate.
        evaluated: maps the weights and the optimizer's state to the weights that are evaluated; None for the weights
            themselves.
    """

    name: str
    reference: float
    make: Make
    arguments: Mapping[str, float] = field(default_factory=dict[str, float])
    description: str = ""
    family: str = ""
    contains: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, Mapping[str, float]])
    calls: str = ""
    sets: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    schedule: Literal["task", "constant"] = "task"
    evaluated: Evaluated | None = None

    def space(self, *, constants: bool = True, ranges: Ranges = ()) -> tuple[Dimension, ...]:
        """Returns its tunable hyperparameters: the learning rate, then its keyword arguments.

        Args:
            constants: if True, all arguments; otherwise weight decay and the schedule's power alone.
            ranges: declared ranges that replace the defaults.

        Raises:
            SpaceError: a declared range excludes a default.
        """
        return baseline_space(self.reference, self.arguments, constants=constants, ranges=ranges)

    def untuned(self, *, constants: bool = True) -> tuple[str, ...]:
        """Numbers that tuning leaves at their defaults, such as ``eps_root = 0``."""
        tuned = {row.name for row in self.space(constants=constants)}
        left = [f"{name} = {value:g}" for name, value in self.arguments.items() if name not in tuned]
        if self.calls:
            module, _, function = self.calls.rpartition(".")
            left += settings(getattr(importlib.import_module(module), function), (*self.arguments, *self.sets))
        return (*left, *self.fixed)

    def optimizer(self, schedule: Schedule, values: Mapping[str, Any] | None = None) -> optax.GradientTransformation:
        """Creates the optimizer with a learning-rate schedule.

        Args:
            schedule: maps the step to the learning rate.
            values: keyword arguments that override the row's defaults. Defaults to no overrides.
        """
        import optax

        return self.make(optax, schedule, {**self.arguments, **(values or {})})


def baseline_space(
    reference: float, arguments: Mapping[str, float], *, constants: bool, ranges: Ranges
) -> tuple[Dimension, ...]:
    """Declares the tunable hyperparameters of a baseline: the learning rate, then its keyword arguments.

    Args:
        reference: learning rate at which tuning starts.
        arguments: default of each argument.
        constants: if True, all arguments; otherwise weight decay and the schedule's power alone.
        ranges: declared ranges that replace the defaults.

    Raises:
        SpaceError: a declared range excludes a default.
    """
    kinds = {name: _kind(name, default) for name, default in arguments.items()}
    rows = [(name, kind) for name, kind in kinds.items() if constants or kind in ALWAYS]
    return (
        dimension(RATE, RATE, reference, ranges),
        *(dimension(name, kind, arguments[name], ranges) for name, kind in rows),
    )


def _kind(name: str, default: float) -> str:
    kind = _KINDS.get(name, CONSTANT)
    return CONSTANT if kind == BETA and not 0.0 <= default < 1.0 else kind


def numbers(function: Callable[..., Any]) -> dict[str, Number]:
    """Numbers in the signature of an optimizer other than its learning rate: see `numbers_of`."""
    parameters = inspect.signature(function).parameters.items()
    return numbers_of({name: parameter.default for name, parameter in parameters if name != "learning_rate"})


def numbers_of(defaults: Mapping[str, Any]) -> dict[str, Number]:
    """Numbers among the defaults of parameters, by the name of their hyperparameter.

    The numbers of a tuple ``betas`` are called ``b1`` and ``b2``, those of any other tuple ``name_1``, ``name_2``, ...
    A weight decay or momentum whose default is None counts as 0.
    """
    found: dict[str, Number] = {}
    for name, given in defaults.items():
        default: Any = 0.0 if given is None and name in _OFF else given
        if _is_number(default):
            found[name] = Number(name, None, default, _is_tunable(default))
        elif isinstance(default, tuple):
            values: tuple[Any, ...] = default
            whole = bool(values) and all(map(_is_tunable, values))
            for place, value in enumerate(values):
                key = f"b{place + 1}" if name == "betas" else f"{name}_{place + 1}"
                if _is_number(value):
                    found[key] = Number(name, place, value, whole)
    return found


def settings(function: Callable[..., Any], arguments: tuple[str, ...]) -> list[str]:
    """The numbers of a signature that are not among the arguments of a baseline, such as ``eps_root = 0``."""
    return [f"{name} = {number.default:g}" for name, number in numbers(function).items() if name not in arguments]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_tunable(value: object) -> bool:
    return isinstance(value, float) and value >= 0.0
