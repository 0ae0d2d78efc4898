"""The contract of tasks, shipped or user-defined: a list of laws, checked by the tests and by ``tasks --check``.

A law checks one task and returns a description of the violation, or None. Laws that train share a trainer and its runs.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from optsearch.dsl.library import LIBRARY
from optsearch.proxy_tasks.outcome import Outcome, TrainingResult
from optsearch.proxy_tasks.task import Task

if TYPE_CHECKING:
    from optsearch.proxy_tasks.trainer import Method, Trainer

NAMES = ("train", "validation", "test")

RATES = (1.0, 10.0)
"""Factors on AdamW's learning rate of 1e-3, at least one of which must train."""

LEAST_GAIN = 0.01
"""Minimum relative reduction of the untrained model's validation loss by training."""

SMALL_BATCH = 32
"""Number of examples in the finite-difference check of the gradient."""


class Subject:
    """A task under test, with runs shared between laws.

    Args:
        task: the task.
        method: how the trainer runs programs; only one program is run.
        reference: ``module:object`` from which another process imports the task; None for a shipped task, whose results
            are compared with recorded ones.
    """

    def __init__(self, task: Task, method: Method = "auto", reference: str | None = None):
        self.task, self.reference = task, reference
        self._method: Method = method

    @cached_property
    def trainer(self) -> Trainer:
        """The trainer for the AdamW runs."""
        from optsearch.proxy_tasks.trainer import Trainer

        return Trainer(self.task, method=self._method)

    @cache  # noqa: B019 - subjects are short-lived
    def adamw(self, seed: int, rate: float) -> TrainingResult:
        """Result of an AdamW run."""
        return self.trainer.run(LIBRARY["adamw"], seed, rate=rate)

    def batch(self, examples: int) -> tuple[Any, ...]:
        """The first training examples, as a batch."""
        return tuple(array[:examples] for array in self.task.data.train)


@dataclass(frozen=True, slots=True)
class Law:
    """A law that every task satisfies.

    Attributes:
        name: short name.
        sentence: statement of the law.
        check: returns a description of the violation, or None.
        decides: if True, a violation makes the following laws meaningless.
    """

    name: str
    sentence: str
    check: Callable[[Subject], str | None]
    decides: bool = False


def _splits(subject: Subject) -> str | None:
    task = subject.task
    for name, arrays, source in zip(NAMES, task.data.splits, task.data.source, strict=True):
        lengths = {len(array) for array in (*arrays, source)}
        if len(lengths) > 1:
            return f"{name}: the arrays have different lengths, {', '.join(map(str, sorted(lengths)))}"
        for array in arrays:
            if array.dtype not in (np.dtype(np.float32), np.dtype(np.int32)):
                return f"{name}: an array is {array.dtype}; use float32, or int32 for labels and tokens"
            if not np.isfinite(array).all():
                return f"{name}: an array has a value that is not finite"
    if min(len(split[0]) for split in task.data.splits) == 0:
        return "a split is empty"
    return None


def _no_leak(subject: Subject) -> str | None:
    sources = [np.unique(source) for source in subject.task.data.source]
    for first, second in combinations(range(3), 2):
        shared = np.intersect1d(sources[first], sources[second], assume_unique=True)
        if shared.size:
            return f"{NAMES[first]} and {NAMES[second]} share {shared.size} of their examples or example sources"
    return None


def _parameters(subject: Subject) -> str | None:
    import jax

    task = subject.task
    leaves = jax.tree.leaves(jax.eval_shape(task.init, jax.random.key(0)))
    if wrong := {str(leaf.dtype) for leaf in leaves} - {"float32"}:
        return f"parameters are {', '.join(sorted(wrong))}; only float32 can be trained"
    if (total := sum(leaf.size for leaf in leaves)) != task.parameters or not total:
        return f"init creates {total} parameters, but the model declares {task.parameters}"
    return None


def _gradient(subject: Subject) -> str | None:
    """Compares the directional derivative with central differences, in float64 if the loss supports it."""
    import jax
    import jax.numpy as jnp

    task = subject.task
    with jax.enable_x64(True):
        batch = tuple(
            jnp.asarray(a, jnp.float64 if a.dtype == np.float32 else a.dtype) for a in subject.batch(SMALL_BATCH)
        )
        leaves, structure = jax.tree.flatten(jax.jit(task.init)(jax.random.key(1)))
        rng = np.random.default_rng(2)
        directions = [rng.standard_normal(leaf.shape) for leaf in leaves]

        def along(distance: Any) -> tuple[Any, Any]:
            moved = [jnp.asarray(leaf, jnp.float64) + distance * d for leaf, d in zip(leaves, directions, strict=True)]
            loss, gradient = jax.value_and_grad(task.loss)(jax.tree.unflatten(structure, moved), batch)
            return loss, sum(jnp.vdot(g, d) for g, d in zip(jax.tree.leaves(gradient), directions, strict=True))

        shape = jax.eval_shape(lambda: task.loss(jax.tree.unflatten(structure, leaves), batch))
        if shape.shape != ():
            return f"the loss has shape {shape.shape}; it must be one number"
        step, tolerance = (1e-6, 1e-3) if shape.dtype == jnp.float64 else (1e-3, 5e-2)
        compiled = jax.jit(along)
        difference = float(compiled(step)[0] - compiled(-step)[0]) / (2.0 * step)
        by_gradient = float(compiled(0.0)[1])
    size = max(abs(difference), abs(by_gradient), 1e-6)
    if not abs(difference - by_gradient) <= tolerance * size:
        return (
            f"along a random direction, the slope is {by_gradient:.6g} by the gradient and {difference:.6g} by finite "
            "differences of the loss"
        )
    return None


