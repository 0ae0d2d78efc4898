"""Baselines composed of optax parts match independent NumPy implementations of their sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optsearch.proxy_tasks.execution.compiled_loop import the_weights
from optsearch.selection.baselines.table import ALWAYS, BASELINES
from optsearch.selection.contender import baseline
from optsearch.selection.space import BETA, DECAY, EPS, LIMIT, RATE

RATES = 1e-2 * np.linspace(1.0, 0.1, 12)
VALUES = {"weight_decay": 0.05, "b1": 0.8, "b2": 0.95, "eps": 1e-2}

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
    reached = (BASELINES[name].evaluated or the_weights)(weights, state)
    return {key: np.asarray(leaf) for key, leaf in reached.items()}


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
            step = m[key] / (1 - b1 ** (number + 1)) / (np.sqrt(v[key] / (1 - b2 ** (number + 1))) + VALUES["eps"])
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


def test_lookahead_returns_half_way_every_fifth_step() -> None:
    fast, slow = {"a": np.ones((3, 4)), "b": np.ones(5)}, {"a": np.ones((3, 4)), "b": np.ones(5)}
    adam = Adam(fast)
    for number, gradient in enumerate(gradients()):
        fast = adam.step(fast, gradient, float(RATES[number]))
        if number % 5 == 4:
            slow = {key: 0.5 * (slow[key] + fast[key]) for key in slow}
            fast = slow
    assert agree(optax_path("lookahead", VALUES), fast)


class Adam:
    """The moments of AdamW by its definition."""

    def __init__(self, weights: Arrays, b1: float = VALUES["b1"]):
        self.m, self.v = ({key: np.zeros_like(leaf) for key, leaf in weights.items()} for _ in range(2))
        self.b1, self.number = b1, 0

    def step(self, weights: Arrays, gradient: Arrays, rate: float, at: Arrays | None = None) -> Arrays:
        """Weights after a step; the decay is that of the weights ``at``, by default the same ones."""
        self.number += 1
        found, b1, b2, at = dict[str, np.ndarray](), self.b1, VALUES["b2"], at or weights
        for key, g in gradient.items():
            self.m[key] = b1 * self.m[key] + (1 - b1) * g
            self.v[key] = b2 * self.v[key] + (1 - b2) * g**2
            root = np.sqrt(self.v[key] / (1 - b2**self.number)) + VALUES["eps"]
            step = self.m[key] / (1 - b1**self.number) / root
            found[key] = weights[key] - rate * (step + VALUES["weight_decay"] * at[key])
        return found


def test_schedule_free_is_evaluated_at_the_average_of_its_steps_weighted_by_squared_rates() -> None:
    """Equations of section 2 of the paper: gradients at y, steps of z, the average x."""
    x = z = y = {"a": np.ones((3, 4)), "b": np.ones(5)}
    adam, total, most, b1 = Adam(x, b1=0.0), 0.0, 0.0, VALUES["b1"]
    for number, gradient in enumerate(gradients()):
        rate = float(RATES[number])
        z = adam.step(z, gradient, rate, at=y)
        most = max(most, rate)
        total += most**2
        share = most**2 / total
        x = {key: (1 - share) * x[key] + share * z[key] for key in x}
        y = {key: b1 * x[key] + (1 - b1) * z[key] for key in y}
    assert agree(optax_path("schedule-free", VALUES), x)


def test_signum_takes_the_sign_of_the_average_and_decays_apart_from_it() -> None:
    weights, m = {"a": np.ones((3, 4)), "b": np.ones(5)}, {"a": np.zeros((3, 4)), "b": np.zeros(5)}
    for number, gradient in enumerate(gradients()):
        for key, g in gradient.items():
            m[key] = 0.8 * m[key] + 0.2 * g
            weights[key] = weights[key] - float(RATES[number]) * (np.sign(m[key]) + 0.05 * weights[key])
    assert agree(optax_path("signum", {"beta": 0.8, "weight_decay": 0.05}), weights)


def test_adopt_normalises_by_the_moment_of_earlier_gradients() -> None:
    """Algorithm 2 of the paper with the authors' clipping; the first step only takes the square of its gradient."""
    weights, b1, b2 = {"a": np.ones((3, 4)), "b": np.ones(5)}, 0.8, 0.95
    m, v = ({key: np.zeros_like(leaf) for key, leaf in weights.items()} for _ in range(2))
    for number, gradient in enumerate(gradients()):
        for key, g in gradient.items():
            if number == 0:
                v[key] = g**2
            else:
                m[key] = b1 * m[key] + (1 - b1) * np.clip(
                    g / np.maximum(np.sqrt(v[key]), 1e-2), -(number**0.25), number**0.25
                )
                v[key] = b2 * v[key] + (1 - b2) * g**2
            weights[key] = weights[key] - float(RATES[number]) * (m[key] + 0.05 * weights[key])
    assert agree(optax_path("adopt", VALUES), weights)


