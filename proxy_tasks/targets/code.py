"""Source code: windows of characters from the modules of SymPy, split by subpackage."""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np

from optsearch.proxy_tasks.datasets.dataset import TEST, TRAIN, VALIDATION, Arrays, Dataset, spread
from optsearch.proxy_tasks.datasets.package import Package, PackagedData

SYMPY = Package(
    "sympy",
    "1.14.0",
    r"sympy/(?!.*(tests|benchmarks|_antlr)/)(?!polys/numberfields/resolvent_lookup).*\.py",
    "58f85b742213e6677d42f83a6d4b82e03c2b7ecc251cb30b2571f027f2f01908",
)
"""SymPy's modules, without tests, which repeat the modules' examples, and without generated tables."""

HELD_OUT_SUBPACKAGES = {"combinatorics": VALIDATION, "geometry": VALIDATION, "ntheory": TEST, "stats": TEST}
"""Subpackages that are not for training. A split by file would leave near copies of one class on both sides."""

HELD_OUT = 16_384
"""Number of predicted characters in validation, and in test, in evenly spaced windows."""

OTHER = 0
"""Code of any character but a line break and the printable ones of ASCII."""

SYMBOLS = 97
"""Number of distinct codes."""

_CODES = np.full(256, OTHER, np.int32)
_CODES[[ord("\n"), *range(ord(" "), ord("~") + 1)]] = np.arange(1, SYMBOLS)


def next_characters(context: int, examples: int, trivial_loss: float) -> PackagedData:
    """Next-character prediction at every position: inputs and labels [examples, context], both int32.

    Args:
        context: context length in characters. Windows of ``context + 1`` characters do not overlap.
        examples: number of training windows, evenly spaced over all files.
        trivial_loss: test loss of the frequencies of the training characters.
    """
    held_out = HELD_OUT // context
    recipe = f"characters 1: {HELD_OUT_SUBPACKAGES}, context {context}, {examples} windows, {held_out} held out"
    sizes = (examples, held_out, held_out)
    return PackagedData("sympy", SYMPY, recipe, sizes, trivial_loss, partial(_build, context, sizes))


def _build(context: int, sizes: tuple[int, int, int], digest: str) -> Dataset:
    texts: tuple[list[np.ndarray], ...] = ([], [], [])
    places: tuple[list[np.ndarray], ...] = ([], [], [])
    offset = 0
    for path, content in SYMPY.read().items():
        text = _CODES[np.frombuffer(content, np.uint8)]
        split = HELD_OUT_SUBPACKAGES.get(path.split("/")[1], TRAIN)
        texts[split].append(text)
        places[split].append(np.arange(offset, offset + len(text), dtype=np.int32))
        offset += len(text)

    def windows(split: Literal[0, 1, 2]) -> tuple[Arrays, np.ndarray]:
        text, place = np.concatenate(texts[split]), np.concatenate(places[split])
        starts = np.arange(0, len(text) - context, context + 1)
        index = starts[spread(len(starts), sizes[split])][:, None] + np.arange(context + 1)
        window = text[index]
        return (window[:, :-1].copy(), window[:, 1:].copy()), place[index]

    (train, a), (validation, b), (test, c) = (windows(split) for split in (TRAIN, VALIDATION, TEST))
    return Dataset("sympy", train, validation, test, digest, (a, b, c), ("sympy",))
