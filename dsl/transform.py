"""Programs as optax gradient transformations, for any JAX training loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Union

import jax
import jax.numpy as jnp
import optax
from jax.core import Tracer

from optsearch.dsl.errors import UserError
from optsearch.dsl.execute import Tree, first_state, step
from optsearch.dsl.export.arguments import DECAY, FACTOR, LEARNING_RATE, prepared
from optsearch.dsl.hyperparameters import with_constant
from optsearch.dsl.program import Program

if TYPE_CHECKING:
    from jax.typing import ArrayLike

Rate = Union[float, "Callable[[ArrayLike], ArrayLike]"]
"""A number, or a schedule that maps the step (from 0) to a number."""


class ProgramState(NamedTuple):
    """Attributes:
    count: number of steps taken, an int32 scalar.
    state: for each state variable of the program, a tree with the structure of the parameters.
    """

    count: jax.Array  # pyright: ignore[reportIncompatibleMethodOverride] - optax calls it so
    state: tuple[Tree, ...]


class HyperparameterError(UserError, ValueError):
    """A hyperparameter that a program does not have, or whose value is refused."""


def to_optax(
    program: Program,
    learning_rate: Rate | None = None,
    *,
    rate_factor: Rate | None = None,
    weight_decay: float | None = None,
) -> optax.GradientTransformation:
    """Converts a program to a ``GradientTransformation`` with the hyperparameters of its exported file.

    Args:
        program: a verified program; dead statements are omitted.
        learning_rate: the learning rate, as in optax: a number, or a schedule that maps the step (from 0) to a number.
            None for the program's own: the product of the constants that multiply its ``lr``.
        rate_factor: for a program without a learning rate, since its update is not proportional to ``lr``: the value of
            its ``lr``, a number or a schedule. None for 1.
        weight_decay: the weight decay. None for the program's own.

    Returns:
        A transformation whose updates are ``-update``, as ``optax.apply_updates`` expects; its ``update`` requires
        ``params``. The state has the precision of the parameters, but at least float32.

    Raises:
        HyperparameterError: the program has no such hyperparameter, or a value is negative.

    >>> from optsearch.dsl.library import LIBRARY
    >>> optimizer = to_optax(LIBRARY["sgd"], learning_rate=0.5)
    >>> params, grads = {"w": jnp.ones(2)}, {"w": jnp.asarray([1.0, -2.0])}
    >>> updates, state = optimizer.update(grads, optimizer.init(params), params)
    >>> optax.apply_updates(params, updates)["w"].tolist()
    [0.5, 2.0]
    """
    made = prepared(program)
    argument, other, given, refused = LEARNING_RATE, FACTOR, learning_rate, rate_factor
    if made.rate is None:
        argument, other, given, refused = FACTOR, LEARNING_RATE, rate_factor, learning_rate
    if refused is not None:
        raise HyperparameterError(f"this program has no {other}: {made.rate_words(argument)}")
    rate = (made.rate or 1.0) if given is None else given
    _check_sign(argument, rate)
    if weight_decay is None:
        return to_transformation(made.program, rate)
    if made.decay is None:
        raise HyperparameterError("this program has no weight decay: leave out weight_decay")
    _check_sign(DECAY, weight_decay)
    return to_transformation(with_constant(made.program, made.decay.place, weight_decay), rate)


def _check_sign(name: str, value: Rate) -> None:
    """Refuses negative settings whose values are known before compilation."""
    if not callable(value) and not isinstance(value, Tracer) and not value >= 0.0:
        raise HyperparameterError(f"{name} is {value}: it must be at least 0")


def to_transformation(program: Program, lr: Rate) -> optax.GradientTransformation:
    """Converts a program as it is, dead statements included, with a value for its ``lr``.

    Args:
        program: a verified program.
        lr: value of the program's ``lr``: a number, or a schedule that maps the step (from 0) to a number. Constants in
            the program, such as AdamW's ``lr * 0.001``, scale it.

    Returns:
        As `to_optax`.
    """

    def init(params: Tree) -> ProgramState:
        return ProgramState(jnp.zeros((), jnp.int32), first_state(program, params))

    def update(updates: Tree, state: Any, params: Tree | None = None) -> tuple[Tree, ProgramState]:
        if params is None:
            raise ValueError("a program reads the weights: call update(grads, state, params)")
        params = jax.tree.map(jnp.asarray, params)
        rate = lr(state.count) if callable(lr) else lr
        change, new_state = step(program, params, updates, state.state, rate)
        return jax.tree.map(jnp.negative, change), ProgramState(
            jnp.asarray(optax.safe_increment(state.count)), new_state
        )

    return optax.GradientTransformation(init, update)
