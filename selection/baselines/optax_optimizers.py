"""Baselines by signature: optimizers of optax without a row, and functions of the user.

An optimizer is a function of the learning rate. Every float of at least 0 among its further defaults is tuned if the
optimizer accepts a traced value for it, which a trial on a small problem decides. The trial also decides whether
gradients and weights are all that the optimizer needs.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from optsearch.selection.baselines.baseline import (
    Baseline,
    BaselineError,
    Make,
    Number,
    Schedule,
    numbers,
    settings,
)
from optsearch.selection.baselines.made import averaged

REFERENCE = 1e-3
"""Learning rate at which tuning starts, for optimizers without a default."""

RATE_ARGUMENT = "learning_rate"

_RANDOMNESS = ("key", "rng", "seed")
"""Arguments that make an optimizer random."""


def optax_baseline(name: str) -> Baseline | None:
    """Looks a name up in optax; None if optax has no such optimizer.

    Raises:
        BaselineError: optax has the optimizer, but it cannot be a baseline.
    """
    import optax
    import optax.contrib

    for module in (optax, optax.contrib):
        function = vars(module).get(name)  # getattr would also find deprecated names
        if not inspect.isfunction(function) or name.startswith(("_", "scale_by_")):
            continue
        if RATE_ARGUMENT in inspect.signature(function).parameters or _makes_an_optimizer(function):
            return by_signature(name, function, about=f"optax's '{name}'")
    return None


def _makes_an_optimizer(function: Callable[..., Any]) -> bool:
    """True if its defaults alone make an optax optimizer, such as one that computes its own learning rate."""
    import optax

    parameters = inspect.signature(function).parameters.values()
    if not parameters or any(one.default is inspect.Parameter.empty for one in parameters):
        return False
    return isinstance(function(), optax.GradientTransformation)


def by_signature(name: str, function: Callable[..., Any], *, about: str) -> Baseline:
    """Makes a baseline of a function of the learning rate that returns an optax optimizer.

    Args:
        name: name of the baseline.
        function: its defaults are the reference: the rate's default, or 1e-3, and the numbers that are tuned.
        about: how errors call it.

    Raises:
        BaselineError: it has no argument ``learning_rate``, further arguments without a default, or it needs more than
            gradients, weights and a schedule.
    """
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError) as error:
        raise BaselineError(f"{about} cannot be a baseline: its signature is unknown") from error
    if RATE_ARGUMENT not in parameters:
        raise BaselineError(f"{about} cannot be a baseline: it has no argument {RATE_ARGUMENT}, for the schedule")
    if missing := [key for key, parameter in parameters.items() if key != RATE_ARGUMENT and _is_required(parameter)]:
        raise BaselineError(
            f"{about} cannot be a baseline: its {_listed(missing)} {'has' if len(missing) == 1 else 'have'} no "
            "default; a function of your own can call it with one: --baseline module:object"
        )
    if randomness := [key for key in parameters if key in _RANDOMNESS]:
        raise BaselineError(
            f"{about} cannot be a baseline: it draws random numbers, from its {_listed(randomness)}, and seeds "
            "determine initial weights and batches alone"
        )
    known = numbers(function)
    tunable = [key for key, number in known.items() if number.tunable]
    make = partial(_make, function, known)
    is_averaged = _trial(make, (), about)
    tunable = [key for key in tunable if _error(make, (key,)) is None] if _error(make, tunable) else tunable
    _trial(make, tunable, about)
    rate = parameters[RATE_ARGUMENT].default
    return Baseline(
        name,
        float(rate) if isinstance(rate, int | float) and rate > 0.0 else REFERENCE,
        make,
        {key: float(known[key].default) for key in tunable},
        "by its signature",
        fixed=tuple(settings(function, tuple(tunable))),
        schedule="constant" if is_averaged else "task",
        evaluated=averaged if is_averaged else None,
    )


def check(row: Baseline, *, about: str) -> None:
    """Traces a step of a baseline.

    Args:
        row: the baseline.
        about: how errors call it.

    Raises:
        BaselineError: the step fails, or needs more than gradients, weights, a schedule and the row's arguments.
    """
    _trial(row.make, list(row.arguments), about)


def _is_required(parameter: inspect.Parameter) -> bool:
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return parameter.default is inspect.Parameter.empty and parameter.kind not in several


def _make(
    function: Callable[..., Any], known: Mapping[str, Number], _: Any, lr: Schedule, values: Mapping[str, Any]
) -> Any:
    """Calls the function with a value for each of the given numbers, and the defaults of the other ones."""
    given: dict[str, Any] = {}
    for parameter in dict.fromkeys(known[key].parameter for key in values):
        parts = {key: number for key, number in known.items() if number.parameter == parameter}
        found = tuple(values.get(key, number.default) for key, number in parts.items())
        given[parameter] = found[0] if parameter in parts else found
    return function(learning_rate=lr, **given)


def _trial(make: Make, traced: Sequence[str], about: str) -> bool:
    """Traces a step; returns True if the optimizer is to be evaluated at averaged weights."""
    try:
        return _step(make, traced)
    except Exception as error:
        reason = _sentence(error)
        if _error(make, traced, constant=True) is None:
            reason = "its learning rate cannot be a schedule"
        raise BaselineError(f"{about} cannot be a baseline: {reason}") from error


def _error(make: Make, traced: Sequence[str], *, constant: bool = False) -> Exception | None:
    try:
        _step(make, traced, constant=constant)
    except Exception as error:  # noqa: BLE001 - any exception of a foreign optimizer means that it cannot be used so
        return error
    return None


def _step(make: Make, traced: Sequence[str], *, constant: bool = False) -> bool:
    """Traces a step of an optimizer on a small problem, without computing it.

    Args:
        make: factory of the optimizer.
        traced: numbers that are traced.
        constant: if True, the learning rate is a number instead of a schedule.

    Returns:
        True if the optimizer is to be evaluated at averaged weights.
    """
    import jax
    import jax.numpy as jnp
    import optax
    import optax.contrib

    from optsearch.proxy_tasks.compilation import pinned_settings
    from optsearch.search.scoring.evaluate import use_one_cpu_thread

    use_one_cpu_thread()  # the first computation of a process decides the number of threads of all later ones
    is_averaged = False

    def step(rates: Any, values: Mapping[str, Any], weights: Any, gradient: Any) -> Any:
        nonlocal is_averaged
        rate: Any = 1e-3 if constant else lambda count: rates[count]
        optimizer: Any = make(optax, rate, values)
        state = optimizer.init(weights)
        is_averaged = isinstance(state, optax.contrib.ScheduleFreeState)
        updates, after = optimizer.update(gradient, state, weights)
        if _forms(updates) != _forms(weights):
            raise TypeError("its updates differ from the weights in structure, shape or type")
        if _forms(after) != _forms(state):
            raise TypeError("its state changes in structure, shape or type from step to step")
        return updates, after

    shapes = {"bias": (3,), "kernel": (2, 2, 3, 4), "matrix": (4, 3)}
    weights = {key: jax.ShapeDtypeStruct(shape, jnp.float32) for key, shape in shapes.items()}
    values = {key: jax.ShapeDtypeStruct((), jnp.float32) for key in traced}
    with pinned_settings():
        jax.eval_shape(step, jax.ShapeDtypeStruct((2,), jnp.float32), values, weights, weights)
    return is_averaged


def _forms(tree: Any) -> Any:
    import jax
    import jax.numpy as jnp

    leaves, form = jax.tree.flatten(tree)
    return form, [(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _sentence(error: Exception) -> str:
    """What an exception of the trial says, in one line."""
    if isinstance(error, TypeError) and (found := _MISSING.search(str(error))):
        return f"it needs more than gradients, weights and a schedule: {found[1]}"
    lines = (line.strip() for line in str(error).splitlines())
    return f"a step with gradients, weights and a schedule fails: {next(filter(None, lines), type(error).__name__)}"


_MISSING = re.compile(r"missing \d+ required (?:positional|keyword-only) arguments?: (.*)")
