"""Synthetic data sets: outputs of a teacher network, and gradient noise."""

from __future__ import annotations

from functools import cache

import numpy as np

from optsearch.proxy_tasks.datasets.dataset import Arrays, Dataset, Sources, digest_of

HELD_OUT = 2048
"""Number of examples in validation, and in test."""


def _sources(*counts: int) -> Sources:
    a, b, c = np.split(np.arange(sum(counts))[:, None], np.cumsum(counts)[:-1])
    return a, b, c


@cache
def teacher(examples: int) -> Dataset:
    """Noisy outputs of a fixed 16-16-16-1 tanh network: inputs [examples, 16], targets [examples, 1].

    Inputs are normal. Feature i has standard deviation ``2 / sqrt(i)``, so that the problem is ill-conditioned. The
    variance of the noise is a tenth of the variance of the outputs.

    Args:
        examples: size of the training split; equal to the number of examples of a run, so that none repeats.
    """
    rng = np.random.default_rng(6)
    first, second = (rng.standard_normal((16, 16)) / 4.0 for _ in range(2))
    last = rng.standard_normal((16, 1)) / 4.0
    spread = 2.0 / np.sqrt(np.arange(1, 17))

    def answered(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        inputs = spread * rng.standard_normal((count, 16))
        return inputs, np.tanh(np.tanh(inputs @ first) @ second) @ last, rng.standard_normal((count, 1))

    draws = [answered(count) for count in (HELD_OUT, HELD_OUT, examples)]
    scale = draws[0][1].std()

    def split(draw: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Arrays:
        inputs, answers, noise = draw
        return inputs.astype(np.float32), (answers / scale + np.sqrt(0.1) * noise).astype(np.float32)

    validation, test, train = map(split, draws)
    # The digest covers the draws, which are portable, but not the outputs, whose last bits depend on the processor.
    digest = digest_of({"inputs": train[0]}, f"teacher 1: tanh 16-16-16-1, generator 6, {examples} examples, noise .1")
    return Dataset("teacher", train, validation, test, digest, _sources(examples, HELD_OUT, HELD_OUT), ("teacher",))


@cache
def gradient_noise(dimensions: int, examples: int = 4096) -> Dataset:
    """Gradient noise for a quadratic: normal numbers [examples, dimensions] for training, zeros for evaluation.

    Args:
        dimensions: number of features.
        examples: size of the training split.
    """
    train = np.random.default_rng(7).standard_normal((examples, dimensions)).astype(np.float32)
    still = np.zeros((1, dimensions), np.float32)
    digest = digest_of({"noise": train}, "gradient noise 1: generator 7, measured without noise")
    return Dataset(
        "gradient_noise", (train,), (still,), (still,), digest, _sources(examples, 1, 1), ("gradient noise",)
    )
