"""Training runs: agreement of both execution modes, a single compilation, hurdles, and baselines."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from shared_trainers import shared_trainer

from optsearch.dsl.dataflow import prune
from optsearch.dsl.generate import random_program
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program, Statement
from optsearch.dsl.syntax import parse
from optsearch.proxy_tasks.execution.batches import prepare
from optsearch.proxy_tasks.execution.encoding import ROWS
from optsearch.proxy_tasks.hurdle import Hurdle
from optsearch.proxy_tasks.outcome import Outcome, TrainingResult
from optsearch.proxy_tasks.registry import get_task
from optsearch.proxy_tasks.trainer import Trainer

ADAMW = LIBRARY["adamw"]


def agree(first: TrainingResult, second: TrainingResult, rtol: float) -> None:
    assert first.outcome is second.outcome
    np.testing.assert_allclose(first.train_losses, second.train_losses, rtol=rtol)
    if first.outcome is Outcome.OK:
        losses = [np.array([result.loss, result.test_loss], float) for result in (first, second)]
        np.testing.assert_allclose(*losses, rtol=rtol)


@pytest.mark.parametrize("name", ["sgd", "adamw", "lion"])
def test_interpreted_and_compiled_agree(interpreter: Trainer, compiler: Trainer, name: str) -> None:
    program = LIBRARY[name]
    agree(interpreter.run(program, 3, rate=0.5), compiler.run(program, 3, rate=0.5), rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["muon", "adafactor"])
def test_functions_of_matrices_train_a_task_of_one_vector(name: str) -> None:
    interpreter, compiler = (shared_trainer("quadratic", method) for method in ("interpret", "compile"))
    program = LIBRARY[name]
    result = interpreter.run(program, 0, rate=0.5)
    agree(result, compiler.run(program, 0, rate=0.5), rtol=1e-3)
    assert result.train_losses[-1] < result.train_losses[0]


@pytest.mark.slow
def test_generated_programs_agree_interpreted_and_compiled(interpreter: Trainer, compiler: Trainer) -> None:
    """Small steps keep runs from being chaotic; then the two ways may differ by rounding only."""
    rng = np.random.default_rng(4)
    for _ in range(40):
        program = random_program(rng, statements=int(rng.integers(1, 12)))
        small = (Statement("update", "clip", ("update", 1.0)), Statement("update", "multiply", ("update", 1e-4)))
        program = Program(program.state, (*program.body, *small))
        agree(interpreter.run(program, 0), compiler.run(program, 0), rtol=1e-3)


def test_dead_statements_change_nothing_and_cost_no_bits(interpreter: Trainer) -> None:
    rng = np.random.default_rng(5)
    for _ in range(10):
        program = random_program(rng, statements=15)
        assert interpreter.run(program, 1) == interpreter.run(prune(program), 1)


def test_dead_values_may_be_non_finite(interpreter: Trainer) -> None:
    dead = (Statement("x", "log", (0.0,)), Statement("y", "multiply", ("g", "x")))
    assert interpreter.run(Program(ADAMW.state, (*dead, *ADAMW.body)), 2) == interpreter.run(ADAMW, 2)


def test_another_program_does_not_compile(interpreter: Trainer) -> None:
    interpreter.run(ADAMW, 0)
    before = interpreter.compilations
    rng = np.random.default_rng(6)
    for seed in range(20):
        interpreter.run(random_program(rng, statements=int(rng.integers(1, 20))), seed, rate=1.0 + seed)
    assert interpreter.compilations == before


def test_a_program_beyond_the_limits_is_compiled_instead(interpreter: Trainer) -> None:
    wide = [Statement(f"x{i}", "add", ("g", float(i))) for i in range(ROWS)]
    total = [Statement("update", "add", ("x0", "x1"))]
    total += [Statement("update", "add", ("update", f"x{i}")) for i in range(2, ROWS)]
    scale = Statement("update", "multiply", ("update", 1e-6))
    before = interpreter.compilations
    result = interpreter.run(Program((), (*wide, *total, scale)), 0)
    assert result.outcome is Outcome.OK
    assert interpreter.compilations == before + 1


def test_the_hurdle_stops_at_its_step(interpreter: Trainer) -> None:
    free = interpreter.run(ADAMW, 0)
    checkpoints = interpreter.task.checkpoints
    limit = (checkpoints[2], free.train_losses[2] * 0.99)
    stopped = interpreter.run(ADAMW, 0, hurdle=Hurdle((limit,)))
    assert stopped.outcome is Outcome.HURDLE
    assert stopped.steps == checkpoints[2]
    assert stopped.loss is None
    assert stopped.train_losses == free.train_losses[:2]
    passed = interpreter.run(ADAMW, 0, hurdle=Hurdle(((checkpoints[2], free.train_losses[2]),)))
    assert passed == free


def test_a_hurdle_between_checkpoints_is_refused(interpreter: Trainer) -> None:
    with pytest.raises(ValueError, match=r"hurdle at step 61: .* the nearest is 60"):
        interpreter.run(ADAMW, 0, hurdle=Hurdle(((61, 1.0),)))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused(interpreter: Trainer, seed: int) -> None:
    with pytest.raises(ValueError, match="seed"):
        interpreter.run(ADAMW, seed)


def test_the_rate_multiplies_the_learning_rate(interpreter: Trainer) -> None:
    doubled = parse(str(LIBRARY["sgd"]).replace("lr):", "lr):\n  lr = lr * 2.0", 1))
    assert interpreter.run(doubled, 0) == interpreter.run(LIBRARY["sgd"], 0, rate=2.0)


def test_non_finite_weights_count_although_the_loss_is_finite(interpreter: Trainer) -> None:
    program = parse("def train(w, g, lr):\n  x = w * 3e38\n  x = x * 3e38\n  update = x * 1e30\n  return update\n")
    assert interpreter.run(program, 0).outcome is Outcome.NON_FINITE


def test_optax_momentum_equals_the_librarys(interpreter: Trainer) -> None:
    """Momentum has no bias correction, so optax and the program are the same optimizer."""
    program = LIBRARY["momentum"]
    scale = program_scale(program)

    def momentum(schedule: Any) -> optax.GradientTransformation:
        return optax.sgd(lambda count: scale * schedule(count), momentum=0.9)

    agree(interpreter.run(program, 0, rate=0.1), interpreter.run_optax(momentum, 0, rate=0.1), rtol=1e-3)


def test_a_tuned_rate_does_not_compile_again(interpreter: Trainer) -> None:
    make = optax.sgd
    interpreter.run_optax(make, 0, rate=0.1)
    before = interpreter.compilations
    results = [interpreter.run_optax(make, seed, rate=rate) for seed in (0, 1) for rate in (0.01, 0.3)]
    assert interpreter.compilations == before
    assert len({result.loss for result in results}) == 4


def test_losses_are_those_of_the_evaluated_weights() -> None:
    task = get_task("digits")
    trainer = Trainer(task)

    def halved(weights: Any, state: Any) -> Any:
        return jax.tree.map(lambda leaf: 0.5 * leaf, weights)

    def broken(weights: Any, state: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf / 0.0, weights)

    idle = optax.set_to_zero()

    def make(schedule: Any) -> optax.GradientTransformation:
        return idle

    weights, _ = prepare(task, jnp.uint32(3))
    found = trainer.run_optax(make, 3, evaluated=halved)
    assert found.loss == pytest.approx(float(task.loss(halved(weights, None), task.data.validation)), rel=1e-5)
    assert found.test_loss == pytest.approx(float(task.loss(halved(weights, None), task.data.test)), rel=1e-5)
    assert found.loss != pytest.approx(float(task.loss(weights, task.data.validation)), rel=1e-3)
    assert trainer.run_optax(make, 3, evaluated=broken).outcome is Outcome.NON_FINITE


def test_a_constant_rate_needs_no_further_compilation(interpreter: Trainer) -> None:
    make = optax.sgd
    decaying = interpreter.run_optax(make, 0, rate=0.1)
    before = interpreter.compilations
    constant = interpreter.run_optax(make, 0, rate=0.1, decays=False)
    assert interpreter.compilations == before
    assert constant.train_losses != decaying.train_losses


def program_scale(program: Program) -> float:
    """The constant that a library program multiplies ``lr`` with; 1 where it uses ``lr`` as it is."""
    scales = [s.args[1] for s in program.body if s.function == "multiply" and s.args[0] == "lr"]
    return float(scales[0]) if scales else 1.0


def test_automatic_choice_compiles_long_runs_only() -> None:
    task = get_task("ae")
    assert Trainer(task).method_for(ADAMW) == "interpret"
    assert Trainer(replace(task, steps=1_000_000)).method_for(ADAMW) == "compile"
    assert Trainer(task, method="compile").method_for(ADAMW) == "compile"
