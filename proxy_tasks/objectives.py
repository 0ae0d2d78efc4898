"""What proxy tasks minimise, and the metric that people read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import jax

    from optsearch.proxy_tasks.models import Model, Params

Batch = tuple["jax.Array", ...]
"""Inputs [batch, ...], then labels or targets [batch, ...] where there are any."""


class Objective(Protocol):
    """A loss over a model and a batch."""

    @property
    def name(self) -> str:
        """What it is called; a change of meaning needs another name, because the task's version has it."""
        ...

    @property
    def has_accuracy(self) -> bool:
        """Whether something is classified."""
        ...

    @property
    def passes(self) -> int:
        """Forward passes of the model for one example."""
        ...

    def loss(self, model: Model, params: Params, batch: Batch) -> jax.Array:
        """Mean loss over the batch, a scalar."""
        ...

    def accuracy(self, model: Model, params: Params, batch: Batch) -> jax.Array:
        """Share of right answers, a scalar in [0, 1]; not a number when the task has none."""
        ...


class _Unclassified:
    """For objectives that have only a loss."""

    has_accuracy = False
    passes = 1

    def accuracy(self, model: Model, params: Params, batch: Batch) -> jax.Array:
        """Not a number: nothing is classified."""
        import jax.numpy as jnp

        return jnp.float32(jnp.nan)


class Reconstruction(_Unclassified):
    """Mean squared error between input and output."""

    name = "mean squared error"

    def loss(self, model: Model, params: Params, batch: Batch) -> jax.Array:
        """Mean over examples and features."""
        import jax.numpy as jnp

        (inputs,) = batch
        return jnp.mean(jnp.square(model.apply(params, inputs) - inputs))


class Regression(_Unclassified):
    """Mean squared error between output and target."""

    name = "mean squared error to the target"

    def loss(self, model: Model, params: Params, batch: Batch) -> jax.Array:
        """Mean over examples and targets."""
        import jax.numpy as jnp

        inputs, targets = batch
        return jnp.mean(jnp.square(model.apply(params, inputs) - targets))


class Mean(_Unclassified):
    """The mean output of a model that is a loss itself."""

    name = "mean output"

    def loss(self, model: Model, params: Params, batch: Batch) -> jax.Array:
        """Mean over examples."""
        import jax.numpy as jnp

        (inputs,) = batch
        return jnp.mean(model.apply(params, inputs))


@dataclass(frozen=True)
class Contrastive(_Unclassified):
    """Which of a group's second views belongs to a first view: cross-entropy over the group, both ways, in nats.

    Validation has groups of the same size as training, so that the losses can be compared.

    Attributes:
        group: pairs in a group; it divides the batch size and the sizes of validation and test.
        temperature: what cosines of the angles between embeddings are divided by.
        passes: the two views.

    Source: van den Oord et al. 2018 (arXiv:1807.03748); both ways as in Radford et al. 2021 (arXiv:2103.00020).
    """

    group: int
    temperature: float
    passes: int = 2

    @property
    def name(self) -> str:
        """With the settings."""
        return f"contrastive cross-entropy in groups of {self.group}, temperature {self.temperature}"

    def loss(self, model: Model, params: Params, batch: Batch) -> jax.Array:
        """Mean over groups, pairs, and both ways."""
        import jax
        import jax.numpy as jnp
        from jax import lax

        def embedded(view: jax.Array) -> jax.Array:
            vectors = model.apply(params, view)
            vectors *= lax.rsqrt(jnp.sum(jnp.square(vectors), axis=1, keepdims=True) + 1e-6)
            return vectors.reshape(-1, self.group, vectors.shape[1])

        cosines = jnp.einsum("gas,gbs->gab", *map(embedded, batch)) / self.temperature
        there, back = (jax.nn.log_softmax(cosines, axis=axis) for axis in (1, 2))
        own = jnp.eye(self.group, dtype=cosines.dtype)[None]
        return -0.5 * jnp.sum((there + back) * own) / (cosines.shape[0] * self.group)


class Classification:
    """Cross-entropy between the softmax of the output and the label, in nats."""

    name = "cross-entropy"
    has_accuracy = True
    passes = 1

    def loss(self, model: Model, params: Params, batch: Batch) -> jax.Array:
        """Mean over examples and, where an example has several labels, over these."""
        import jax
        import jax.numpy as jnp

        inputs, labels = batch
        scores = jax.nn.log_softmax(model.apply(params, inputs))
        chosen = jax.nn.one_hot(labels, scores.shape[-1], dtype=scores.dtype)  # its gradient needs no scatter
        return -jnp.mean(jnp.sum(jnp.where(chosen > 0, scores, 0.0), axis=-1))

    def accuracy(self, model: Model, params: Params, batch: Batch) -> jax.Array:
        """Share of labels whose output is the largest."""
        import jax.numpy as jnp

        inputs, labels = batch
        return jnp.mean((jnp.argmax(model.apply(params, inputs), axis=-1) == labels).astype(jnp.float32))


class MaskedClassification(Classification):
    """The same over the labels that are not negative: the others are not asked for."""

    name = "cross-entropy of masked labels"

    def loss(self, model: Model, params: Params, batch: Batch) -> jax.Array:
        """Mean over the labels that are asked for."""
        import jax.numpy as jnp

        _, labels = batch
        everywhere = super().loss(model, params, batch)  # a negative label has no one-hot row and adds nothing
        return everywhere / jnp.mean((labels >= 0).astype(everywhere.dtype))

    def accuracy(self, model: Model, params: Params, batch: Batch) -> jax.Array:
        """Share of right answers among the labels that are asked for."""
        import jax.numpy as jnp

        _, labels = batch
        return super().accuracy(model, params, batch) / jnp.mean((labels >= 0).astype(jnp.float32))
