"""Image data sets: photograph patches, noisy or in two views, and handwritten digits.

Inputs are flattened float32 arrays with zero mean and unit variance on the training split.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from optsearch.proxy_tasks.datasets.dataset import TRAIN, Dataset, digest_of, stored

PATCH = 8
"""Side of a patch in pixels."""

BAND = 4
"""Width of a band of columns, in patches."""

BAND_SPLITS = (0, 0, 1, 0, 2)
"""Split of each band of columns, repeated from left to right."""

BLOCK = 16
"""Side in pixels of the block from which both views of a pair are cropped."""

REACH = 4
"""Maximum offset in pixels, per axis, between the two views of a pair; the views share at least a quarter."""

NOISE = 5.0
"""Standard deviation of the noise in a view, in grey levels."""

PHOTOGRAPHS = ("photographs",)
"""Origin of all data sets of patches."""

FREQUENCIES = 4
"""Number of sines, and of cosines, in the embedding of the noise level."""


def _squares(side: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yields non-overlapping squares of the photographs: split, pixels, and their positions in the stored arrays.

    Neighbouring patches are similar, so a random split would place near-duplicates of training patches in the other
    splits. Each photograph is therefore cut into 20 bands of columns, 32 pixels wide, assigned to the splits in turn.
    Every split covers the scene from left to right, and the splits share no pixel.
    """
    offset = 0
    for image in stored("photographs.npz").values():
        pixels = offset + np.arange(image.size).reshape(image.shape)
        offset += image.size
        for row in range(image.shape[0] // side):
            for column in range(image.shape[1] // side):
                part = np.s_[row * side : (row + 1) * side, column * side : (column + 1) * side]
                yield BAND_SPLITS[column * side // (BAND * PATCH) % len(BAND_SPLITS)], image[part], pixels[part]


@cache
def photograph_patches() -> Dataset:
    """Grey 8x8 patches of two photographs, mean removed: 5,088 / 1,696 / 1,696 examples with 64 features."""
    groups: tuple[list[np.ndarray], ...] = ([], [], [])
    positions: tuple[list[np.ndarray], ...] = ([], [], [])
    for split, image, pixels in _squares(PATCH):
        groups[split].append(image.ravel())
        positions[split].append(pixels.ravel())
    patches = [np.stack(group).astype(np.float64) for group in groups]
    patches = [group - group.mean(axis=1, keepdims=True) for group in patches]
    scale = patches[TRAIN].std()
    train, validation, test = (((group / scale).astype(np.float32),) for group in patches)
    recipe = f"photograph patches 1: side {PATCH}, band {BAND}, splits {BAND_SPLITS}, mean removed, unit variance"
    a, b, c = (np.stack(group) for group in positions)
    digest = digest_of(stored("photographs.npz"), recipe)
    return Dataset("photograph_patches", train, validation, test, digest, (a, b, c), PHOTOGRAPHS)


@cache
def noisy_patches(copies: int = 8) -> Dataset:
    """Denoising: inputs are 64 noisy pixels and an 8-dimensional embedding of the noise level; targets are the noise.

    A patch x and noise e give the input ``cos(a) x + sin(a) e``, with the angle a uniform in [0, pi/2]; the target is
    e. The noise level is embedded as sines and cosines of ``2 k a``.

    Args:
        copies: number of noisy copies of each training patch.

    Source: the cosine schedule of Nichol & Dhariwal 2021 (arXiv:2102.09672), continuous in time.
    """
    patches = photograph_patches()
    rng = np.random.default_rng(1)

    def noisy(clean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        angle = rng.uniform(0.0, np.pi / 2, (len(clean), 1))
        noise = rng.standard_normal(clean.shape)
        waves = 2.0 * angle * np.arange(1, FREQUENCIES + 1)
        inputs = np.concatenate([np.cos(angle) * clean + np.sin(angle) * noise, np.sin(waves), np.cos(waves)], axis=1)
        return inputs.astype(np.float32), noise.astype(np.float32)

    train, validation, test = (
        noisy(np.concatenate([split[0]] * count)) for split, count in zip(patches.splits, (copies, 1, 1), strict=True)
    )
    first, *others = patches.source
    recipe = f"noisy patches 1: {patches.digest}, {copies} copies, {FREQUENCIES} frequencies, generator 1"
    source = (np.concatenate([first] * copies), others[0], others[1])
    return Dataset("noisy_patches", train, validation, test, digest_of({}, recipe), source, PHOTOGRAPHS)


@cache
def patch_views(copies: int = 8) -> Dataset:
    """Pairs of overlapping 8x8 patches: 9,984 / 416 / 416 pairs, each view with 64 features and zero mean.

    Both views are cropped from one 16x16 block, at most 4 pixels apart. Augmentations are mirroring, a contrast factor
    of up to the square root of two, and noise.

    Args:
        copies: number of pairs cropped from each training block.
    """
    rng = np.random.default_rng(2)
    blocks: tuple[list[np.ndarray], ...] = ([], [], [])
    positions: tuple[list[np.ndarray], ...] = ([], [], [])
    for split, image, pixels in _squares(BLOCK):
        blocks[split].append(image.astype(np.float64))
        positions[split].append(pixels)

    def view(block: np.ndarray, corner: np.ndarray) -> np.ndarray:
        row, column = corner + rng.integers(0, REACH + 1, 2)
        patch = block[row : row + PATCH, column : column + PATCH]
        patch = patch[:, :: rng.choice((-1, 1))] * 2.0 ** rng.uniform(-0.5, 0.5)
        noise = NOISE * rng.standard_normal(patch.shape)
        return (patch - patch.mean() + noise).ravel()

    scale = 0.0
    splits: list[tuple[np.ndarray, np.ndarray]] = []
    sources: list[np.ndarray] = []
    for group, pixels, count in zip(blocks, positions, (copies, 1, 1), strict=True):
        order = np.concatenate([rng.permutation(len(group)) for _ in range(count)])
        corners = rng.integers(0, BLOCK - PATCH - REACH + 1, (len(order), 2))
        pairs = [[view(group[i], corner), view(group[i], corner)] for i, corner in zip(order, corners, strict=True)]
        scale = scale or float(np.std(pairs))
        both = np.asarray(pairs, np.float32) / np.float32(scale)
        splits.append((np.ascontiguousarray(both[:, 0]), np.ascontiguousarray(both[:, 1])))
        sources.append(np.stack(pixels).reshape(len(pixels), -1)[order])
    settings = f"block {BLOCK}, reach {REACH}, noise {NOISE}, splits {BAND_SPLITS}, {copies} copies"
    recipe = f"patch views 1: {settings}, generator 2, unit variance"
    digest = digest_of(stored("photographs.npz"), recipe)
    train, validation, test = splits
    return Dataset("patch_views", train, validation, test, digest, (sources[0], sources[1], sources[2]), PHOTOGRAPHS)


def _stratified(labels: np.ndarray) -> tuple[np.ndarray, ...]:
    """Indices of a stratified 60/20/20 split of each class, by a fixed permutation."""
    order = np.random.default_rng(0).permutation(len(labels))
    indices: tuple[list[np.ndarray], ...] = ([], [], [])
    for label in range(10):
        members = order[labels[order] == label]
        cuts = [round(len(members) * 0.6), round(len(members) * 0.8)]
        for split, part in enumerate(np.split(members, cuts)):
            indices[split].append(part)
    return tuple(np.sort(np.concatenate(group)) for group in indices)


@cache
def digits() -> Dataset:
    """Handwritten digits, 8x8 pixels, ten classes: 1,078 / 360 / 359 examples with 64 features and a label.

    The split is stratified 60/20/20 by a fixed permutation.
    """
    arrays = stored("digits.npz")
    images, labels = arrays["images"].astype(np.float64), arrays["labels"].astype(np.int32)
    chosen = _stratified(labels)
    mean, scale = images[chosen[TRAIN]].mean(), images[chosen[TRAIN]].std()
    train, validation, test = (
        (((images[index] - mean) / scale).astype(np.float32), np.ascontiguousarray(labels[index])) for index in chosen
    )
    digest = digest_of(arrays, "digits 1: stratified .6 .2 .2 by permutation 0, unit variance")
    a, b, c = (index[:, None] for index in chosen)
    return Dataset("digits", train, validation, test, digest, (a, b, c), ("digits",))


@cache
def mnist(side: int, copies: int = 4) -> Dataset:
    """5,000 MNIST digits, ten classes: 12,000 / 1,000 / 1,000 examples with side * side features and a label.

    The split is as in `digits`.

    Args:
        side: 28, or 14 for 2x2 average pooling.
        copies: copies of each training image: the original, and translations by up to two of the 28 pixels.
    """
    arrays = stored("mnist.npz")
    images, labels = arrays["images"].astype(np.float64), arrays["labels"].astype(np.int32)
    rng = np.random.default_rng(3)
    chosen = _stratified(labels)

    def moved(index: np.ndarray) -> np.ndarray:
        frames = np.pad(images[index], ((0, 0), (2, 2), (2, 2)))
        corners = rng.integers(0, 5, (len(index), 2))
        return np.stack([f[r : r + 28, c : c + 28] for f, (r, c) in zip(frames, corners, strict=True)])

    pooled = 28 // side
    groups = [images[index] for index in chosen]
    groups[TRAIN] = np.concatenate([groups[TRAIN], *(moved(chosen[TRAIN]) for _ in range(copies - 1))])
    groups = [group.reshape(-1, side, pooled, side, pooled).mean(axis=(2, 4)).reshape(-1, side**2) for group in groups]
    indices = [np.tile(chosen[TRAIN], copies), *chosen[1:]]
    mean, scale = groups[TRAIN].mean(), groups[TRAIN].std()
    train, validation, test = (
        (((group - mean) / scale).astype(np.float32), np.ascontiguousarray(labels[index]))
        for group, index in zip(groups, indices, strict=True)
    )
    recipe = f"mnist 1: side {side}, {copies} copies moved by generator 3, stratified .6 .2 .2, unit variance"
    a, b, c = (index[:, None] for index in indices)
    return Dataset(f"mnist{side}", train, validation, test, digest_of(arrays, recipe), (a, b, c), ("mnist",))
