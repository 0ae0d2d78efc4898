"""A Transformer for the rows of a table, with one token for each column."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from optsearch.proxy_tasks.models.transformer import Blocks

if TYPE_CHECKING:
    import jax

    from optsearch.proxy_tasks.models.model import Params


@dataclass(frozen=True, slots=True)
class RowTransformer:
    """An FT-Transformer with mean pooling instead of a class token.

    A category is embedded; a number scales a vector of its column. The positions of the stack are the biases of the
    columns.

    Attributes:
        categories: number of distinct values of each categorical column.
        numbers: number of numerical columns.
        outputs: number of outputs.
        blocks: the stack, with one position per column.

    Source: Gorishniy et al. 2021 (arXiv:2106.11959).
    """

    categories: tuple[int, ...]
    numbers: int
    outputs: int
    blocks: Blocks

    @property
    def rows(self) -> int:
        """Number of vectors that make tokens: one for each category and for each numerical column."""
        return sum(self.categories) + self.numbers

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return (self.rows + self.outputs) * self.blocks.width + self.blocks.parameters

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one forward pass of one row."""
        return (self.rows + self.outputs) * self.blocks.width + self.blocks.multiply_adds

    def init(self, key: jax.Array) -> Params:
        """Initial parameters: ``{"blocks": ..., "embedding": [rows, width], "scores": [width, outputs]}``."""
        import jax
        import jax.numpy as jnp

        first, second, third = jax.random.split(key, 3)
        width = self.blocks.width
        return {
            "blocks": self.blocks.init(first),
            "embedding": jax.random.normal(second, (self.rows, width), jnp.float32) / math.sqrt(width),
            "scores": jax.random.normal(third, (width, self.outputs), jnp.float32) / math.sqrt(width),
        }

    def apply(self, params: Params, inputs: jax.Array) -> jax.Array:
        """Computes the outputs.

        Args:
            params: as returned by `init`.
            inputs: rows [batch, columns]: the codes of the categories, as floats, then the numbers.

        Returns:
            [batch, outputs].
        """
        import jax
        import jax.numpy as jnp

        embedding = params["embedding"]
        codes = inputs[:, : len(self.categories)].astype(jnp.int32)
        tokens = [
            jax.nn.one_hot(codes[:, column], count, dtype=embedding.dtype) @ embedding[end - count : end]
            for column, (count, end) in enumerate(zip(self.categories, accumulate(self.categories), strict=True))
        ]
        scaled = inputs[:, len(self.categories) :, None] * embedding[None, -self.numbers :]
        stream = jnp.concatenate([jnp.stack(tokens, axis=1), scaled], axis=1)
        return jnp.mean(self.blocks.apply(params["blocks"], stream), axis=1) @ params["scores"]
