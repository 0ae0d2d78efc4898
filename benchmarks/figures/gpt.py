"""A language model of 10 million parameters on the data of the target `code`, at rates from a short sweep.

The data are those of the extra ``targets`` (docs/targets.md), with longer windows than the target's own. Without the
package, every figure fails with the command that installs it.
"""

from __future__ import annotations

import math
import time
from functools import cache, partial
from typing import Any

from figures.plan import Figure, Figures, Plan

OPTIMIZERS = ("adamw", "muon", "orthogonal-adamw", "root-scale", "bounded-root", "leaky-max")
"""Baselines `adamw` and `muon` (optax), a program of the library, and the discovered programs."""

FACTORS = (1.0, 3.0, 0.3, 10.0, 0.1)
"""Multiples of an optimizer's own rate; the nearest come first."""

LARGE = {"width": 384, "layers": 6, "heads": 6, "places": 256, "batch": 32, "steps": 300}
SMALL = {"width": 16, "layers": 1, "heads": 2, "places": 32, "batch": 4, "steps": 20}

TRIVIAL_LOSS = 3.33
"""Test loss of the frequencies of characters, as on the rungs of the target; no figure depends on it."""


def figures(plan: Plan) -> Figures:
    """Final losses by optimizer and rate."""
    for factor in FACTORS[:1] if plan.small else FACTORS:
        for optimizer in OPTIMIZERS[:: 3 if plan.small else 1]:
            yield f"gpt/{optimizer}/{factor:g}", partial(train, plan.small, optimizer, factor)


def task(small: bool) -> Any:
    """The task; its model has 10.8 million parameters, or a few thousand if ``small``. A run is one epoch."""
    from optsearch.proxy_tasks.models.transformer import Blocks, CharacterTransformer
    from optsearch.proxy_tasks.objectives import Classification
    from optsearch.proxy_tasks.targets.code import SYMBOLS, next_characters
    from optsearch.proxy_tasks.task import Task

    size = SMALL if small else LARGE
    blocks = Blocks(size["width"], size["layers"], size["heads"], size["places"], causal=True)
    return Task(
        name="gpt",
        description="Language model on SymPy's source code.",
        dataset=next_characters(size["places"], size["batch"] * size["steps"], TRIVIAL_LOSS),
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
