"""Optimizers written by hand in JAX, with the interface of optax: the floor of benchmarks.

They do what the library programs of their names do, without the interpreter and without the values that a program
computes between its statements.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class ByHandState(NamedTuple):
    """State of a hand-written optimizer: step count, and trees with the structure of the parameters."""

    count: Any
    trees: tuple[Any, ...]


class ByHand(NamedTuple):
    """The interface of an optax optimizer."""

    init: Callable[[Any], ByHandState]
    update: Callable[[Any, ByHandState, Any], tuple[Any, ByHandState]]


def _made(first: Callable[[Any], tuple[Any, ...]], step: Callable[..., Any]) -> Callable[[Callable[[Any], Any]], Any]:
    """An optimizer from its first state and its step.

    Args:
        first: maps the parameters to the first state, one tree for each variable.
        step: maps the rate, the parameters, the gradient and the state to the update and the new state.
    """

    def make(schedule: Callable[[Any], Any]) -> Any:
        def init(params: Any) -> ByHandState:
            return ByHandState(jnp.int32(0), first(params))

        def update(gradient: Any, state: ByHandState, params: Any) -> tuple[Any, ByHandState]:
            change, *trees = step(schedule(state.count), params, gradient, *state.trees)
            return jax.tree.map(jnp.negative, change), ByHandState(state.count + 1, tuple(trees))

        return ByHand(init, update)

    return make


def _zeros(count: int) -> Callable[[Any], tuple[Any, ...]]:
    return lambda params: (jax.tree.map(jnp.zeros_like, params),) * count


def _adamw(lr: Any, w: Any, g: Any, m: Any, v: Any) -> Any:
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
    return jax.tree.map(lambda w, m, v: 0.001 * lr * (m / (jnp.sqrt(v) + 1e-8) + 0.01 * w), w, m, v), m, v


def _orthogonal(x: Any) -> Any:
    """Muon's five Newton-Schulz steps on one array, scaled to a root mean square of 1."""
    matrix = x.reshape(-1, x.shape[-1]) if x.ndim > 1 else x.reshape(1, -1)
    tall = matrix.shape[0] > matrix.shape[1]
    return _newton_schulz(matrix.T).T.reshape(x.shape) if tall else _newton_schulz(matrix).reshape(x.shape)


def _newton_schulz(y: Any) -> Any:
    """The same on matrices [..., rows, columns] with at least as many columns as rows."""
    y = y / (jnp.linalg.norm(y, axis=(-2, -1), keepdims=True) + 1e-30)
    if y.shape[-2] > 1:
        for _ in range(5):
            gram = y @ y.mT
            y = 3.4445 * y + (2.0315 * gram @ gram - 4.775 * gram) @ y
    return y.shape[-1] ** 0.5 * y


def _by_shape(tree: Any) -> Any:
    """The same on a tree, with matrices of equal shape, up to transposition, in one product."""
    arrays, structure = jax.tree.flatten(tree)
    groups: dict[tuple[int, ...], dict[int, Any]] = {}
    for place, x in enumerate(arrays):
        matrix = x.reshape(-1, x.shape[-1]) if x.ndim > 1 else x.reshape(1, -1)
        matrix = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
        groups.setdefault(matrix.shape, {})[place] = matrix
    for shape, group in groups.items():
        for place, y in zip(group, _newton_schulz(jnp.stack(list(group.values()))), strict=True):
            tall = arrays[place].ndim > 1 and arrays[place].shape[-1] != shape[1]
            arrays[place] = (y.T if tall else y).reshape(arrays[place].shape)
    return jax.tree.unflatten(structure, arrays)


def _muon(orthogonal: Callable[[Any], Any]) -> Callable[..., Any]:
    def step(lr: Any, w: Any, g: Any, m: Any) -> Any:
        m = jax.tree.map(lambda m, g: 0.95 * m + 0.05 * g, m, g)
        steps = orthogonal(jax.tree.map(lambda m, g: 0.95 * m + 0.05 * g, m, g))
        return jax.tree.map(lambda w, o: 0.001 * lr * (o + 0.1 * w), w, steps), m

    return step


def _orthogonal_adamw(orthogonal: Callable[[Any], Any]) -> Callable[..., Any]:
    def step(lr: Any, w: Any, g: Any, m: Any, v: Any) -> Any:
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        steps = orthogonal(jax.tree.map(lambda m, v: m / (jnp.sqrt(v) + 1e-8), m, v))
        return jax.tree.map(lambda w, o: 0.001 * lr * (o + 0.01 * w), w, steps), m, v

    return step


def _first_adafactor(params: Any) -> tuple[Any, Any]:
    rows = jax.tree.map(lambda p: jnp.zeros((*p.shape[:-1], 1)), params)
    return rows, jax.tree.map(lambda p: jnp.zeros((1,) * (p.ndim - 1) + p.shape[-1:]), params)


def _adafactor(lr: Any, w: Any, g: Any, r: Any, c: Any) -> Any:
    def over_columns(x: Any) -> Any:
        return jnp.mean(x, axis=-1, keepdims=True)

    def over_rows(x: Any) -> Any:
        return jnp.mean(x, axis=tuple(range(x.ndim - 1)), keepdims=True)

    def change(w: Any, g: Any, r: Any, c: Any) -> Any:
        step = g / (jnp.sqrt(r) + 1e-8) / (jnp.sqrt(c) / (jnp.sqrt(over_columns(c)) + 1e-8) + 1e-8)
        step = step / jnp.maximum(jnp.sqrt(jnp.mean(step * step)), 1.0)
        return 0.01 * lr * jnp.maximum(jnp.sqrt(jnp.mean(w * w)), 0.001) * step

    r = jax.tree.map(lambda r, g: 0.999 * r + 0.001 * over_columns(g * g), r, g)
    c = jax.tree.map(lambda c, g: 0.999 * c + 0.001 * over_rows(g * g), c, g)
    return jax.tree.map(change, w, g, r, c), r, c


def _each(tree: Any) -> Any:
    return jax.tree.map(_orthogonal, tree)


adamw = _made(_zeros(2), _adamw)
"""AdamW without bias correction."""

WITH_MATRICES = {
    "muon": _made(_zeros(1), _muon(_each)),
    "orthogonal-adamw": _made(_zeros(2), _orthogonal_adamw(_each)),
    "adafactor": _made(_first_adafactor, _adafactor),
}
"""Library programs that call functions of rows, columns and matrices, one array after the other, as programs do."""

BY_SHAPE = {
    "muon": _made(_zeros(1), _muon(_by_shape)),
    "orthogonal-adamw": _made(_zeros(2), _orthogonal_adamw(_by_shape)),
}
"""Those that multiply matrices, with all matrices of equal shape in one product."""
