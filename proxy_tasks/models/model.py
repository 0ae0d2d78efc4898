"""The model protocol, and perceptrons; `transformer`, `convolution` and `quadratic` define the other models.

A model is a value that knows the shapes of its parameters without JAX. Embeddings are looked up by products with
one-hot rows: their gradient is then a matrix product too, which is bitwise reproducible on every device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import jax

Params = Any
"""A pytree of float32 arrays."""


class Model(Protocol):
    """A network: a frozen dataclass whose fields are its settings, which are part of the task's version."""

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        ...

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one forward pass of one example."""
        ...

    def init(self, key: jax.Array) -> Params:
        """Initial parameters."""
        ...

    def apply(self, params: Params, inputs: jax.Array) -> jax.Array:
        """Output for a batch; its leading axis is the batch axis."""
        ...


@dataclass(frozen=True, slots=True)
class MLP:
    """A multi-layer perceptron: dense layers with an activation between them, and none after the last.

    Attributes:
        widths: number of features before the first layer and after each layer.
        activation: ``tanh`` (initial weights with variance 1/inputs) or ``relu`` (2/inputs). Biases start at zero.
    """

    widths: tuple[int, ...]
    activation: Literal["tanh", "relu"]

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(inputs * outputs + outputs for inputs, outputs in pairwise(self.widths))

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one forward pass of one example."""
        return sum(inputs * outputs for inputs, outputs in pairwise(self.widths))

    def init(self, key: jax.Array) -> Params:
        """Initial parameters: ``{"b": [outputs], "w": [inputs, outputs]}`` per layer."""
        import jax
        import jax.numpy as jnp

        gain = 1.0 if self.activation == "tanh" else 2.0
        keys = jax.random.split(key, len(self.widths) - 1)
        return [
            {
                "b": jnp.zeros(outputs, jnp.float32),
                "w": math.sqrt(gain / inputs) * jax.random.normal(layer, (inputs, outputs), jnp.float32),
            }
            for layer, inputs, outputs in zip(keys, self.widths[:-1], self.widths[1:], strict=True)
        ]

    def apply(self, params: Params, inputs: jax.Array) -> jax.Array:
        """Computes the output for a batch.

        Args:
            params: as returned by `init`.
            inputs: [batch, features].

        Returns:
            [batch, width of the last layer].
        """
        import jax
        import jax.numpy as jnp

        activate = jnp.tanh if self.activation == "tanh" else jax.nn.relu
        *hidden, last = params
        values = inputs
        for layer in hidden:
            values = activate(values @ layer["w"] + layer["b"][None, :])
        return values @ last["w"] + last["b"][None, :]


@dataclass(frozen=True, slots=True)
class WindowMLP:
    """A perceptron that predicts the next character from the embeddings of the last few characters.

    Attributes:
        symbols: number of distinct characters.
        context: context length in characters.
        embedding: embedding dimension; initial embeddings are normal.
        hidden: widths of the hidden layers.

    Source: Bengio et al. 2003, "A Neural Probabilistic Language Model".
    """

    symbols: int
    context: int
    embedding: int
    hidden: tuple[int, ...]

    @property
    def perceptron(self) -> MLP:
        """The perceptron on top of the embeddings."""
        return MLP((self.context * self.embedding, *self.hidden, self.symbols), "tanh")

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return self.symbols * self.embedding + self.perceptron.parameters

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one forward pass of one example."""
        return self.context * self.symbols * self.embedding + self.perceptron.multiply_adds

    def init(self, key: jax.Array) -> Params:
        """Initial parameters: ``{"embedding": [symbols, embedding], "layers": those of the perceptron}``."""
        import jax
        import jax.numpy as jnp

        first, second = jax.random.split(key)
        embedding = jax.random.normal(first, (self.symbols, self.embedding), jnp.float32)
        return {"embedding": embedding, "layers": self.perceptron.init(second)}

    def apply(self, params: Params, inputs: jax.Array) -> jax.Array:
        """Computes the logits of the next character.

        Args:
            params: as returned by `init`.
            inputs: characters, int32 [batch, context].

        Returns:
            [batch, symbols].
        """
        import jax

        embedding = params["embedding"]
        values = jax.nn.one_hot(inputs, self.symbols, dtype=embedding.dtype) @ embedding
        return self.perceptron.apply(params["layers"], values.reshape(len(inputs), -1))
