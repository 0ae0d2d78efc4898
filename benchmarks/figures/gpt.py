"""A language model of 10 million parameters on Python's own sources, with optimizers at rates from a short sweep.

The text is the standard library of the Python that runs, read at run time: nothing is downloaded, and losses of other
versions of Python are not comparable. The characters are those of ASCII. Modules are split by name, so that validation
and test text are of other modules than training.
"""

from __future__ import annotations

import hashlib
import math
import sysconfig
import time
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from figures.plan import Figure, Figures, Plan

SYMBOLS = 128
"""Codes of ASCII; any other character counts as code 127."""

MOST = 4_000_000
"""Characters that are read, at most."""

OPTIMIZERS = ("adamw", "muon", "orthogonal-adamw", "root-scale")
"""Baselines `adamw` and `muon` (optax) and programs of the library."""

FACTORS = (1.0, 3.0, 0.3, 10.0, 0.1)
"""Multiples of an optimizer's own rate; the nearest come first."""

LARGE = {"width": 384, "layers": 6, "heads": 6, "places": 256, "batch": 32, "steps": 300}
SMALL = {"width": 16, "layers": 1, "heads": 2, "places": 32, "batch": 4, "steps": 20}


def figures(plan: Plan) -> Figures:
    """Final losses by optimizer and rate."""
    for factor in FACTORS[:1] if plan.small else FACTORS:
        for optimizer in OPTIMIZERS[:: 3 if plan.small else 1]:
            yield f"gpt/{optimizer}/{factor:g}", partial(train, plan.small, optimizer, factor)


def sources(most: int = MOST) -> dict[str, str]:
    """Sources of the standard library by split: every tenth module is validation, the one after it test."""
    texts: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    read, folder = 0, Path(sysconfig.get_paths()["stdlib"])
    for number, path in enumerate(sorted(folder.glob("*.py")) + sorted(folder.glob("[a-z]*/*.py"))):
        if "site-packages" in path.parts or read > most:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        texts["validation" if number % 10 == 0 else "test" if number % 10 == 1 else "train"].append(text)
        read += len(text)
    return {split: "\n".join(parts) for split, parts in texts.items()}


@cache
def _windows(places: int, most: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    splits: list[tuple[np.ndarray, np.ndarray]] = []
    for split, text in sources(most).items():
        codes = np.minimum(np.frombuffer(text.encode("latin-1", "replace"), np.uint8), SYMBOLS - 1).astype(np.int32)
        count = (len(codes) - 1) // places
        chosen = range(count) if split == "train" else range(min(count, 8192 // places))
        inputs = np.stack([codes[n * places : (n + 1) * places] for n in chosen])
        labels = np.stack([codes[n * places + 1 : (n + 1) * places + 1] for n in chosen])
        splits.append((inputs, labels))
    return tuple(splits)


def task(small: bool) -> Any:
    """The task; its model has 10.8 million parameters, or a few thousand if ``small``."""
    from optsearch.proxy_tasks.datasets import Dataset
    from optsearch.proxy_tasks.objectives import Classification
    from optsearch.proxy_tasks.task import Task
    from optsearch.proxy_tasks.transformer import Blocks, CharacterTransformer

    size = SMALL if small else LARGE

    def dataset() -> Dataset:
        splits = _windows(size["places"], 100_000 if small else MOST)
        digest = hashlib.sha256(b"".join(array.tobytes() for split in splits for array in split)).hexdigest()
        places = tuple(np.arange(inputs.size).reshape(inputs.shape) for inputs, _ in splits)
        return Dataset("python_sources", *splits, digest, places, ("python_sources",))

    blocks = Blocks(size["width"], size["layers"], size["heads"], size["places"], causal=True)
    return Task(
        name="gpt",
        description="Language model on the sources of Python's standard library.",
        dataset=dataset,
        model=CharacterTransformer(SYMBOLS, blocks),
        objective=Classification(),
        batch_size=size["batch"],
        steps=size["steps"],
        use="held out",
        family="gpt",
        rung="proxy",
    )


@cache
def _trainer(small: bool) -> Any:
    from optsearch.proxy_tasks.trainer import Trainer

    return Trainer(task(small), method="compile", resumable_from=math.inf)  # timed as a single call, without snapshots


def train(small: bool, optimizer: str, factor: float) -> Figure:
    """Trains with an optimizer at a multiple of its own rate, on one seed."""
    from optsearch.runs.library.references import load_program
    from optsearch.selection.baselines.table import BASELINES

    trainer = _trainer(small)
    if optimizer in ("adamw", "muon"):
        run = partial(trainer.run_optax, _make(optimizer), 0, rate=factor * BASELINES[optimizer].reference)
    else:
        run = partial(trainer.run, load_program(optimizer).program, 0, rate=factor)
    began = time.perf_counter()
    result = run()
    return {
        "loss": result.loss,
        "test_loss": result.test_loss,
        "outcome": result.outcome.value,
        "steps": result.steps,
        "parameters": trainer.task.parameters,
        "seconds_with_compilation": time.perf_counter() - began,
    }


@cache
def _make(name: str) -> Any:
    """The same function for every rate, so that its loop is compiled once."""
    from optsearch.selection.baselines.table import BASELINES

    return lambda schedule: BASELINES[name].optimizer(schedule)
