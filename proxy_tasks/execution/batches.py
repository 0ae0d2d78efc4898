"""Inputs of training runs, and the gradients of a step.

Several runs (*lanes*) share a computation. Lanes are independent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from optsearch.proxy_tasks.task import Task

if TYPE_CHECKING:
    import jax


class Batches(NamedTuple):
    """Inputs of training runs of a task; determined by their seeds.

    Attributes:
        weights: initial parameters of all lanes, with leaves [lanes, ...].
        order: example indices of each batch, int32 [steps, lanes, batch_size].
        train: the training split.
        validation: the validation split.
        test: the test split.
    """

    weights: Any
    order: Any
    train: Any
    validation: Any
    test: Any


def prepare(task: Task, seed: jax.Array) -> tuple[Any, Any]:
    """Initial weights and batch order of a seed, the only random inputs of a run."""
    import jax

    weights, order = jax.random.split(jax.random.key(seed))
    return task.init(weights), task.order(order)


def prepare_lanes(task: Task, seeds: jax.Array) -> tuple[Any, Any]:
    """As `prepare`, for seeds [lanes]: weights with leaves [lanes, ...], and order [steps, lanes, batch_size]."""
    import jax
    import jax.numpy as jnp

    weights, order = jax.vmap(lambda seed: prepare(task, seed))(seeds)
    return weights, jnp.moveaxis(order, 0, 1)


def each_lane(function: Callable[..., Any], *trees: Any) -> Any:
    """Maps a function over lanes; arguments and result have leaves [lanes, ...].

    A single lane is not batched, because XLA generates better code without the batch axis.
    """
    import jax

    if jax.tree.leaves(trees)[0].shape[0] == 1:
        result = function(*jax.tree.map(lambda leaf: leaf[0], trees))
        return jax.tree.map(lambda leaf: leaf[None], result)
    return jax.vmap(function)(*trees)


def gradients(task: Task, weights: Any, batches: Batches, step: jax.Array) -> tuple[jax.Array, Any]:
    """Losses [lanes] of a step's batches, and gradients with leaves [lanes, ...]."""
    import jax
    from jax import lax

    def one(weights: Any, examples: jax.Array) -> tuple[jax.Array, Any]:
        batch = tuple(array.at[examples].get(mode="promise_in_bounds") for array in batches.train)
        return jax.value_and_grad(task.loss)(weights, batch)

    return each_lane(one, weights, lax.dynamic_index_in_dim(batches.order, step, keepdims=False))
