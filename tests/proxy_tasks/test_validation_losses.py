"""Recording validation losses adds numbers to a result and changes none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest

from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program
from optsearch.dsl.syntax import parse
from optsearch.proxy_tasks.execution.batches import prepare
from optsearch.proxy_tasks.execution.compiled_loop import the_weights
from optsearch.proxy_tasks.hurdle import Hurdle
from optsearch.proxy_tasks.outcome import Outcome, TrainingResult
from optsearch.proxy_tasks.registry import get_task
from optsearch.proxy_tasks.run import TrainingRun
from optsearch.proxy_tasks.trainer import Method, Trainer

SLOW = pytest.mark.slow
TASKS = ["digits", *(pytest.param(name, marks=SLOW) for name in ("ae", "lm", "cnn"))]

PROGRAMS = {
    "adamw": LIBRARY["adamw"],
    "diverges at once": parse("def train(w, g, lr):\n  update = g * -1e30\n  return update\n"),
    "diverges on the way": parse("def train(w, g, lr):\n  update = w * -0.5\n  return update\n"),
}


def averaged(weights: Any, state: Any) -> Any:
    """Weights at which an optimizer is evaluated that are not those of the training losses."""
    del state
    return jax.tree.map(lambda leaf: 0.5 * leaf, weights)


BASELINES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "adam": (optax.adam, the_weights),
    "sgd": (optax.sgd, averaged),
    "diverges": (lambda schedule: optax.scale(-1e30), the_weights),
}


@cache
def trainers(name: str, method: Method) -> tuple[Trainer, Trainer]:
    """One that records nothing and one that records validation losses."""
    task = get_task(name)
    return Trainer(task, method=method), Trainer(task, method=method, validates=True)


def test_recording_is_switched_off_without_compiling_again() -> None:
    bare, full = trainers("digits", "interpret")
    program = next(iter(PROGRAMS.values()))
    full.run(program, 4)
    compiled = full.compilations
    full.recording = False
    try:
        assert full.run(program, 4) == bare.run(program, 4)
        assert full.compilations == compiled
    finally:
        full.recording = True


def same_but_recorded(bare: TrainingResult, full: TrainingResult) -> None:
    assert bare.validation_losses == ()
    assert replace(full, validation_losses=()) == bare, "to the last bit"
    assert len(full.validation_losses) == len(full.train_losses)
    if bare.outcome is Outcome.OK:
        assert full.validation_losses[-1] == bare.loss


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
@pytest.mark.parametrize("method", ["interpret", pytest.param("compile", marks=SLOW)])
@pytest.mark.parametrize("name", TASKS)
def test_recording_changes_no_run_of_a_program(name: str, method: Method, program: Program) -> None:
    bare, full = trainers(name, method)
    free = bare.run(program, 3, rate=0.5)
    same_but_recorded(free, full.run(program, 3, rate=0.5))
    hurdle = Hurdle(((bare.task.checkpoints[3], 0.0),))
    same_but_recorded(bare.run(program, 3, rate=0.5, hurdle=hurdle), full.run(program, 3, rate=0.5, hurdle=hurdle))


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("name", TASKS)
def test_recording_changes_no_run_of_a_baseline(name: str, baseline: str) -> None:
    make, evaluated = BASELINES[baseline]
    bare, full = (trainer.run_optax(make, 3, rate=1e-3, evaluated=evaluated) for trainer in trainers(name, "interpret"))
    same_but_recorded(bare, full)


@SLOW
def test_recording_changes_no_run_beside_others() -> None:
    task = get_task("ae")
    bare, full = Trainer(task, lanes=2), Trainer(task, lanes=2, validates=True)
    runs = [TrainingRun(program, seed) for seed, program in enumerate(PROGRAMS.values())]
    for one, other in zip(bare.run_all(runs), full.run_all(runs), strict=True):
        same_but_recorded(one, other)


def test_a_recorded_loss_is_that_of_the_weights_at_the_checkpoint() -> None:
    """An oracle that takes the same steps one by one."""
    trainer, rate, place = trainers("digits", "interpret")[1], 1e-2, 3
    task = trainer.task

    def make(schedule: Any) -> optax.GradientTransformation:
        del schedule
        return optax.sgd(rate)

    weights, order = prepare(task, jnp.uint32(0))
    slopes = jax.jit(jax.grad(task.loss))
    for examples in order[: task.checkpoints[place]]:
        slope = slopes(weights, tuple(array[examples] for array in task.data.train))
        weights = jax.tree.map(lambda leaf, slope: leaf - rate * slope, weights, slope)
    expected = float(task.loss(weights, tuple(map(jnp.asarray, task.data.validation))))
    assert trainer.run_optax(make, 0).validation_losses[place] == pytest.approx(expected, rel=1e-4)


def test_a_loss_that_is_not_finite_is_none_and_stops_nothing() -> None:
    def huge(weights: Any, state: Any) -> Any:
        """Finite weights with losses that are not."""
        del state
        return jax.tree.map(lambda leaf: 1e30 * leaf, weights)

    bare, full = (trainer.run_optax(optax.sgd, 0, evaluated=huge) for trainer in trainers("digits", "interpret"))
    assert replace(full, validation_losses=()) == bare
    assert (full.outcome, full.steps) == (Outcome.NON_FINITE, get_task("digits").steps)
    assert full.validation_losses == (None,) * len(full.train_losses) == (None,) * 10
