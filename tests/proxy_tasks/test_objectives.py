"""Losses match their definitions, and models match slow independent implementations."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from optsearch.proxy_tasks.models.convolution import CNN
from optsearch.proxy_tasks.models.coordinates import CoordinateMLP
from optsearch.proxy_tasks.models.quadratic import Quadratic
from optsearch.proxy_tasks.models.tabular import RowTransformer
from optsearch.proxy_tasks.models.transformer import Blocks, CharacterTransformer
from optsearch.proxy_tasks.objectives import Contrastive, MaskedClassification
from optsearch.proxy_tasks.registry import TASKS


class Given:
    """Its output is what it is given as parameters."""

    parameters = multiply_adds = 1

    def init(self, key: jax.Array) -> Any:
        return key

    def apply(self, params: Any, inputs: Any) -> Any:
        return params if params is not None else inputs


def drawn(model: Any) -> Any:
    """Parameters without compiling what draws them."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: (0.3 * rng.standard_normal(leaf.shape)).astype(np.float32), shapes)


def test_masked_classification_is_the_mean_over_what_is_asked() -> None:
    scores = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    labels = np.array([[1, -1, -1, 2], [-1, 0, -1, -1], [4, 4, 4, -1]], np.int32)
    objective = MaskedClassification()
    loss, share = jax.jit(
        lambda batch: (objective.loss(Given(), scores, batch), objective.accuracy(Given(), scores, batch))
    )((np.zeros(3), labels))
    rows, places = np.nonzero(labels >= 0)
    logarithms = scores - np.log(np.exp(scores).sum(axis=2, keepdims=True))
    np.testing.assert_allclose(loss, -logarithms[rows, places, labels[rows, places]].mean(), rtol=1e-5)
    np.testing.assert_allclose(share, (scores.argmax(axis=2) == labels)[rows, places].mean(), rtol=1e-6)


def test_contrastive_loss_by_its_definition() -> None:
    views = np.random.default_rng(1).normal(size=(2, 8, 6))
    first, second = ([v / np.linalg.norm(v) for v in view] for view in views)
    total = 0.0
    for group in (range(4), range(4, 8)):
        for i in group:
            total -= np.log(np.exp(first[i] @ second[i] / 0.5) / sum(np.exp(first[i] @ second[j] / 0.5) for j in group))
            total -= np.log(np.exp(first[i] @ second[i] / 0.5) / sum(np.exp(first[j] @ second[i] / 0.5) for j in group))
    batch = tuple(view.astype(np.float32) for view in views)
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
    params = drawn(model)
    inputs = np.random.default_rng(2).normal(size=(6, 9 * 9 * 2)).astype(np.float32)

    def expected(params: Any) -> jax.Array:
        values = jnp.asarray(inputs).reshape(6, 9, 9, 2)
        for layer, (rows, columns) in zip(params, model.kernels, strict=False):
            kernel = layer["w"].reshape(3, 3, rows // 9, columns)
            names = ("NHWC", "HWIO", "NHWC")
            values = lax.conv_general_dilated(values, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=names)
            values = jax.nn.relu(values + layer["b"][None, None, None, :])
        return values.reshape(6, -1) @ params[-1]["w"] + params[-1]["b"][None, :]

    np.testing.assert_allclose(*jax.jit(lambda p: (model.apply(p, inputs), expected(p)))(params), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("causal", [True, False])
def test_a_causal_transformer_does_not_look_ahead(causal: bool) -> None:
    model = CharacterTransformer(7, Blocks(8, 1, 2, 6, causal=causal))
    params = drawn(model)
    tokens, other = np.array([[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 0, 6]], np.int32)[:, None]
    apply = jax.jit(model.apply)
    before, after = apply(params, tokens), apply(params, other)
    changed = np.abs(np.asarray(before) - np.asarray(after)).max(axis=(0, 2)) > 1e-6
    assert changed.tolist() == ([False] * 4 + [True] * 2 if causal else [True] * 6)


def test_a_coordinate_network_sees_sines_and_cosines() -> None:
    model = CoordinateMLP(2, 3, (5,), 4)
    params = drawn(model)
    points = np.random.default_rng(3).uniform(-1, 1, (6, 2)).astype(np.float32)
    waves = [[f(np.pi * 2.0**k * x) for f in (np.sin, np.cos) for x in point for k in range(3)] for point in points]
    hidden = np.maximum(np.array(waves) @ params[0]["w"] + params[0]["b"], 0.0)
    expected = hidden @ params[1]["w"] + params[1]["b"]
    np.testing.assert_allclose(jax.jit(model.apply)(params, points), expected, rtol=1e-4, atol=1e-5)


def test_every_column_of_a_row_is_a_token() -> None:
    model = RowTransformer((3, 2), 2, 1, Blocks(8, 1, 2, 4, causal=False))
    params = drawn(model)
    rows = np.array([[2, 0, 0.5, -1.0], [0, 1, 2.0, 0.0]], np.float32)
    vectors = params["embedding"]
    tokens = [[vectors[int(a)], vectors[3 + int(b)], c * vectors[5], d * vectors[6]] for a, b, c, d in rows]

    def expected(params: Any) -> jax.Array:
        return model.blocks.apply(params["blocks"], jnp.asarray(tokens)).mean(axis=1) @ params["scores"]

    np.testing.assert_allclose(*jax.jit(lambda p: (model.apply(p, rows), expected(p)))(params), rtol=1e-5, atol=1e-6)


def test_the_quadratic_has_its_spectrum_and_its_noise() -> None:
    model = Quadratic(6, decay=1.5, noise=0.3)
    noise, still = np.arange(6, dtype=np.float32), np.zeros(6, np.float32)
    gradient = jax.grad(lambda w, z: model.apply({"w": w}, z[None])[0])
    curvature, slope = jax.jit(lambda w: (jax.jacfwd(gradient)(w, still), gradient(w, noise)))(still)
    np.testing.assert_allclose(np.linalg.eigvalsh(curvature)[::-1], np.arange(1, 7) ** -1.5, rtol=1e-5)
    assert np.abs(curvature - np.diag(np.diag(curvature))).max() > 0.05
    np.testing.assert_allclose(slope, 0.3 * noise, rtol=1e-6)
