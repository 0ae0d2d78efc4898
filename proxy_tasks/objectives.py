"""Objectives of proxy tasks: the loss, and the accuracy metric."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from optsearch.proxy_tasks.datasets.dataset import Arrays

if TYPE_CHECKING:
    import jax

    from optsearch.proxy_tasks.models.model import Model, Params

Batch = tuple["jax.Array", ...]
"""Inputs [batch, ...], then labels or targets [batch, ...] if there are any."""


class Objective(Protocol):
    """A loss of a model on a batch."""

    @property
    def name(self) -> str:
        """Name of the objective; part of the task's version, so a change of meaning requires a new name."""
        ...

    @property
    def has_accuracy(self) -> bool:
        """True if the objective is a classification."""
        ...

    @property
    def passes(self) -> int:
        """Number of forward passes per example."""
        ...

    def loss(self, model: Model, params: Params, batch: Batch) -> jax.Array:
        """Mean loss over the batch, a scalar."""
        ...

    def accuracy(self, model: Model, params: Params, batch: Batch) -> jax.Array:
        """Fraction of correct predictions, a scalar in [0, 1]; NaN if the task has none."""
        ...

    def trivial(self, train: Arrays, test: Arrays) -> float | None:
        """Loss on the test split of a predictor that ignores its input, fitted to the training split.

        Returns:
            The loss; None if the objective has no such predictor.
        """
        ...


class _Unclassified:
    """Base class of objectives without accuracy."""

    has_accuracy = False
    passes = 1

    def accuracy(self, model: Model, params: Params, batch: Batch) -> jax.Array:
        """NaN, because the objective is not a classification."""
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

    def trivial(self, train: Arrays, test: Arrays) -> float:
        """That of the mean training example."""
        return float(np.mean(np.square(test[0] - train[0].mean(axis=0, dtype=np.float64))))


class Regression(_Unclassified):
    """Mean squared error between output and target."""

    name = "mean squared error to the target"

    def loss(self, model: Model, params: Params, batch: Batch) -> jax.Array:
        """Mean over examples and targets."""
        import jax.numpy as jnp

        inputs, targets = batch
        return jnp.mean(jnp.square(model.apply(params, inputs) - targets))

    def trivial(self, train: Arrays, test: Arrays) -> float:
        """That of the mean training target."""
        return float(np.mean(np.square(test[1] - train[1].mean(axis=0, dtype=np.float64))))


class Mean(_Unclassified):
    """Mean output of a model that computes a loss itself."""

    name = "mean output"

    def loss(self, model: Model, params: Params, batch: Batch) -> jax.Array:
        """Mean over examples."""
        import jax.numpy as jnp

        (inputs,) = batch
        return jnp.mean(model.apply(params, inputs))

    def trivial(self, train: Arrays, test: Arrays) -> None:
        """None: the model computes its loss itself."""
        return


@dataclass(frozen=True)
class Contrastive(_Unclassified):
    """Symmetric cross-entropy over pairs in a group, in nats: identifies the second view that belongs to a first view.

    Validation uses groups of the same size as training, so that the losses are comparable.

    Attributes:
        group: number of pairs in a group; it divides the batch size and the sizes of validation and test.
        temperature: divisor of the cosine similarities between embeddings.
        passes: number of views.

    Source: van den Oord et al. 2018 (arXiv:1807.03748); symmetric as in Radford et al. 2021 (arXiv:2103.00020).
    """

    group: int
    temperature: float
    passes: int = 2

    @property
    def name(self) -> str:
        """Name, including the settings."""
        return f"contrastive cross-entropy in groups of {self.group}, temperature {self.temperature}"

    def loss(self, model: Model, params: Params, batch: Batch) -> jax.Array:
        """Mean over groups, pairs, and both directions."""
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

    def trivial(self, train: Arrays, test: Arrays) -> float:
        """That of equal embeddings, which tell no pair of a group from another."""
        return math.log(self.group)


class Classification:
    """Cross-entropy between the softmax of the output and the label, in nats."""

    name = "cross-entropy"
    has_accuracy = True
    passes = 1

    def loss(self, model: Model, params: Params, batch: Batch) -> jax.Array:
        """Mean over examples and, if an example has several labels, over its labels."""
        import jax
        import jax.numpy as jnp

        inputs, labels = batch
        scores = jax.nn.log_softmax(model.apply(params, inputs))
        chosen = jax.nn.one_hot(labels, scores.shape[-1], dtype=scores.dtype)  # its gradient needs no scatter
        return -jnp.mean(jnp.sum(jnp.where(chosen > 0, scores, 0.0), axis=-1))

    def accuracy(self, model: Model, params: Params, batch: Batch) -> jax.Array:
        """Fraction of labels with the largest logit."""
        import jax.numpy as jnp

        inputs, labels = batch
        return jnp.mean((jnp.argmax(model.apply(params, inputs), axis=-1) == labels).astype(jnp.float32))

    def trivial(self, train: Arrays, test: Arrays) -> float:
        """That of the frequencies of the training labels, with one more of each label; negative labels are left out."""
        known, asked = (split[1][split[1] >= 0] for split in (train, test))
        counts = np.bincount(known, minlength=int(max(known.max(), asked.max())) + 1) + 1.0
        return float(-np.mean(np.log(counts / counts.sum())[asked]))


class MaskedClassification(Classification):
    """Cross-entropy over nonnegative labels; negative labels are masked out."""

    name = "cross-entropy of masked labels"

    def loss(self, model: Model, params: Params, batch: Batch) -> jax.Array:
        """Mean over the unmasked labels."""
        import jax.numpy as jnp

        _, labels = batch
        everywhere = super().loss(model, params, batch)  # a negative label has no one-hot row and adds nothing
        return everywhere / jnp.mean((labels >= 0).astype(everywhere.dtype))

    def accuracy(self, model: Model, params: Params, batch: Batch) -> jax.Array:
        """Fraction of correct predictions among the unmasked labels."""
        import jax.numpy as jnp

        _, labels = batch
        return super().accuracy(model, params, batch) / jnp.mean((labels >= 0).astype(jnp.float32))
