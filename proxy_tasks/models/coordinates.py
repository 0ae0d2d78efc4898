"""A coordinate network: a perceptron on sines and cosines of coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optsearch.proxy_tasks.models.model import MLP

if TYPE_CHECKING:
    import jax

    from optsearch.proxy_tasks.models.model import Params


@dataclass(frozen=True, slots=True)
class CoordinateMLP:
    """A ReLU perceptron on the positional encoding of a point.

    Coordinate x is encoded as the sines and cosines of ``pi 2^k x`` for k from 0 to ``octaves - 1``. The encoding is
    part of the model and not of the data, which would be ``2 octaves`` times as large.

    Attributes:
        dimensions: number of coordinates, each in [-1, 1].
        octaves: number of frequencies per coordinate.
        hidden: widths of the hidden layers.
        outputs: number of outputs.

    Source: Mildenhall et al. 2020 (arXiv:2003.08934), equation 4.
    """

    dimensions: int
    octaves: int
    hidden: tuple[int, ...]
    outputs: int

    @property
    def perceptron(self) -> MLP:
        """The perceptron on top of the encoding."""
        return MLP((2 * self.dimensions * self.octaves, *self.hidden, self.outputs), "relu")

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return self.perceptron.parameters

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one forward pass of one point."""
        return self.perceptron.multiply_adds

    def init(self, key: jax.Array) -> Params:
        """Initial parameters: those of the perceptron."""
        return self.perceptron.init(key)

    def apply(self, params: Params, inputs: jax.Array) -> jax.Array:
        """Computes the outputs.

        Args:
            params: as returned by `init`.
            inputs: points, [batch, dimensions].

        Returns:
            [batch, outputs].
        """
        import jax.numpy as jnp

        frequencies = math.pi * 2.0 ** jnp.arange(self.octaves, dtype=inputs.dtype)
        angles = (inputs[:, :, None] * frequencies[None, None, :]).reshape(len(inputs), -1)
        return self.perceptron.apply(params, jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=1))
