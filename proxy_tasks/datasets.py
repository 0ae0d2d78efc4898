"""The data that ships with the package, split so that train, validation and test share nothing.

Everything is read from `proxy_tasks/data`, needs no download, and is float32 with zero mean and unit variance on the
training split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

PATCH = 8
"""Side of a patch, in pixels."""

BAND = 4
"""Width of a band of columns, in patches."""

TRAIN, VALIDATION, TEST = 0, 1, 2
BAND_SPLITS = (TRAIN, TRAIN, VALIDATION, TRAIN, TEST)
"""Split of each band of columns, repeated from left to right."""

Arrays = tuple[np.ndarray, ...]
"""Inputs [examples, features] float32, then, for classification, labels [examples] int32."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """One data set.

    Attributes:
        name: its name.
        train: what is trained on.
        validation: what fitness is measured on.
        test: what only final comparisons look at.
        digest: sha256 of the stored bytes and of how they are split and scaled, 64 hex digits.
        source: for each split the stored numbers that each example was made of, to check that splits share nothing:
            an integer array [examples, numbers] of positions in the stored arrays.
    """

    name: str
    train: Arrays
    validation: Arrays
    test: Arrays
    digest: str
    source: tuple[np.ndarray, np.ndarray, np.ndarray]


def _stored(name: str) -> dict[str, np.ndarray]:
    with (files("proxy_tasks.data") / name).open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return {key: archive[key] for key in sorted(archive.files)}


def _digest(stored: Mapping[str, np.ndarray], recipe: str) -> str:
    digest = hashlib.sha256(recipe.encode())
    for key, array in sorted(stored.items()):
        digest.update(f"{key} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@cache
def photograph_patches() -> Dataset:
    """Grey 8x8 patches of two photographs, mean removed: 5,088 / 1,696 / 1,696 examples of 64 numbers.

    Neighbouring patches look alike, so a random split would put near-copies of training patches into the other splits.
    Instead each photograph is cut into 20 bands of columns, 32 pixels wide, which go to the splits in turn: every
    split sees the scene from left to right, patches do not overlap, and no pixel is in two splits.
    """
    stored = _stored("photographs.npz")
    groups: tuple[list[np.ndarray], ...] = ([], [], [])
    positions: tuple[list[np.ndarray], ...] = ([], [], [])
    offset = 0
    for image in stored.values():
        rows, columns = image.shape[0] // PATCH, image.shape[1] // PATCH
        pixels = offset + np.arange(image.size).reshape(image.shape)
        offset += image.size
        for row in range(rows):
            for column in range(columns):
                part = np.s_[row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH]
                split = BAND_SPLITS[column // BAND % len(BAND_SPLITS)]
                groups[split].append(image[part].ravel())
                positions[split].append(pixels[part].ravel())
    patches = [np.stack(group).astype(np.float64) for group in groups]
    patches = [group - group.mean(axis=1, keepdims=True) for group in patches]
    scale = patches[TRAIN].std()
    train, validation, test = (((group / scale).astype(np.float32),) for group in patches)
    recipe = f"photograph patches 1: side {PATCH}, band {BAND}, splits {BAND_SPLITS}, mean removed, unit variance"
    a, b, c = (np.stack(group) for group in positions)
    return Dataset("photograph_patches", train, validation, test, _digest(stored, recipe), (a, b, c))


@cache
def digits() -> Dataset:
    """Handwritten digits, 8x8 pixels, ten classes: 1,078 / 360 / 359 examples of 64 numbers and a label.

    A fixed permutation puts three fifths of each class into train and a fifth into validation and test each.
    """
    stored = _stored("digits.npz")
    images, labels = stored["images"].astype(np.float64), stored["labels"].astype(np.int32)
    order = np.random.default_rng(0).permutation(len(labels))
    indices: tuple[list[np.ndarray], ...] = ([], [], [])
    for label in range(10):
        members = order[labels[order] == label]
        cuts = [round(len(members) * 0.6), round(len(members) * 0.8)]
        for split, part in enumerate(np.split(members, cuts)):
            indices[split].append(part)
    chosen = [np.sort(np.concatenate(group)) for group in indices]
    mean, scale = images[chosen[TRAIN]].mean(), images[chosen[TRAIN]].std()
    train, validation, test = (
        (((images[index] - mean) / scale).astype(np.float32), np.ascontiguousarray(labels[index])) for index in chosen
    )
    digest = _digest(stored, "digits 1: stratified .6 .2 .2 by permutation 0, unit variance")
    a, b, c = (index[:, None] for index in chosen)
    return Dataset("digits", train, validation, test, digest, (a, b, c))
