"""Transformers: a stack of blocks for character sequences, causal or bidirectional, or for image patches.

Blocks are pre-LN, positions are learnt, and the initial weights of the two matrices that write to the residual stream
are scaled down by the square root of their number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jax

    from optsearch.proxy_tasks.models.model import Params

EXPANSION = 4
"""Hidden width of a block's perceptron, as a multiple of the residual width."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """The stack of blocks.

    Attributes:
        width: width of the residual stream.
        layers: number of blocks.
        heads: number of attention heads; it divides the width.
        places: sequence length.
        causal: if True, a position attends only to itself and earlier positions.
    """

    width: int
    layers: int
    heads: int
    places: int
    causal: bool

    @property
    def parameters(self) -> int:
        """Number of parameters, including positions and the final normalisation."""
        dense = (4 + 2 * EXPANSION) * self.width**2
        return self.layers * (dense + 2 * self.width) + self.places * self.width + self.width

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one forward pass of one sequence."""
        dense, attention = (4 + 2 * EXPANSION) * self.width**2, 2 * self.places * self.width
        return self.places * self.layers * (dense + attention)

    def init(self, key: jax.Array) -> Params:
        """Initial parameters."""
        import jax
        import jax.numpy as jnp

        width, wide = self.width, EXPANSION * self.width
        written = 1.0 / math.sqrt(2.0 * self.layers)

        def dense(key: jax.Array, inputs: int, outputs: int, gain: float = 1.0) -> jax.Array:
            return gain / math.sqrt(inputs) * jax.random.normal(key, (inputs, outputs), jnp.float32)

        def block(key: jax.Array) -> Params:
            keys = jax.random.split(key, 4)
            return {
                "attend": dense(keys[0], width, 3 * width),
                "attended": dense(keys[1], width, width, written),
                "norms": jnp.ones((2, width), jnp.float32),
                "widen": dense(keys[2], width, wide),
                "narrow": dense(keys[3], wide, width, written),
            }

        first, *others = jax.random.split(key, self.layers + 1)
        return {
            "blocks": [block(key) for key in others],
            "norm": jnp.ones(width, jnp.float32),
            "positions": jax.random.normal(first, (self.places, width), jnp.float32) / math.sqrt(width),
        }

    def apply(self, params: Params, stream: jax.Array) -> jax.Array:
        """The normalised residual stream after all blocks: [batch, places, width] to the same shape."""
        import jax

        stream = stream + params["positions"][None]
        for block in params["blocks"]:
            stream = stream + self._attention(block, _normalised(stream, block["norms"][0])) @ block["attended"]
            wide = jax.nn.gelu(_normalised(stream, block["norms"][1]) @ block["widen"])
            stream = stream + wide @ block["narrow"]
        return _normalised(stream, params["norm"])

    def _attention(self, block: Params, stream: jax.Array) -> jax.Array:
        import jax
        import jax.numpy as jnp

        batch = len(stream)
        size = self.width // self.heads
        joined = (stream @ block["attend"]).reshape(batch, self.places, 3, self.heads, size)
        queries, keys, values = (joined[:, :, part] for part in range(3))
        scores = jnp.einsum("bqhs,bkhs->bhqk", queries, keys) / math.sqrt(size)
        if self.causal:
            seen = jnp.tril(jnp.ones((1, 1, self.places, self.places), bool))
            scores = jnp.where(seen, scores, -1e9)
        mixed = jnp.einsum("bhqk,bkhs->bqhs", jax.nn.softmax(scores), values)
        return mixed.reshape(batch, self.places, self.width)


def _normalised(stream: jax.Array, scale: jax.Array) -> jax.Array:
    import jax.numpy as jnp
    from jax import lax

    centred = stream - jnp.mean(stream, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
    return centred * lax.rsqrt(variance + 1e-5) * scale[None, None, :]


@dataclass(frozen=True, slots=True)
class CharacterTransformer:
    """A character Transformer: logits of the next character at each position (causal), or of a masked character.

    Attributes:
        symbols: number of distinct characters.
        blocks: the stack.
    """

    symbols: int
    blocks: Blocks

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return 2 * self.symbols * self.blocks.width + self.blocks.parameters

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one forward pass of one sequence."""
        return 2 * self.blocks.places * self.symbols * self.blocks.width + self.blocks.multiply_adds

    def init(self, key: jax.Array) -> Params:
        """Initial parameters: ``{"blocks": ..., "embedding": [symbols, width], "scores": [width, symbols]}``."""
        import jax
        import jax.numpy as jnp

        first, second, third = jax.random.split(key, 3)
        width = self.blocks.width
        return {
            "blocks": self.blocks.init(first),
            "embedding": jax.random.normal(second, (self.symbols, width), jnp.float32) / math.sqrt(width),
            "scores": jax.random.normal(third, (width, self.symbols), jnp.float32) / math.sqrt(width),
        }

    def apply(self, params: Params, inputs: jax.Array) -> jax.Array:
        """Computes the logits.

        Args:
            params: as returned by `init`.
            inputs: characters, int32 [batch, places].

        Returns:
            [batch, places, symbols].
        """
        import jax

        embedding = params["embedding"]
        stream = jax.nn.one_hot(inputs, self.symbols, dtype=embedding.dtype) @ embedding
        return self.blocks.apply(params["blocks"], stream) @ params["scores"]


@dataclass(frozen=True, slots=True)
class PatchTransformer:
    """A vision Transformer with mean pooling: classifies square images from their patches.

    Attributes:
        side: side of the image in pixels.
        patch: side of a patch in pixels; it divides ``side``.
        classes: number of classes.
        blocks: the stack, with one position per patch.

    Source: Dosovitskiy et al. 2021 (arXiv:2010.11929); mean pooling instead of a class token as in Beyer et al. 2022
    (arXiv:2205.01580).
    """

    side: int
    patch: int
    classes: int
    blocks: Blocks

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return (self.patch**2 + self.classes) * self.blocks.width + self.blocks.parameters

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one forward pass of one image."""
        return (self.side**2 + self.classes) * self.blocks.width + self.blocks.multiply_adds

    def init(self, key: jax.Array) -> Params:
        """Initial parameters: ``{"blocks": ..., "embedding": [pixels, width], "scores": [width, classes]}``."""
        import jax
        import jax.numpy as jnp

        first, second, third = jax.random.split(key, 3)
        width, pixels = self.blocks.width, self.patch**2
        return {
            "blocks": self.blocks.init(first),
            "embedding": jax.random.normal(second, (pixels, width), jnp.float32) / self.patch,
            "scores": jax.random.normal(third, (width, self.classes), jnp.float32) / math.sqrt(width),
        }

    def apply(self, params: Params, inputs: jax.Array) -> jax.Array:
        """Computes the logits.

        Args:
            params: as returned by `init`.
            inputs: pixels, [batch, side * side].

        Returns:
            [batch, classes].
        """
        import jax.numpy as jnp

        count, patch = self.side // self.patch, self.patch
        patches = inputs.reshape(len(inputs), count, patch, count, patch).swapaxes(2, 3)
        stream = patches.reshape(len(inputs), count**2, patch**2) @ params["embedding"]
        return jnp.mean(self.blocks.apply(params["blocks"], stream), axis=1) @ params["scores"]
