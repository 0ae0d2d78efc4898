"""Baselines composed of optax parts match independent NumPy implementations of their sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np
import pytest

from optsearch.selection.baselines import ALWAYS, BASELINES
from optsearch.selection.contender import baseline

RATES = 1e-2 * np.linspace(1.0, 0.1, 12)
VALUES = {"weight_decay": 0.05, "b1": 0.8, "b2": 0.95}

Arrays = Mapping[str, np.ndarray]


def gradients() -> list[Arrays]:
    rng = np.random.default_rng(7)
    return [{"a": rng.normal(size=(3, 4)), "b": 3.0 * rng.normal(size=5)} for _ in RATES]


def optax_path(name: str, values: Mapping[str, float]) -> Arrays:
    rates = jnp.asarray(RATES, jnp.float32)
    optimizer = BASELINES[name].optimizer(lambda count: rates[count], values)
    weights = {key: jnp.ones(shape) for key, shape in (("a", (3, 4)), ("b", (5,)))}
    state = optimizer.init(weights)
    for gradient in gradients():
        update, state = optimizer.update(
            {key: jnp.asarray(g, jnp.float32) for key, g in gradient.items()}, state, weights
        )
        weights = {key: weights[key] + update[key] for key in weights}
    return {key: np.asarray(leaf) for key, leaf in weights.items()}


def adamw_path(
    rate: Callable[[int], float] = lambda step: float(RATES[step]),
    seen: Callable[[Arrays], Arrays] = lambda gradient: gradient,
    taken: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda step, gradient: step,
) -> Arrays:
    """AdamW by its definition; ``seen`` changes gradients, ``taken`` a step before decay is added."""
    weights = {"a": np.ones((3, 4)), "b": np.ones(5)}
    m, v = ({key: np.zeros_like(leaf) for key, leaf in weights.items()} for _ in range(2))
    b1, b2 = VALUES["b1"], VALUES["b2"]
    for number, gradient in enumerate(map(seen, gradients())):
        for key, g in gradient.items():
            m[key] = b1 * m[key] + (1 - b1) * g
            v[key] = b2 * v[key] + (1 - b2) * g**2
            step = m[key] / (1 - b1 ** (number + 1)) / (np.sqrt(v[key] / (1 - b2 ** (number + 1))) + 1e-8)
            weights[key] = weights[key] - rate(number) * (taken(step, g) + VALUES["weight_decay"] * weights[key])
    return weights


def agree(mine: Arrays, theirs: Arrays) -> bool:
    return all(np.allclose(mine[key], theirs[key], rtol=1e-5, atol=1e-7) for key in theirs)


def test_cautious_leaves_out_what_goes_uphill() -> None:
    def masked(step: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        mask = np.where(step * gradient > 0, 1.0, 0.0)
        return step * mask / max(mask.mean(), 1e-3)

    assert agree(optax_path("cautious", VALUES), adamw_path(taken=masked))
    assert not agree(optax_path("cautious", VALUES), adamw_path())


@pytest.mark.parametrize("limit", [0.5, 4.0, 1e6])
def test_clipped_limits_the_norm_over_all_parameters(limit: float) -> None:
    def clip(gradient: Arrays) -> Arrays:
        norm = np.sqrt(sum(float(np.sum(g**2)) for g in gradient.values()))
        return {key: g * min(1.0, limit / norm) for key, g in gradient.items()}

    found = optax_path("clipped", {**VALUES, "limit": limit})
    assert agree(found, adamw_path(seen=clip))
    assert agree(found, adamw_path()) == (limit == 1e6)


@pytest.mark.parametrize("power", [1 / 3, 1.0, 2.5])
def test_a_free_schedule_is_a_power_of_the_given_one(power: float) -> None:
    found = optax_path("free-schedule", {**VALUES, "power": power})
    assert agree(found, adamw_path(rate=lambda step: 1e-3 * (float(RATES[step]) / 1e-3) ** power))
    assert agree(found, adamw_path()) == (power == 1.0)


def test_what_a_baseline_is_about_is_always_tuned() -> None:
    assert [dimension.name for dimension in baseline("free-schedule").space()] == ["rate", *ALWAYS]
    assert [dimension.name for dimension in baseline("clipped").space()] == ["rate", "weight_decay"]
    own = {dimension.name: dimension for dimension in baseline("clipped").space(constants=True)}
    assert {name: dimension.is_beta for name, dimension in own.items()} == {
        "rate": False, "weight_decay": False, "b1": True, "b2": True, "limit": False,
    }  # fmt: skip
    assert own["b1"].at(2.0) == 0.0
    assert own["b1"].at(-4.0) == pytest.approx(1.0 - 1e-5)
