"""Larger data of the Hugging Face hub: CIFAR-10 and WikiText, imported as a user's own tasks are.

    python -m pip install "optsearch[data]"
    python -m optsearch.proxy_tasks.hub cifar10 wikitext
    optsearch evaluate lion --import optsearch.proxy_tasks.hub:cifar10 --task cifar10

The second line downloads, once, and keeps the data in the user's cache. Tasks read them from there and never download,
so that no worker does.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from optsearch.proxy_tasks.compilation import cache_folder
from optsearch.proxy_tasks.datasets import text
from optsearch.proxy_tasks.datasets.dataset import Dataset, digest_of
from optsearch.proxy_tasks.models.convolution import CNN
from optsearch.proxy_tasks.models.transformer import Blocks, CharacterTransformer
from optsearch.proxy_tasks.objectives import Classification
from optsearch.proxy_tasks.task import RUNGS, Task, TaskError

SOURCES = {"cifar10": ("uoft-cs/cifar10", "plain_text"), "wikitext": ("Salesforce/wikitext", "wikitext-2-raw-v1")}
"""Name and configuration of each data set on the hub."""

IMAGES = (10_000, 2_000, 2_000)
"""Images of CIFAR-10 in training, validation and test."""

CONTEXT = 64
"""Characters of WikiText that are read."""

Rows = Mapping[str, Sequence[Mapping[str, Any]]]
"""Splits of rows, as the loader gives them."""


def cifar10() -> Task:
    """CIFAR-10 with a small convolutional network; validation is cut from the training split.

    Raises:
        TaskError: it has not been downloaded.
    """
    return cifar10_task(_kept("cifar10"))


def wikitext() -> Task:
    """WikiText-2 as characters with a small Transformer.

    Raises:
        TaskError: it has not been downloaded.
    """
    return wikitext_task(_kept("wikitext"))


def cifar10_task(rows: Rows, counts: tuple[int, int, int] = IMAGES) -> Task:
    """The task of rows in CIFAR-10's form.

    Args:
        rows: ``train`` and ``test``, rows ``{"img": 32 x 32 x 3 bytes or a picture, "label": 0 to 9}``.
        counts: images in training, validation and test.
    """

    def dataset() -> Dataset:
        order = np.random.default_rng(0).permutation(len(rows["train"]))[: counts[0] + counts[1]]
        chosen = [
            *(("train", index) for index in np.split(order, [counts[0]])),
            ("test", np.arange(counts[2])),
        ]
        pixels: list[np.ndarray] = []
        labels: list[np.ndarray] = []
        for name, index in chosen:
            examples = [rows[name][int(i)] for i in index]  # each is decoded once
            pixels.append(np.stack([np.asarray(example["img"], np.uint8).ravel() for example in examples]))
            labels.append(np.array([example["label"] for example in examples], np.int32))
        mean, scale = pixels[0].mean(), pixels[0].std()
        train, validation, test = (
            (((image - mean) / scale).astype(np.float32), label) for image, label in zip(pixels, labels, strict=True)
        )
        stored = {f"{kind}{i}": a for kind, group in (("p", pixels), ("l", labels)) for i, a in enumerate(group)}
        first_test = len(rows["train"])
        a, b, c = (index[:, None] + first_test * (name == "test") for name, index in chosen)
        return Dataset(
            "cifar10", train, validation, test, digest_of(stored, "cifar10 1: unit variance"), (a, b, c), ("cifar10",)
        )

    return Task(
        name="cifar10",
        description="Convolutional network that classifies pictures of CIFAR-10.",
        dataset=dataset,
        model=CNN(32, (16, 32, 64), 10, colours=3),
        objective=Classification(),
        batch_size=64,
        steps=600,
        use="search",
        family="cifar10",
        rung=RUNGS[0],
    )


def wikitext_task(rows: Rows) -> Task:
    """The task of rows in WikiText's form.

    Args:
        rows: ``train``, ``validation`` and ``test``, rows ``{"text": a paragraph or an empty line}``.
    """

    def dataset() -> Dataset:
        texts = {name: "".join(row["text"] for row in rows[name]) for name in ("train", "validation", "test")}
        return text.split_texts("wikitext", texts, CONTEXT)

    return Task(
        name="wikitext",
        description="Transformer that predicts the next character of WikiText-2.",
        dataset=dataset,
        model=CharacterTransformer(text.SYMBOLS, Blocks(64, 2, 4, CONTEXT, causal=True)),
        objective=Classification(),
        batch_size=16,
        steps=600,
        use="search",
        family="wikitext",
        rung=RUNGS[0],
    )


def download(name: str) -> Path:
    """Downloads a data set into the user's cache.

    Args:
        name: ``cifar10`` or ``wikitext``.

    Returns:
        Where it is kept.
    """
    _loader().load_dataset(*SOURCES[name]).save_to_disk(str(_folder(name)))
    return _folder(name)


def _folder(name: str) -> Path:
    return cache_folder() / "datasets" / name


def _kept(name: str) -> Rows:
    if not _folder(name).exists():
        raise TaskError(f"{name} has not been downloaded: python -m optsearch.proxy_tasks.hub {name}")
    return _loader().load_from_disk(str(_folder(name)))


def _loader() -> Any:
    try:
        return import_module("datasets")
    except ModuleNotFoundError as error:
        raise TaskError('the loader of these data is not installed: python -m pip install "optsearch[data]"') from error


if __name__ == "__main__":
    for wanted in sys.argv[1:] or SOURCES:
        sys.stdout.write(f"{download(wanted)}\n")
