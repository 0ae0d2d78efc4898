"""A noisy quadratic with a given spectrum: training reduced to curvature and gradient noise.

It is a cheap test of an optimizer's stability. It ranks optimizers poorly, so searches may not use it.
Source: noisy quadratic models as in Harrison et al. 2022 (arXiv:2209.11208).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import jax

    from optsearch.proxy_tasks.models.model import Params


@dataclass(frozen=True, slots=True)
class Quadratic:
    """The loss ``sum(i^-decay * (R w)_i^2) / 2 + noise * (z . w)`` for an example z.

    R is the orthonormal matrix of a cosine transform, so that the eigenvectors are not axis-aligned.

    Attributes:
        dimensions: number of weights.
        decay: exponent of the decaying eigenvalues 1, 2^-decay, 3^-decay, ...
        noise: standard deviation of the gradient noise.
    """

    dimensions: int
    decay: float
    noise: float

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return self.dimensions

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one forward pass of one example."""
        return self.dimensions**2 + 2 * self.dimensions

    def init(self, key: jax.Array) -> Params:
        """Initial parameters: ``{"w": [dimensions]}``, standard normal."""
        import jax
        import jax.numpy as jnp

        return {"w": jax.random.normal(key, (self.dimensions,), jnp.float32)}

    def apply(self, params: Params, inputs: jax.Array) -> jax.Array:
        """Computes the loss of each example.

        Args:
            params: as returned by `init`.
            inputs: noise, [batch, dimensions].

        Returns:
            [batch].
        """
        import jax.numpy as jnp

        weights = params["w"]
        turned = jnp.asarray(self._rotation(), weights.dtype) @ weights
        spectrum = jnp.asarray(np.arange(1, self.dimensions + 1) ** -self.decay, weights.dtype)
        return 0.5 * jnp.sum(spectrum * jnp.square(turned)) + self.noise * (inputs @ weights)

    def _rotation(self) -> np.ndarray:
        index = np.arange(self.dimensions)
        waves = np.cos(np.pi * np.outer(index, index + 0.5) / self.dimensions) * np.sqrt(2.0 / self.dimensions)
        waves[0] /= np.sqrt(2.0)
        return waves
