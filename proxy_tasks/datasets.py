"""What a data set is: three splits that share nothing, and a hash of everything that decides what is in them.

The shipped ones are made in `images`, `text` and `synthetic`, from arrays in `proxy_tasks/data` that need no download.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

TRAIN, VALIDATION, TEST = 0, 1, 2

Arrays = tuple[np.ndarray, ...]
"""Arrays of one length, a row of each making an example: inputs, then labels or targets where there are any."""

Splits = tuple[Arrays, Arrays, Arrays]
"""Training, validation and test split."""

Sources = tuple[np.ndarray, np.ndarray, np.ndarray]
"""For each split an integer array [examples, numbers]: positions of what each example was made of."""


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
    source: Sources

    @property
    def splits(self) -> Splits:
        """All three."""
        return self.train, self.validation, self.test


def stored(name: str) -> dict[str, np.ndarray]:
    """The arrays of a shipped archive, by name, in alphabetical order."""
    with (files("optsearch.proxy_tasks.data") / name).open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return {key: archive[key] for key in sorted(archive.files)}


def digest_of(arrays: Mapping[str, np.ndarray], recipe: str) -> str:
    """Sha256 of arrays, with their names, types and shapes, and of what is made of them, 64 hex digits."""
    digest = hashlib.sha256(recipe.encode())
    for key, array in sorted(arrays.items()):
        digest.update(f"{key} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