def _deterministic(subject: Subject) -> str | None:
    first, other = subject.adamw(0, 1.0), subject.adamw(1, 1.0)
    again = subject.trainer.run(LIBRARY["adamw"], 0)
    if first != again:
        return f"two runs with seed 0 gave the validation losses {first.loss} and {again.loss}"
    if first.outcome is Outcome.OK and first.train_losses == other.train_losses:
        return "seeds 0 and 1 give the same training losses: initial parameters and batches must come from the key"
    return None if subject.reference is None else _in_another_process(subject, subject.reference)


_ANOTHER = """
import json, sys
out, sys.stdout = sys.stdout, sys.stderr
from optsearch.dsl.library import LIBRARY
from optsearch.proxy_tasks.registry import import_tasks
from optsearch.proxy_tasks.trainer import Trainer
reference, version = sys.argv[1:]
(task,) = import_tasks([reference])
result = Trainer(task).run(LIBRARY["adamw"], 0) if task.version == version else None
json.dump([task.version, repr(result), None if result is None else result.loss], out)
"""
"""Imports a task and trains it in a fresh process; the task's own prints are kept out of the output."""


def _in_another_process(subject: Subject, reference: str) -> str | None:
    """Compares with a fresh process; random numbers without a key, such as from ``numpy.random``, differ there."""
    import jax

    version, here = subject.task.version, subject.adamw(0, 1.0)
    hashes = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    settings = {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": hashes}
    if platforms := jax.config.jax_platforms:  # pyright: ignore[reportAttributeAccessIssue]
        settings["JAX_PLATFORMS"] = platforms
    command = [sys.executable, "-c", _ANOTHER, reference, version]
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True)  # noqa: S603 - ours
    if done.returncode:
        return f"another process cannot train it: {done.stderr.strip().splitlines()[-1:]}"
    other, result, loss = json.loads(done.stdout)
    advice = "draw them from jax.random with the key, or from numpy.random.default_rng(0)"
    if other != version:
        return f"the data or settings differ in another process; if they contain random numbers, {advice}"
    if result != repr(here):
        return (
            f"seed 0 gave the validation loss {here.loss} and, in another process, {loss}; if the task uses random "
            f"numbers, {advice}"
        )
    return None


def _learns(subject: Subject) -> str | None:
    untrained = subject.adamw(0, 0.0).loss
    runs = [subject.adamw(0, rate) for rate in RATES]
    losses = [run.loss for run in runs if run.loss is not None]
    if not losses or untrained is None:
        return f"training with AdamW ends with the outcome {runs[0].outcome.value}: {runs[0].outcome.sentence}"
    if not min(losses) <= untrained - LEAST_GAIN * abs(untrained):
        return f"AdamW lowers the validation loss only from {untrained:.6g} to {min(losses):.6g}"
    return None


def _diverges_cleanly(subject: Subject) -> str | None:
    result = subject.trainer.run(LIBRARY["adamw"], 0, rate=math.inf)
    if result.outcome is not Outcome.NON_FINITE:
        return f"a program with infinite updates ends with outcome {result.outcome.value} and loss {result.loss}"
    if result.steps > subject.task.checkpoints[0]:
        return f"a program with infinite updates is stopped only after {result.steps} steps"
    return None


LAWS = (
    Law("splits", "Splits are arrays of finite numbers, and none is empty.", _splits, True),
    Law("no leak", "Training, validation and test splits are disjoint.", _no_leak),
    Law("parameters", "The number of float32 parameters is the declared one.", _parameters, True),
    Law("gradient", "The gradient agrees with finite differences of the loss.", _gradient),
    Law(
        "deterministic",
        "A seed has the same result in every process; other seeds have other results.",
        _deterministic,
    ),
    Law("learns", "AdamW at a learning rate of 1e-3 or 1e-2 lowers the validation loss.", _learns),
    Law("diverging", "A program with infinite updates ends as non-finite immediately.", _diverges_cleanly),
)
"""The laws, from cheapest to most expensive."""
