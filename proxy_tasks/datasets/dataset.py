"""Definition of a data set: three disjoint splits, and a hash of everything that determines their content.

The shipped data sets are built in `images`, `text` and `synthetic` from arrays in `proxy_tasks/data`, those of
`targets` from files of optional packages; nothing is downloaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

TRAIN, VALIDATION, TEST = 0, 1, 2

Arrays = tuple[np.ndarray, ...]
"""Arrays of equal length; row i of all arrays is example i: inputs, then labels or targets if there are any."""

Splits = tuple[Arrays, Arrays, Arrays]
"""Training, validation and test split."""

Sources = tuple[np.ndarray, np.ndarray, np.ndarray]
"""For each split an integer array [examples, numbers]: positions of each example's numbers in the stored arrays."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set.

    Attributes:
        name: name of the data set.
        train: split for training.
        validation: split for fitness and tuning.
        test: split for final comparisons only.
        digest: sha256 of the stored bytes and of the recipe for splits and scaling, 64 hex digits.
        source: for each split an integer array [examples, numbers]: positions of each example's numbers in the stored
            arrays, used to check that the splits are disjoint.
        origin: names of the material from which the data are made, such as ``photographs``. Data sets that share one
            are not held out from each other.
    """

    name: str
    train: Arrays
    validation: Arrays
    test: Arrays
    digest: str
    source: Sources
    origin: tuple[str, ...]

    @property
    def splits(self) -> Splits:
        """All three splits."""
        return self.train, self.validation, self.test


def spread(examples: int, count: int) -> np.ndarray:
    """Indices of ``count`` evenly spaced examples, or of all if there are fewer."""
    return np.arange(count) * examples // count if count < examples else np.arange(examples)


def stored(name: str) -> dict[str, np.ndarray]:
    """Loads the arrays of a shipped archive, by name, in alphabetical order."""
    with (files("optsearch.proxy_tasks.data") / name).open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return {key: archive[key] for key in sorted(archive.files)}


def digest_of(arrays: Mapping[str, np.ndarray], recipe: str) -> str:
    """Sha256 of arrays, with their names, dtypes and shapes, and of the recipe applied to them; 64 hex digits."""
    digest = hashlib.sha256(recipe.encode())
    for key, array in sorted(arrays.items()):
        digest.update(f"{key} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
