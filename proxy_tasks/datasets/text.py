"""Text data sets: windows of characters from Shakespeare, split by play or by sonnet.

The characters of `ALPHABET` are encoded as 1 to 63; all other characters as `OTHER`.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from optsearch.proxy_tasks.datasets.dataset import Arrays, Dataset, Splits, digest_of, spread, stored

ALPHABET = "\n !',-.:;?[" + string.ascii_uppercase + string.ascii_lowercase
"""Characters with their own code, from 1 on."""

OTHER = 0
"""Code of any other character; in masked text, of a masked character."""

SYMBOLS = len(ALPHABET) + 1
"""Number of distinct codes."""

PLAYS: Mapping[str, int] = {
    "antony_and_cleopatra": 0,
    "hamlet": 0,
    "julius_caesar": 1,
    "lear": 0,
    "macbeth": 2,
    "othello": 0,
    "romeo_and_juliet": 0,
}
"""Split of each play."""

HELD_OUT = 8192
"""Number of predicted characters in validation, and in test, in evenly spaced windows."""

MASKED = 5
"""Number of masked characters in a window of 32."""

_CODES = np.full(256, OTHER, np.int32)
_CODES[np.frombuffer(ALPHABET.encode(), np.uint8)] = np.arange(1, SYMBOLS)


@cache
def _windows(length: int) -> tuple[Splits, Splits]:
    """Non-overlapping windows of the plays [examples, length] and the positions of their characters, for each split."""
    texts: tuple[list[np.ndarray], ...] = ([], [], [])
    places: tuple[list[np.ndarray], ...] = ([], [], [])
    offset = 0
    for name, text in stored("plays.npz").items():
        starts = np.arange(0, len(text) - length + 1, length)[:, None] + np.arange(length)
        texts[PLAYS[name]].append(_CODES[text[starts]])
        places[PLAYS[name]].append(offset + starts)
        offset += len(text)
    return _joined(texts), _joined(places)


def _joined(groups: tuple[list[np.ndarray], ...]) -> Splits:
    train, validation, test = (np.concatenate(group) for group in groups)
    return (train,), (validation,), (test,)


def _spread(arrays: Arrays, count: int) -> Arrays:
    """``count`` evenly spaced examples, or all if there are fewer."""
    chosen = spread(len(arrays[0]), count)
    return tuple(array[chosen] for array in arrays)


def _dataset(
    name: str, splits: Sequence[Arrays], places: Sequence[Arrays], held_out: int, digest: str, origin: str
) -> Dataset:
    train, validation, test = splits[0], *(_spread(split, held_out) for split in splits[1:])
    a, b, c = places[0][0], *(_spread(split, held_out)[0] for split in places[1:])
    return Dataset(name, train, validation, test, digest, (a, b, c), (origin,))


@cache
def plays(context: int) -> Dataset:
    """Next-character prediction at every position: inputs and labels [examples, context], both int32.

    Five plays are used for training, one for validation, one for test. Windows do not overlap.

    Args:
        context: context length in characters.
    """
    windows, places = _windows(context + 1)
    splits = tuple((w[:, :-1].copy(), w[:, 1:].copy()) for (w,) in windows)
    digest = digest_of(stored("plays.npz"), f"plays 1: {ALPHABET!r}, {PLAYS}, context {context}, held out {HELD_OUT}")
    return _dataset("plays", splits, places, HELD_OUT // context, digest, "plays")


def split_texts(name: str, texts: Mapping[str, str], context: int) -> Dataset:
    """As `plays`, from other texts; characters outside the alphabet become `OTHER` or a question mark.

    Args:
        name: name of the data set.
        texts: ``train``, ``validation`` and ``test``.
        context: context length in characters.
    """
    arrays: dict[str, np.ndarray] = {}
    splits: list[Arrays] = []
    places: list[Arrays] = []
    offset = 0
    for split in ("train", "validation", "test"):
        text = np.frombuffer(texts[split].encode("latin-1", "replace"), np.uint8)
        starts = np.arange(0, len(text) - context, context + 1)[:, None] + np.arange(context + 1)
        windows = _CODES[text[starts]]
        splits.append((windows[:, :-1].copy(), windows[:, 1:].copy()))
        places.append((offset + starts,))
        arrays[split], offset = text, offset + len(text)
    digest = digest_of(arrays, f"{name} 1: {ALPHABET!r}, context {context}, held out {HELD_OUT}")
    return _dataset(name, splits, places, HELD_OUT // context, digest, name)


@cache
def next_characters(context: int) -> Dataset:
    """Prediction of one character: inputs [examples, context], labels [examples], both int32.

    Args:
        context: context length in characters.
    """
    windows, places = _windows(context + 1)
    splits = tuple((w[:, :-1].copy(), w[:, -1].copy()) for (w,) in windows)
    recipe = f"next characters 1: {ALPHABET!r}, {PLAYS}, context {context}, held out {HELD_OUT // 4}"
    digest = digest_of(stored("plays.npz"), recipe)
    return _dataset("next_characters", splits, places, HELD_OUT // 4, digest, "plays")


@cache
def masked_plays(context: int) -> Dataset:
    """Masked-character prediction: inputs [examples, context] with masked characters, labels with -1 at unmasked ones.

    Args:
        context: window length in characters, of which 5 of 32 are masked.
    """
    windows, places = _windows(context)
    rng = np.random.default_rng(4)
    hidden = MASKED * context // 32

    def masked(tokens: np.ndarray) -> Arrays:
        mask = np.argsort(rng.random(tokens.shape), axis=1) < hidden
        return np.where(mask, OTHER, tokens).astype(np.int32), np.where(mask, tokens, -1).astype(np.int32)

    splits = tuple(masked(w) for (w,) in windows)
    recipe = f"masked plays 1: {ALPHABET!r}, {PLAYS}, context {context}, {hidden} hidden, generator 4, {HELD_OUT}"
    digest = digest_of(stored("plays.npz"), recipe)
    return _dataset("masked_plays", splits, places, 2 * HELD_OUT // context, digest, "plays")


@cache
def sonnets(context: int) -> Dataset:
    """As `next_characters`, from 154 sonnets, split 60/20/20 into training, validation and test.

    Args:
        context: context length in characters.
    """
    arrays = stored("sonnets.npz")
    text = arrays["sonnets"].tobytes().decode("ascii")
    numerals = list(re.finditer(r"\n[IVXLC]+\n", text))
    heads = [match.end() for match in numerals]
    ends = [*(match.start() for match in numerals[1:]), len(text)]
    order = np.random.default_rng(5).permutation(len(heads))
    split_of = np.digitize(np.argsort(order), [round(len(heads) * 0.6), round(len(heads) * 0.8)])
    codes = _CODES[arrays["sonnets"]]
    places: tuple[list[np.ndarray], ...] = ([], [], [])
    for split, head, end in zip(split_of, heads, ends, strict=True):
        places[split].append(np.arange(head, end - context)[:, None] + np.arange(context + 1))
    joined = _joined(places)
    splits = tuple((codes[p[:, :-1]], codes[p[:, -1]]) for (p,) in joined)
    recipe = f"sonnets 1: {ALPHABET!r}, context {context}, .6 .2 .2 by permutation 5, held out {HELD_OUT // 4}"
    return _dataset("sonnets", splits, joined, HELD_OUT // 4, digest_of(arrays, recipe), "sonnets")
