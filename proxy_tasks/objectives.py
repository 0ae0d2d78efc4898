"""What proxy tasks minimise, and the metric that people read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import jax

    from proxy_tasks.models import MLP, Params

Batch = tuple["jax.Array", ...]
"""Inputs [batch, features], then labels [batch] where there are any."""


class Objective(Protocol):
    """A loss over a model and a batch."""

    name: str
    has_accuracy: bool

    def loss(self, model: MLP, params: Params, batch: Batch) -> jax.Array:
        """Mean loss over the batch, a scalar."""
        ...

    def accuracy(self, model: MLP, params: Params, batch: Batch) -> jax.Array:
        """Share of right answers, a scalar in [0, 1]; not a number when the task has none."""
        ...


class Reconstruction:
    """Mean squared error between input and output."""

    name = "mean squared error"
    has_accuracy = False

    def loss(self, model: MLP, params: Params, batch: Batch) -> jax.Array:
        """Mean over examples and features."""
        import jax.numpy as jnp

        (inputs,) = batch
        return jnp.mean(jnp.square(model.apply(params, inputs) - inputs))

    def accuracy(self, model: MLP, params: Params, batch: Batch) -> jax.Array:
        """Not a number: nothing is classified."""
        import jax.numpy as jnp

        return jnp.float32(jnp.nan)


class Classification:
    """Cross-entropy between the softmax of the output and the label, in nats."""

    name = "cross-entropy"
    has_accuracy = True

    def loss(self, model: MLP, params: Params, batch: Batch) -> jax.Array:
        """Mean over examples."""
        import jax
        import jax.numpy as jnp

        inputs, labels = batch
        scores = jax.nn.log_softmax(model.apply(params, inputs))
        chosen = jax.nn.one_hot(labels, scores.shape[1], dtype=scores.dtype)  # its gradient needs no scatter
        return -jnp.mean(jnp.sum(jnp.where(chosen > 0, scores, 0.0), axis=1))

    def accuracy(self, model: MLP, params: Params, batch: Batch) -> jax.Array:
        """Share of examples whose largest output is the label's."""
        import jax.numpy as jnp

        inputs, labels = batch
        return jnp.mean((jnp.argmax(model.apply(params, inputs), axis=1) == labels).astype(jnp.float32))
