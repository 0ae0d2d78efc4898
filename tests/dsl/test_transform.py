"""Programs as optax transformations behave like optax's own."""

from __future__ import annotations

from inspect import signature
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from optsearch.dsl.export.optax import to_optax_source
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.syntax import parse
from optsearch.dsl.transform import HyperparameterError, ProgramState, to_optax, to_transformation

PARAMS = {
    "kernel": jnp.arange(6.0).reshape(2, 3) / 5 - 0.5,
    "bias": jnp.array([0.3, -0.2, 0.1]),
    "scale": jnp.array(1.5),
}
OPTIMIZERS = pytest.mark.parametrize("name", LIBRARY)
FEW = ("adafactor", "adamw", "lion", "muon", "sgd")
"""Programs of the default tests that compile several times: with and without state, matrices, rows and decay."""

FEW_OPTIMIZERS = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in FEW)) for name in LIBRARY]
)


def gradients(step: int) -> dict[str, jax.Array]:
    return jax.tree.map(lambda x: jnp.cos(x * (step + 1.0)), PARAMS)


def run(optimizer: optax.GradientTransformation, steps: int = 5, jit: bool = True) -> dict[str, jax.Array]:
    params, state = PARAMS, optimizer.init(PARAMS)
    update = jax.jit(optimizer.update) if jit else optimizer.update
    for step in range(steps):
        updates, state = update(gradients(step), state, params)
        params = optax.apply_updates(params, updates)
    return params


def assert_equal(one: object, other: object, tolerance: float = 1e-6) -> None:
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@OPTIMIZERS
def test_compiled_is_statement_by_statement(name: str) -> None:
    optimizer = to_transformation(LIBRARY[name], 0.1)
    assert_equal(run(optimizer), run(optimizer, jit=False), 1e-5)


@OPTIMIZERS
def test_state_and_updates_are_like_the_parameters(name: str) -> None:
    optimizer = to_transformation(LIBRARY[name], 1.0)
    state = optimizer.init(PARAMS)
    assert isinstance(state, ProgramState)
    assert len(state.state) == len(LIBRARY[name].state)
    updates, after = optimizer.update(gradients(0), state, PARAMS)
    for tree in (updates, *state.state, *after.state):
        assert jax.tree.structure(tree) == jax.tree.structure(PARAMS)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert [x.dtype for x in jax.tree.leaves(after)] == [x.dtype for x in jax.tree.leaves(state)]
    assert int(after.count) == 1


@OPTIMIZERS
def test_the_second_call_does_not_compile(name: str) -> None:
    optimizer, traces = to_transformation(LIBRARY[name], optax.cosine_decay_schedule(0.1, 10)), 0

    @jax.jit
    def update(grads: object, state: object, params: object) -> object:
        nonlocal traces
        traces += 1
        return optimizer.update(grads, state, params)

    state = jax.jit(optimizer.init)(PARAMS)
    for step in range(3):
        updates, state = update(gradients(step), state, PARAMS)
        optax.apply_updates(PARAMS, updates)
    assert traces == 1


@FEW_OPTIMIZERS
def test_vmap_trains_each_model_as_alone(name: str) -> None:
    optimizer = to_transformation(LIBRARY[name], 0.1)
    scales = jnp.array([0.5, 1.0, -2.0])

    def first_steps(scale: jax.Array) -> object:
        params = jax.tree.map(lambda x: x * scale, PARAMS)
        state = optimizer.init(params)
        for step in range(2):
            updates, state = optimizer.update(gradients(step), state, params)
            params = optax.apply_updates(params, updates)
        return params

    together = jax.vmap(first_steps)(scales)
    for index, scale in enumerate(scales):
        assert_equal(jax.tree.map(lambda x, i=index: x[i], together), first_steps(scale), 1e-5)


def test_masked_updates_only_what_the_mask_chooses() -> None:
    mask = {"kernel": True, "bias": False, "scale": True}
    optimizer = optax.chain(
        optax.masked(to_transformation(LIBRARY["lion"], 1.0), mask),
        optax.masked(optax.set_to_zero(), {name: not chosen for name, chosen in mask.items()}),
    )
    after, alone = run(optimizer), run(to_transformation(LIBRARY["lion"], 1.0))
    assert_equal(after["bias"], PARAMS["bias"], 0.0)
    assert_equal({n: after[n] for n in ("kernel", "scale")}, {n: alone[n] for n in ("kernel", "scale")})


def test_chained_with_other_transformations() -> None:
    chained = optax.chain(optax.clip_by_global_norm(0.1), to_transformation(LIBRARY["sgd"], 0.5), optax.scale(2.0))
    expected = optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(1.0))
    assert_equal(run(chained), run(expected))


