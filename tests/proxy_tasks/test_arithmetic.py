"""Multiply-adds of products are counted in the trace: through loops, branches and calls."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from optsearch.proxy_tasks.arithmetic import multiply_adds
from optsearch.proxy_tasks.registry import TASKS

A, B = np.ones((3, 5), np.float32), np.ones((5, 7), np.float32)
IMAGES, KERNELS = np.ones((2, 8, 8, 3), np.float32), np.ones((3, 3, 3, 4), np.float32)


def convolution(images: jax.Array, kernels: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(images, kernels, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


@pytest.mark.parametrize(
    ("function", "arguments", "count"),
    [
        (jnp.matmul, (A, B), 3 * 5 * 7),
        (jax.jit(jnp.matmul), (A, B), 3 * 5 * 7),
        (lambda a, b: jnp.exp(a) + a.sum(), (A, B), 0),
        (lambda a, b: lax.scan(lambda c, _: (c @ b @ b.T, None), a, length=4)[0], (A, B), 4 * 2 * 3 * 5 * 7),
        (lambda a, b: lax.cond(a.sum() > 0, lambda: a @ b, lambda: a @ b @ b.T @ b), (A, B), 3 * 3 * 5 * 7),
        (jax.vmap(jnp.matmul, (0, None)), (np.stack([A, A]), B), 2 * 3 * 5 * 7),
        (convolution, (IMAGES, KERNELS), 2 * 8 * 8 * 4 * 3 * 3 * 3),
    ],
)
def test_products_are_counted(function: object, arguments: tuple[np.ndarray, ...], count: int) -> None:
    assert multiply_adds(function, *arguments) == count  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", ["ae", "digits", "vit"])
def test_shipped_models_say_what_is_counted(name: str) -> None:
    task = TASKS[name]
    batch = tuple(column[: task.batch_size] for column in task.data.train)
    counted = multiply_adds(task.loss, jax.eval_shape(task.init, jax.random.key(0)), batch)
    assert 0.9 <= counted / (task.objective.passes * task.model.multiply_adds * task.batch_size) <= 1.1
