"""Every baseline of the table is an optimizer that trains."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
import pytest

from selection.baselines import BASELINES, BaselineError, get_baseline


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_descends_on_a_quadratic(name: str) -> None:
    baseline = BASELINES[name]
    optimizer = baseline.optimizer(lambda count: baseline.reference * jnp.ones(()))
    target = {"b": jnp.ones(3), "w": jnp.full((3, 3), -1.0)}
    params = jax.tree.map(lambda leaf: 0.5 * jnp.ones_like(leaf), target)

    def loss(params: dict[str, jax.Array]) -> jax.Array:
        return sum((jnp.sum((params[key] - target[key]) ** 2) for key in target), start=jnp.zeros(()))

    @jax.jit
    def train(params: dict[str, jax.Array]) -> dict[str, jax.Array]:
        def step(
            _: jax.Array, carry: tuple[dict[str, jax.Array], optax.OptState]
        ) -> tuple[dict[str, jax.Array], optax.OptState]:
            params, state = carry
            updates, state = optimizer.update(jax.grad(loss)(params), state, params)
            return optax.apply_updates(params, updates), state  # pyright: ignore[reportReturnType]

        return jax.lax.fori_loop(0, 100, step, (params, optimizer.init(params)))[0]

    assert loss(train(params)) < loss(params)


def test_names_in_any_capitals_and_the_nearest_one_otherwise() -> None:
    assert get_baseline("AdamW") is BASELINES["adamw"]
    with pytest.raises(BaselineError, match="unknown baseline 'adamv': did you mean 'adam"):
        get_baseline("adamv")
