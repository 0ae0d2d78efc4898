"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner.

The gradient G [rows, columns] of a matrix has two Kronecker factors, the averages L of ``G G'`` and R of ``G' G``. Adam
runs on ``Q_L' G Q_R``, where Q_L and Q_R are the eigenvectors of L and R. These are refreshed every few steps by one
power iteration. The first moment is an average of unrotated gradients, so that it needs no change with the bases. An
array with more than two axes is a matrix of its leading axes against its last axis; vectors are trained by Adam.

The paper leaves some choices open, which are as in the authors' code (github.com/nikhilvyas/SOAP):

- The first step only initialises L, R and their eigenvectors; its update is 0, apart from weight decay.
- A step uses the bases of the steps before it; L, R and the bases are updated after it. Their decay is ``b2``.
- A refresh sorts the eigenvectors by their estimated eigenvalues, and the second moment with them, then orthonormalises
  ``L Q_L`` by a QR decomposition.
- Bias correction scales the whole step by ``sqrt(1 - b2^t) / (1 - b1^t)``, so that ``eps`` is added to the root of the
  uncorrected second moment.
- An axis longer than ``max_dim`` is not rotated.

In one point it follows optax instead: weight decay is a multiple of the weights before the step, not after it.

Source: Vyas et al. 2024 (arXiv:2409.11321), algorithm 3.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

Pair = tuple[jax.Array | None, jax.Array | None]
"""A matrix for the rows and one for the columns; None for an axis that is not rotated."""


class LeafState(NamedTuple):
    """State of one array of the weights, whose matrix is [rows, columns].

    Attributes:
        first: average of the gradient, in the shape of the matrix.
        second: average of the squared rotated gradient, in the same shape.
        factors: L [rows, rows] and R [columns, columns].
        bases: their eigenvectors in columns, by decreasing eigenvalue.
    """

    first: jax.Array
    second: jax.Array
    factors: Pair
    bases: Pair


class SoapState(NamedTuple):
    """State of SOAP.

    Attributes:
        step: int32 [], number of steps so far.
        leaves: a state for each array of the weights, in the order of ``jax.tree.leaves``.
    """

    step: jax.Array
    leaves: tuple[LeafState, ...]


def soap(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.95,
    b2: float = 0.95,
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    precondition_frequency: int = 10,
    max_dim: int = 10_000,
) -> optax.GradientTransformation:
    """SOAP with decoupled weight decay.

    Args:
        learning_rate: learning rate, or its schedule.
        b1: decay of the first moment.
        b2: decay of the second moment and of the Kronecker factors.
        eps: term of the denominator.
        weight_decay: multiple of the weights that is added to the step before the learning rate is applied.
        precondition_frequency: number of steps between refreshes of the eigenvectors.
        max_dim: largest axis that is rotated.
    """
    return optax.chain(
        scale_by_soap(b1, b2, eps, precondition_frequency, max_dim),
        optax.add_decayed_weights(weight_decay),
        optax.scale_by_learning_rate(learning_rate),
    )


def scale_by_soap(
    b1: float = 0.95, b2: float = 0.95, eps: float = 1e-8, precondition_frequency: int = 10, max_dim: int = 10_000
) -> optax.GradientTransformation:
    """The step of SOAP without learning rate and weight decay; see `soap` for the arguments."""

    def zero_factors(shape: tuple[int, ...], dtype: Any) -> Pair:
        if len(shape) < 2:
            return None, None
        rows, columns = (jnp.zeros((size, size), dtype) if size <= max_dim else None for size in shape)
        return rows, columns

    def init(params: Any) -> SoapState:
        leaves: list[LeafState] = []
        for leaf in map(_matrix, jax.tree.leaves(params)):
            factors = zero_factors(leaf.shape, leaf.dtype)
            leaves.append(LeafState(jnp.zeros_like(leaf), jnp.zeros_like(leaf), factors, factors))
        return SoapState(jnp.zeros((), jnp.int32), tuple(leaves))

    def advance(gradient: jax.Array, state: LeafState, step: jax.Array) -> tuple[jax.Array, LeafState]:
        """The update and the next state of one array, in the shape of its matrix."""
        starts, number = step == 0, jnp.maximum(step, 1).astype(gradient.dtype)
        first = jnp.where(starts, state.first, b1 * state.first + (1 - b1) * gradient)
        second = b2 * state.second + (1 - b2) * jnp.square(_rotated(gradient, state.bases))
        second = jnp.where(starts, state.second, second)
        scale = jnp.sqrt(1 - b2**number) / (1 - b1**number)
        update = _rotated_back(_rotated(first, state.bases) / (jnp.sqrt(second) + eps), state.bases) * scale
        update = jnp.where(starts, jnp.zeros_like(update), update)
        factors = (
            None if (left := state.factors[0]) is None else b2 * left + (1 - b2) * gradient @ gradient.T,
            None if (right := state.factors[1]) is None else b2 * right + (1 - b2) * gradient.T @ gradient,
        )
        if factors[0] is None and factors[1] is None:
            return update, LeafState(first, second, factors, state.bases)
        bases, second = jax.lax.switch(
            jnp.where(starts, 1, jnp.where(step % precondition_frequency == 0, 2, 0)),
            [lambda _, bases, second: (bases, second), _first_bases, _refreshed],
            factors,
            state.bases,
            second,
        )
        return update, LeafState(first, second, factors, bases)

    def update(updates: Any, state: SoapState, params: Any = None) -> tuple[Any, SoapState]:
        del params
        gradients, form = jax.tree.flatten(updates)
        pairs = [advance(_matrix(g), leaf, state.step) for g, leaf in zip(gradients, state.leaves, strict=True)]
        steps = [step.reshape(g.shape) for g, (step, _) in zip(gradients, pairs, strict=True)]
        count = optax.safe_increment(state.step)
        return jax.tree.unflatten(form, steps), SoapState(jnp.asarray(count), tuple(leaf for _, leaf in pairs))

    return optax.GradientTransformation(init, update)  # pyright: ignore[reportArgumentType]


def _matrix(leaf: jax.Array) -> jax.Array:
    return leaf if leaf.ndim <= 2 else leaf.reshape(-1, leaf.shape[-1])


def _rotated(matrix: jax.Array, bases: Pair) -> jax.Array:
    left, right = bases
    matrix = matrix if left is None else left.T @ matrix
    return matrix if right is None else matrix @ right


def _rotated_back(matrix: jax.Array, bases: Pair) -> jax.Array:
    left, right = bases
    matrix = matrix if left is None else left @ matrix
    return matrix if right is None else matrix @ right.T


def _first_bases(factors: Pair, bases: Pair, second: jax.Array) -> tuple[Pair, jax.Array]:
    del bases
    left, right = (None if factor is None else jnp.linalg.eigh(factor)[1][:, ::-1] for factor in factors)
    return (left, right), second


def _refreshed(factors: Pair, bases: Pair, second: jax.Array) -> tuple[Pair, jax.Array]:
    found: list[jax.Array | None] = []
    for axis, (factor, basis) in enumerate(zip(factors, bases, strict=True)):
        if factor is None or basis is None:
            found.append(None)
            continue
        power = factor @ basis
        order = jnp.argsort(-jnp.sum(basis * power, axis=0))
        second = jnp.take(second, order, axis=axis)
        found.append(jnp.linalg.qr(power[:, order])[0])
    return (found[0], found[1]), second
