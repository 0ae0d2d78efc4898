"""The networks that proxy tasks train, as values that know their parameters' shapes without JAX."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import jax

Params = Any
"""A pytree of float32 arrays."""


@dataclass(frozen=True, slots=True)
class MLP:
    """A multi-layer perceptron: dense layers with an activation between them, none after the last.

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
        """Initial parameters: for each layer ``{"b": [outputs], "w": [inputs, outputs]}``."""
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
        """Output for a batch.

        Args:
            params: as `init` gives them.
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
