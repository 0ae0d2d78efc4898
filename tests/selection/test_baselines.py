"""Every baseline of the table is an optimizer that trains."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
import pytest

from optsearch.proxy_tasks.registry import get_task
from optsearch.proxy_tasks.trainer import Trainer
from optsearch.selection.baselines import BASELINES, SCALES, Baseline, BaselineError, Schedule, get_baseline

TARGET = {"b": jnp.ones(3), "w": jnp.full((3, 3), -1.0)}
START = jax.tree.map(lambda leaf: 0.5 * jnp.ones_like(leaf), TARGET)


def loss(params: dict[str, jax.Array]) -> jax.Array:
    return sum((jnp.sum((params[key] - TARGET[key]) ** 2) for key in TARGET), start=jnp.zeros(()))


def descend(row: Baseline, values: dict[str, jax.Array] | None, noise: jax.Array) -> dict[str, jax.Array]:
    optimizer = row.optimizer(lambda count: 1.1 * row.reference * jnp.ones(()), values)

    def step(
        number: jax.Array, carry: tuple[dict[str, jax.Array], optax.OptState]
    ) -> tuple[dict[str, jax.Array], optax.OptState]:
        params, state = carry
        gradient = jax.tree.map(
            lambda leaf: leaf + noise * jnp.cos(1.3 * number + jnp.arange(float(leaf.size)).reshape(leaf.shape)),
            jax.grad(loss)(params),
        )
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state  # pyright: ignore[reportReturnType]

    return jax.lax.fori_loop(0, 30, step, (START, optimizer.init(START)))[0]


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_descends_whatever_its_arguments_with_one_compilation(name: str) -> None:
    row, traces = BASELINES[name], list[str]()

    @jax.jit
    def train(values: dict[str, jax.Array], noise: jax.Array) -> dict[str, jax.Array]:
        traces.append(name)
        return descend(row, values, noise)

    own = {key: jnp.float32(value) for key, value in row.arguments.items()}
    none, some = jnp.float32(0.0), jnp.float32(5.0)
    assert loss(train(own, none)) < loss(START)
    reached = train(own, some)
    if own:
        given = jax.jit(lambda: descend(row, None, some))()
        assert jax.tree.all(jax.tree.map(lambda a, b: jnp.allclose(a, b, rtol=1e-4), reached, given))
    for key in own:
        other = train(own | {key: own[key] * (20.0 if key in SCALES else 0.5)}, some)
        assert not jax.tree.all(jax.tree.map(jnp.array_equal, reached, other)), key
    assert traces == [name]


def test_the_trainer_compiles_a_baseline_once() -> None:
    trainer, row = Trainer(get_task("ae")), BASELINES["adamw"]

    def make(schedule: Schedule) -> optax.GradientTransformation:
        return row.optimizer(schedule, {key: schedule(300 + place) for place, key in enumerate(row.arguments)})

    losses = {trainer.run_optax(make, 0, rate=1e-3, values=[decay, 0.9, 0.999]).loss for decay in (0.0, 0.1, 10.0)}
    assert len(losses) == 3
    assert trainer.compilations == 1


def test_any_optimizer_of_optax_is_a_baseline() -> None:
    assert get_baseline("adan").arguments == {"b1": 0.98, "b2": 0.92, "b3": 0.99}
    assert get_baseline("LARS").reference == 1e-3
    for name in ("chain", "apply_updates", "_src", "__doc__"):
        with pytest.raises(BaselineError, match=f"unknown baseline '{name}'"):
            get_baseline(name)


def test_names_in_any_capitals_and_the_nearest_one_otherwise() -> None:
    assert get_baseline("AdamW") is BASELINES["adamw"]
    with pytest.raises(BaselineError, match="unknown baseline 'adamv': did you mean 'adam"):
        get_baseline("adamv")
