"""Programs as optax gradient transformations, for any JAX training loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from optsearch.dsl.execute import Tree, first_state, step
from optsearch.dsl.program import Program

if TYPE_CHECKING:
    from jax.typing import ArrayLike


class ProgramState(NamedTuple):
    """Attributes:
    count: number of steps taken, an int32 scalar.
    state: for each state variable of the program, a tree with the structure of the parameters.
    """

    count: jax.Array  # pyright: ignore[reportIncompatibleMethodOverride] - optax calls it so
    state: tuple[Tree, ...]


def to_optax(
    program: Program, learning_rate: float | Callable[[ArrayLike], ArrayLike] = 1.0
) -> optax.GradientTransformation:
    """Converts a program to a ``GradientTransformation``.

    Args:
        program: a verified program.
        learning_rate: the program's ``lr``: a number, or a schedule that maps the step (from 0) to a number. Constants
            in the program, such as AdamW's ``lr * 0.001``, scale it.

    Returns:
        A transformation whose updates are ``-update``, as ``optax.apply_updates`` expects; its ``update`` requires
        ``params``. The state has the precision of the parameters, but at least float32.

    >>> from optsearch.dsl.library import LIBRARY
    >>> optimizer = to_optax(LIBRARY["sgd"], learning_rate=0.5)
    >>> params, grads = {"w": jnp.ones(2)}, {"w": jnp.asarray([1.0, -2.0])}
    >>> updates, state = optimizer.update(grads, optimizer.init(params), params)
    >>> optax.apply_updates(params, updates)["w"].tolist()
    [0.5, 2.0]
    """

    def init(params: Tree) -> ProgramState:
        return ProgramState(jnp.zeros((), jnp.int32), first_state(program, params))

    def update(updates: Tree, state: Any, params: Tree | None = None) -> tuple[Tree, ProgramState]:
        if params is None:
            raise ValueError("a program reads the weights: call update(grads, state, params)")
        params = jax.tree.map(jnp.asarray, params)
        lr = learning_rate(state.count) if callable(learning_rate) else learning_rate
        change, new_state = step(program, params, updates, state.state, lr)
        return jax.tree.map(jnp.negative, change), ProgramState(
            jnp.asarray(optax.safe_increment(state.count)), new_state
        )

    return optax.GradientTransformation(init, update)
