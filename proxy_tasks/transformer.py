"""Transformers: one stack of blocks that reads characters, forwards or both ways, or patches of an image.

Normalisation comes before attention and before the perceptron (pre-LN), positions are learnt, and the two matrices that
write to the stream are smaller by the square root of their number at first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jax

    from optsearch.proxy_tasks.models import Params

EXPANSION = 4
"""Width of a block's perceptron, as a multiple of the stream's."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """The stack.

    Attributes:
        width: numbers for each place.
        layers: number of blocks.
        heads: attention heads; they divide the width.
        places: length of a sequence.
        causal: whether a place sees only itself and those before it.
    """

    width: int
    layers: int
    heads: int
    places: int
    causal: bool

    @property
    def parameters(self) -> int:
        """Number of parameters, positions and the last normalisation included."""
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
        """The stream after all blocks, normalised: [batch, places, width] to the same."""
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
    """Reads characters and gives, at each place, scores of the next one (causal) or of the one that is hidden there.

    Attributes:
        symbols: number of different characters.
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
        """Scores.

        Args:
            params: as `init` gives them.
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
    """A vision transformer: reads the patches of a square image, gives scores of its class from their mean.

    Attributes:
        side: pixels of the image's side.
        patch: pixels of a patch's side; it divides the image's.
        classes: number of classes.
        blocks: the stack, with a place for each patch.

    Source: Dosovitskiy et al. 2021 (arXiv:2010.11929); the mean instead of a class token as in Beyer et al. 2022
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
        """Scores.

        Args:
            params: as `init` gives them.
            inputs: pixels, [batch, side * side].

        Returns:
            [batch, classes].
        """
        import jax.numpy as jnp

        count, patch = self.side // self.patch, self.patch
        patches = inputs.reshape(len(inputs), count, patch, count, patch).swapaxes(2, 3)
        stream = patches.reshape(len(inputs), count**2, patch**2) @ params["embedding"]
        return jnp.mean(self.blocks.apply(params["blocks"], stream), axis=1) @ params["scores"]
