"""A small convolutional network for square images.

Convolutions are written as nine slices, joined, times a matrix: on every device, and for a batch of candidates whose
weights differ, that is one product of matrices, which compilers know best.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jax

    from optsearch.proxy_tasks.models import Params

KERNEL = 3
"""Side of a kernel, in pixels."""


@dataclass(frozen=True, slots=True)
class CNN:
    """Convolutions of 3 by 3 pixels that halve the image, each with a ReLU, then one dense layer.

    Attributes:
        side: pixels of the image's side.
        channels: channels after each convolution.
        classes: number of classes.
        colours: numbers for each pixel.
    """

    side: int
    channels: tuple[int, ...]
    classes: int
    colours: int = 1

    @property
    def sides(self) -> tuple[int, ...]:
        """Side before the first convolution and after each."""
        sides = [self.side]
        for _ in self.channels:
            sides.append(-(-sides[-1] // 2))
        return tuple(sides)

    @property
    def kernels(self) -> tuple[tuple[int, int], ...]:
        """Rows and columns of each convolution's matrix."""
        return tuple((KERNEL**2 * inputs, outputs) for inputs, outputs in pairwise((self.colours, *self.channels)))

    @property
    def features(self) -> int:
        """Numbers that the dense layer reads."""
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
        """Initial parameters: for each layer ``{"b": [outputs], "w": [inputs, outputs]}``, variance 2/inputs."""
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
        """Scores.

        Args:
            params: as `init` gives them.
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
