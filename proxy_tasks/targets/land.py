"""Land or sea: points on the sphere, split by blocks of one degree."""

from __future__ import annotations

import io
import zipfile
from functools import partial

import numpy as np

from optsearch.proxy_tasks.datasets.dataset import TEST, TRAIN, VALIDATION, Dataset
from optsearch.proxy_tasks.datasets.package import Package, PackagedData

MASK = Package(
    "global-land-mask",
    "1.0.0",
    r"global_land_mask/globe_combined_mask_compressed\.npz",
    "897bf285ed06d2a7f23ee93d17cc8ad8ca53ae11b11d25493e788138f615ae60",
)
"""A mask of the sea with 21,600 x 43,200 pixels, from the north pole and the date line on."""

PER_DEGREE = 120
"""Pixels per degree. A block has so many rows and columns."""

ROWS, COLUMNS = 180 * PER_DEGREE, 360 * PER_DEGREE

SHARE = 0.05
"""Fraction of the blocks in validation, and in test."""

HELD_OUT = 16_384
"""Number of points in validation, and in test."""

PLASTIC = 1.32471795724474602596
"""The real root of x^3 = x + 1."""


def points(examples: int, trivial_loss: float) -> PackagedData:
    """Classification of points: unit vectors [examples, 3], labels [examples], 1 for land and 0 for sea.

    The points are those of a low-discrepancy sequence, uniform on the sphere and moved to the centres of their pixels.
    All rungs see the same points, smaller ones fewer.

    Args:
        examples: number of training points.
        trivial_loss: test loss of the share of land among the training points.

    Source: the R2 sequence of Roberts 2018, "The Unreasonable Effectiveness of Quasirandom Sequences".
    """
    recipe = (
        f"points 1: R2 sequence, {SHARE} of the blocks of {PER_DEGREE} pixels by permutation 8, {examples} points, "
        f"{HELD_OUT} held out"
    )
    sizes = (examples, HELD_OUT, HELD_OUT)
    return PackagedData("land mask", MASK, recipe, sizes, trivial_loss, partial(_build, sizes))


def _pixels(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the first points of the sequence."""
    number = np.arange(1, count + 1)
    across, along = (number / PLASTIC) % 1.0, (number / PLASTIC**2) % 1.0
    latitude = np.degrees(np.arcsin(2.0 * along - 1.0))
    rows = np.minimum((90.0 - latitude) * PER_DEGREE, ROWS - 1).astype(np.int32)
    return rows, (across * COLUMNS).astype(np.int32)


def _sea(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The mask at some pixels. It is read in bands, because the whole of it takes 933 MB."""
    (content,) = MASK.read().values()
    found = np.empty(len(rows), bool)
    order = np.argsort(rows, kind="stable")
    ends = np.searchsorted(rows[order], np.arange(PER_DEGREE, ROWS + 1, PER_DEGREE))
    with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open("mask.npy") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        for band, inside in enumerate(np.split(order, ends[:-1])):
            pixels = np.frombuffer(file.read(PER_DEGREE * COLUMNS), bool).reshape(PER_DEGREE, COLUMNS)
            found[inside] = pixels[rows[inside] - band * PER_DEGREE, columns[inside]]
    return found


def _build(sizes: tuple[int, int, int], digest: str) -> Dataset:
    most = max(sizes[TRAIN] / (1.0 - 2.0 * SHARE), HELD_OUT / SHARE)
    rows, columns = _pixels(round(1.1 * most))
    blocks = 180 * 360
    place = np.random.default_rng(8).permutation(blocks) / blocks
    split_of_block = np.select([place < SHARE, place < 2.0 * SHARE], [VALIDATION, TEST], TRAIN)
    split_of = split_of_block[rows // PER_DEGREE * 360 + columns // PER_DEGREE]
    index = np.concatenate([np.flatnonzero(split_of == split)[: sizes[split]] for split in (TRAIN, VALIDATION, TEST)])
    rows, columns = rows[index], columns[index]
    labels = (~_sea(rows, columns)).astype(np.int32)
    latitude = np.radians(90.0 - (rows + 0.5) / PER_DEGREE)
    longitude = np.radians((columns + 0.5) / PER_DEGREE - 180.0)
    vectors = np.empty((len(index), 3), np.float32)
    vectors[:, 0] = np.cos(latitude) * np.cos(longitude)
    vectors[:, 1] = np.cos(latitude) * np.sin(longitude)
    vectors[:, 2] = np.sin(latitude)
    cuts = np.cumsum(sizes)[:-1]
    train, validation, test = zip(np.split(vectors, cuts), np.split(labels, cuts), strict=True)
    a, b, c = np.split((rows * COLUMNS + columns)[:, None], cuts)
    return Dataset("land mask", train, validation, test, digest, (a, b, c), ("land mask",))
