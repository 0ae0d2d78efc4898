"""A small convolutional network for square images.

A convolution is implemented as nine concatenated slices times a matrix. This is one matrix product on every device,
also for a batch of candidates with different weights, and compilers optimise matrix products best.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jax

    from optsearch.proxy_tasks.models.model import Params

KERNEL = 3
"""Side of a kernel in pixels."""


@dataclass(frozen=True, slots=True)
class CNN:
    """Strided 3x3 convolutions that halve the image, each followed by a ReLU, then one dense layer.

    Attributes:
        side: side of the image in pixels.
        channels: number of channels after each convolution.
        classes: number of classes.
        colours: number of channels of the input image.
    """

    side: int
    channels: tuple[int, ...]
    classes: int
    colours: int = 1

    @property
    def sides(self) -> tuple[int, ...]:
        """Side of the image before the first convolution and after each convolution."""
        sides = [self.side]
        for _ in self.channels:
            sides.append(-(-sides[-1] // 2))
        return tuple(sides)

    @property
    def kernels(self) -> tuple[tuple[int, int], ...]:
        """Rows and columns of each convolution's weight matrix."""
        return tuple((KERNEL**2 * inputs, outputs) for inputs, outputs in pairwise((self.colours, *self.channels)))

    @property
    def features(self) -> int:
        """Number of input features of the dense layer."""
        return self.sides[-1] ** 2 * self.channels[-1]

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum((rows + 1) * columns for rows, columns in (*self.kernels, (self.features, self.classes)))

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one forward pass of one image."""
        places = (*(side**2 for side in self.sides[1:]), 1)
        matrices = (*self.kernels, (self.features, self.classes))
        return sum(count * rows * columns for count, (rows, columns) in zip(places, matrices, strict=True))

    def init(self, key: jax.Array) -> Params:
        """Initial parameters: ``{"b": [outputs], "w": [inputs, outputs]}`` per layer, with weight variance 2/inputs."""
        import jax
        import jax.numpy as jnp

        matrices = (*self.kernels, (self.features, self.classes))
        return [
            {
                "b": jnp.zeros(columns, jnp.float32),
                "w": math.sqrt(2.0 / rows) * jax.random.normal(layer, (rows, columns), jnp.float32),
            }
            for layer, (rows, columns) in zip(jax.random.split(key, len(matrices)), matrices, strict=True)
        ]

    def apply(self, params: Params, inputs: jax.Array) -> jax.Array:
        """Computes the logits.

        Args:
            params: as returned by `init`.
            inputs: pixels, [batch, side * side * colours].

        Returns:
            [batch, classes].
        """
        import jax
        import jax.numpy as jnp

        *convolutions, last = params
        values = inputs.reshape(len(inputs), self.side, self.side, self.colours)
        for layer in convolutions:
            padded = jnp.pad(values, ((0, 0), (1, 1), (1, 1), (0, 0)))
            places = values.shape[1]
            parts = [
                padded[:, row : row + places : 2, column : column + places : 2]
                for row in range(KERNEL)
                for column in range(KERNEL)
            ]
            values = jax.nn.relu(jnp.concatenate(parts, axis=3) @ layer["w"] + layer["b"][None, None, None, :])
        return values.reshape(len(inputs), -1) @ last["w"] + last["b"][None, :]
