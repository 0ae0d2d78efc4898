"""Losses by their definitions, and models against slow independent forms."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from proxy_tasks.convolution import CNN
from proxy_tasks.models import MLP
from proxy_tasks.objectives import Classification, Contrastive, MaskedClassification
from proxy_tasks.quadratic import Quadratic
from proxy_tasks.registry import TASKS
from proxy_tasks.transformer import Blocks, CharacterTransformer


class Given:
    """Its output is what it is given as parameters."""

    parameters = multiply_adds = 1

    def init(self, key: jax.Array) -> Any:
        return key

    def apply(self, params: Any, inputs: Any) -> Any:
        return params if params is not None else inputs


def test_masked_classification_is_the_mean_over_what_is_asked() -> None:
    scores = jax.random.normal(jax.random.key(0), (3, 4, 5))
    labels = jnp.array([[1, -1, -1, 2], [-1, 0, -1, -1], [4, 4, 4, -1]])
    loss = MaskedClassification().loss(Given(), scores, (jnp.zeros(3), labels))
    rows, places = np.nonzero(np.asarray(labels) >= 0)
    chosen = (jnp.asarray(scores[rows, places]), jnp.asarray(labels[rows, places]))
    np.testing.assert_allclose(loss, Classification().loss(Given(), chosen[0], chosen), rtol=1e-6)
    share = MaskedClassification().accuracy(Given(), scores, (jnp.zeros(3), labels))
    np.testing.assert_allclose(share, Classification().accuracy(Given(), chosen[0], chosen), rtol=1e-6)


def test_contrastive_loss_by_its_definition() -> None:
    views = [np.asarray(jax.random.normal(jax.random.key(seed), (8, 6)), np.float64) for seed in range(2)]
    first, second = ([v / np.linalg.norm(v) for v in view] for view in views)
    total = 0.0
    for group in (range(4), range(4, 8)):
        for i in group:
            total -= np.log(np.exp(first[i] @ second[i] / 0.5) / sum(np.exp(first[i] @ second[j] / 0.5) for j in group))
            total -= np.log(np.exp(first[i] @ second[i] / 0.5) / sum(np.exp(first[j] @ second[i] / 0.5) for j in group))
    batch = tuple(jnp.asarray(view, jnp.float32) for view in views)
    objective = Contrastive(group=4, temperature=0.5)
    loss = jax.jit(lambda batch: objective.loss(Given(), None, batch))(batch)
    np.testing.assert_allclose(loss, total / 16, rtol=1e-5)


def test_groups_fit_the_splits_of_every_contrastive_task() -> None:
    for task in TASKS.values():
        if isinstance(task.objective, Contrastive):
            sizes = [task.batch_size, len(task.data.validation[0]), len(task.data.test[0])]
            assert all(size % task.objective.group == 0 for size in sizes), task.name


def test_sliced_convolutions_equal_those_of_jax() -> None:
    model = CNN(9, (4, 3), 5, colours=2)
    params = jax.jit(model.init)(jax.random.key(1))
    inputs = jax.random.normal(jax.random.key(2), (6, 9 * 9 * 2))
    values = inputs.reshape(6, 9, 9, 2)
    for layer, (rows, columns) in zip(params, model.kernels, strict=False):
        kernel = layer["w"].reshape(3, 3, rows // 9, columns)
        values = lax.conv_general_dilated(
            values, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        values = jax.nn.relu(values + layer["b"][None, None, None, :])
    expected = values.reshape(6, -1) @ params[-1]["w"] + params[-1]["b"][None, :]
    np.testing.assert_allclose(jax.jit(model.apply)(params, inputs), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("causal", [True, False])
def test_a_causal_transformer_does_not_look_ahead(causal: bool) -> None:
    model = CharacterTransformer(7, Blocks(8, 2, 2, 6, causal=causal))
    params = jax.jit(model.init)(jax.random.key(3))
    tokens = jnp.array([[1, 2, 3, 4, 5, 6]])
    apply = jax.jit(model.apply)
    before, after = apply(params, tokens), apply(params, tokens.at[0, 4].set(0))
    changed = np.abs(np.asarray(before - after)).max(axis=(0, 2)) > 1e-6
    assert changed.tolist() == ([False] * 4 + [True] * 2 if causal else [True] * 6)


def test_the_quadratic_has_its_spectrum_and_its_noise() -> None:
    model = Quadratic(6, decay=1.5, noise=0.3)
    still = jnp.zeros((1, 6))
    curvature = jax.hessian(lambda w: model.apply({"w": w}, still)[0])(jnp.zeros(6))
    np.testing.assert_allclose(np.linalg.eigvalsh(curvature)[::-1], np.arange(1, 7) ** -1.5, rtol=1e-5)
    assert np.abs(curvature - np.diag(np.diag(curvature))).max() > 0.05
    noise = jax.grad(lambda w: model.apply({"w": w}, jnp.arange(6.0)[None])[0])(jnp.zeros(6))
    np.testing.assert_allclose(noise, 0.3 * np.arange(6.0), rtol=1e-6)


def test_relu_and_tanh_perceptrons_start_at_the_right_size() -> None:
    for activation, expected in (("relu", 2.0), ("tanh", 1.0)):
        layers = MLP((400, 300), activation).init(jax.random.key(4))  # type: ignore[arg-type]
        np.testing.assert_allclose(float(jnp.var(layers[0]["w"])) * 400, expected, rtol=0.02)