def test_different_optimizers_for_different_parameters() -> None:
    labels = {"kernel": "lion", "bias": "sgd", "scale": "sgd"}
    parts = {"lion": to_transformation(LIBRARY["lion"], 1.0), "sgd": to_transformation(LIBRARY["sgd"], 0.1)}
    after = run(optax.partition(parts, labels))
    assert_equal(after["kernel"], run(to_transformation(LIBRARY["lion"], 1.0))["kernel"])
    assert_equal(after["bias"], run(to_transformation(LIBRARY["sgd"], 0.1))["bias"])


def test_a_checkpoint_of_the_state_resumes_training(tmp_path: Path) -> None:
    optimizer = to_transformation(LIBRARY["adamw"], optax.cosine_decay_schedule(1.0, 20))
    params, state = PARAMS, optimizer.init(PARAMS)
    for step in range(3):
        updates, state = optimizer.update(gradients(step), state, params)
        params = optax.apply_updates(params, updates)
    leaves, structure = jax.tree.flatten((params, state))
    np.savez(tmp_path / "checkpoint.npz", *[np.asarray(leaf) for leaf in leaves])
    with np.load(tmp_path / "checkpoint.npz") as saved:
        restored = [jnp.asarray(saved[name]) for name in saved.files]
    params, state = jax.tree.unflatten(structure, restored)
    for step in range(3, 5):
        updates, state = optimizer.update(gradients(step), state, params)
        params = optax.apply_updates(params, updates)
    assert_equal(params, run(optimizer, jit=False), 0.0)


def test_a_schedule_gives_lr_at_every_step() -> None:
    optimizer = to_transformation(LIBRARY["sgd"], lambda step: 0.1 * (step + 1))
    state = optimizer.init(PARAMS)
    for step in range(3):
        updates, state = optimizer.update(PARAMS, state, PARAMS)
        assert_equal(updates, jax.tree.map(lambda x, k=step: -0.1 * (k + 1) * x, PARAMS))


def test_bfloat16_parameters_keep_their_type_and_have_a_float32_state() -> None:
    params = jax.tree.map(lambda x: x.astype(jnp.bfloat16), PARAMS)
    optimizer = to_transformation(LIBRARY["adam"], 1.0)
    updates, state = jax.jit(optimizer.update)(params, optimizer.init(params), params)
    assert {x.dtype.name for x in jax.tree.leaves(updates)} == {"bfloat16"}
    assert {x.dtype.name for x in jax.tree.leaves(state.state)} == {"float32"}
    assert {x.dtype.name for x in jax.tree.leaves(optax.apply_updates(params, updates))} == {"bfloat16"}


def test_update_needs_the_parameters() -> None:
    optimizer = to_transformation(LIBRARY["sgd"], 1.0)
    with pytest.raises(ValueError, match="call update\\(grads, state, params\\)"):
        optimizer.update(gradients(0), optimizer.init(PARAMS))


def exported(name: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "exported"}
    exec(to_optax_source(LIBRARY[name]), names)  # noqa: S102 - our own export
    return names


@FEW_OPTIMIZERS
def test_hyperparameters_are_those_of_the_exported_file(name: str) -> None:
    make = exported(name)["optimizer"]
    arguments = signature(make).parameters
    assert_equal(run(to_optax(LIBRARY[name])), run(make()), 1e-5)
    named = ("learning_rate", "rate_factor", "weight_decay")
    given = {argument: 3.0 * arguments[argument].default for argument in named if argument in arguments}
    assert_equal(run(to_optax(LIBRARY[name], **given)), run(make(**given)), 1e-5)
    for argument in set(named) - set(given):
        with pytest.raises(HyperparameterError, match="has no"):
            to_optax(LIBRARY[name], **{argument: 0.1})


def test_the_learning_rate_and_decay_are_those_of_optax() -> None:
    ours = to_optax(LIBRARY["lion"], optax.cosine_decay_schedule(0.02, 10), weight_decay=0.3)
    theirs = optax.lion(optax.cosine_decay_schedule(0.02, 10), weight_decay=0.3)
    assert_equal(run(ours, 8), run(theirs, 8), 1e-5)


def test_negative_settings_are_refused() -> None:
    for given in ({"learning_rate": -0.1}, {"weight_decay": -0.1}, {"learning_rate": float("nan")}):
        with pytest.raises(HyperparameterError, match="it must be at least 0"):
            to_optax(LIBRARY["adamw"], **given)
    program = parse("def train(w, g, lr):\n  lr = sqrt(lr)\n  update = g * lr\n  return update")
    with pytest.raises(HyperparameterError, match="no learning_rate: `rate_factor` is not a learning rate"):
        to_optax(program, 0.1)
    with pytest.raises(HyperparameterError, match="rate_factor is -1"):
        to_optax(program, rate_factor=-1.0)


def test_the_learning_rate_can_be_injected() -> None:
    optimizer = optax.inject_hyperparams(to_optax, static_args="program")(LIBRARY["lion"], learning_rate=0.01)
    assert_equal(run(optimizer), run(to_optax(LIBRARY["lion"], 0.01)))