def test_adafactor_factors_small_matrices_and_decays_with_the_rate() -> None:
    """Algorithm 4 of the paper: factored moments, clipping by the root mean square, relative steps."""
    weights = {"a": np.ones((3, 4)), "b": np.ones(5)}
    rows, columns, v, m = np.zeros(3), np.zeros(4), np.zeros(5), {"a": np.zeros((3, 4)), "b": np.zeros(5)}
    for number, gradient in enumerate(gradients()):
        b2 = 1 - (number + 1.0) ** -0.6
        rows = b2 * rows + (1 - b2) * np.mean(gradient["a"] ** 2, axis=1)
        columns = b2 * columns + (1 - b2) * np.mean(gradient["a"] ** 2, axis=0)
        v = b2 * v + (1 - b2) * gradient["b"] ** 2
        steps = {
            "a": gradient["a"] / np.sqrt(np.outer(rows, columns) / np.mean(rows)),
            "b": gradient["b"] / np.sqrt(v),
        }
        for key, step in steps.items():
            step = step / max(1.0, np.sqrt(np.mean(step**2)) / 0.7)
            scale = max(1e-3, np.sqrt(np.mean(weights[key] ** 2)))
            m[key] = 0.3 * m[key] + 0.7 * float(RATES[number]) * scale * step
            weights[key] = weights[key] - m[key] - float(RATES[number]) * 0.05 * weights[key]
    values = {"weight_decay": 0.05, "decay_rate": 0.6, "momentum": 0.3, "clipping_threshold": 0.7}
    assert agree(optax_path("adafactor", values), weights)


def test_muon_takes_kernels_as_matrices_and_vectors_by_adamw_at_its_own_rate() -> None:
    values = {"weight_decay": 0.05, "adam_b1": 0.8, "adam_b2": 0.95, "eps": 1e-2, "adam_ratio": 0.5}
    rng = np.random.default_rng(2)
    kernel, vector = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((2, 3, 4), (5,)))

    def first(leaf: jax.Array, name: str, rate: float, values: Mapping[str, float]) -> jax.Array:
        optimizer = BASELINES[name].optimizer(lambda count: rate + 0.0 * count, values)
        return optimizer.update({"x": leaf}, optimizer.init({"x": leaf}), {"x": leaf})[0]["x"]  # pyright: ignore

    flat = first(kernel.reshape(6, 4), "muon", 0.01, values)
    assert np.allclose(first(kernel, "muon", 0.01, values).reshape(6, 4), flat, rtol=1e-5)
    values_of_adamw = {"weight_decay": 0.05, "b1": 0.8, "b2": 0.95, "eps": 1e-2}
    theirs = first(vector, "nadamw", 0.005, values_of_adamw)
    assert np.allclose(first(vector, "muon", 0.01, values), theirs, rtol=1e-5)
    singular = np.linalg.svd(np.asarray(flat / -0.01 - 0.05 * kernel.reshape(6, 4)))[1]
    assert 0.6 < singular.min() <= singular.max() < 1.3


def test_what_a_baseline_is_about_is_always_tuned() -> None:
    assert [dimension.name for dimension in baseline("free-schedule").space(constants=False)] == ["rate", *ALWAYS]
    assert [dimension.name for dimension in baseline("clipped").space(constants=False)] == ["rate", "weight_decay"]
    own = {dimension.name: dimension for dimension in baseline("clipped").space(constants=True)}
    assert {name: dimension.kind for name, dimension in own.items()} == {
        "rate": RATE, "weight_decay": DECAY, "b1": BETA, "b2": BETA, "eps": EPS, "limit": LIMIT,
    }  # fmt: skip
    assert (own["b1"].at(0.0), own["b1"].at(1.0)) == (0.0, pytest.approx(0.9999))
