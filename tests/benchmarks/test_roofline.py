"""Counts of kernels, bytes and operations are exact on known functions, and predictions follow from them."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

kernels: ModuleType = import_module("kernels")
roofline: ModuleType = import_module("roofline")

SQUARE = jax.ShapeDtypeStruct((100, 100), np.float32)
PRODUCT = 2 * 100**3


def counted(function: Any, *arguments: Any, platform: str = "cuda") -> Any:
    return kernels.counted(jax.jit(function).trace(*arguments).lower(lowering_platforms=(platform,)))


def test_a_chain_of_products() -> None:
    region = counted(lambda x: ((x @ x) @ x) @ x, SQUARE)
    assert (region.kernels, region.bytes, region.operations) == (3, 3 * 3 * 40_000, 3 * PRODUCT)


def test_elementwise_operations_are_fused_into_one_kernel() -> None:
    assert counted(lambda x: jnp.tanh(x * 2.0) + x, SQUARE).kernels == 1
    assert counted(lambda x: jnp.sum(jnp.exp(x) * x), SQUARE).kernels == 1, "fused with the sum"
    assert counted(lambda x: jnp.tanh(x @ x + 1.0) @ x, SQUARE).kernels == 3, "product, activation, product"


@pytest.mark.parametrize("layers", [1, 2, 5])
def test_the_body_of_a_loop_is_counted_once(layers: int) -> None:
    def looped(x: Any) -> Any:
        def body(_: Any, y: Any) -> Any:
            for _ in range(layers):
                y = y @ x
            return y

        return lax.fori_loop(0, 7, body, x)

    (loop,) = counted(looped, SQUARE).loops
    assert (loop.kernels, loop.operations) == (layers, layers * PRODUCT)


def test_branches_are_counted_one_by_one() -> None:
    def chosen(index: Any, x: Any) -> Any:
        return lax.switch(index, [lambda x: x + 1.0, lambda x: x @ x, lambda x: (x @ x) @ x], x)

    (branches,) = counted(chosen, np.int32(0), SQUARE).branches
    assert [branch.kernels for branch in branches] == [1, 1, 2]


def test_batches_of_products() -> None:
    left, right = (jax.ShapeDtypeStruct(shape, np.float32) for shape in ((3, 10, 20), (3, 20, 40)))
    assert counted(jnp.matmul, left, right).operations == 3 * 2 * 10 * 20 * 40


def test_the_platform_does_not_change_the_counts_of_products() -> None:
    assert counted(lambda x: x @ x, SQUARE) == counted(lambda x: x @ x, SQUARE, platform="tpu")


def test_operations_of_gradients_are_those_of_the_task() -> None:
    """Three times the multiply-adds of a forward pass, less the first layer's gradient of its input."""
    from optsearch.proxy_tasks.registry import get_task

    task = get_task("ae")
    found = roofline.counts("ae").gradients.operations / roofline.COUNTED_LANES
    assert 0.8 <= found / (2 * task.compute / task.steps) <= 1.1


def test_predictions_follow_from_the_rates() -> None:
    slow, fast = (roofline.Device("GPU", rate, 1e15, 1e12, "") for rate in (1e10, 1e11))
    some, more = (roofline.predict("ae", 256, device) for device in (slow, fast))
    assert some.limit == "bytes"
    assert 5 <= some.together_s / more.together_s <= 10, "ten times the rate, and launches as before"
    assert some.together_over_gradients > 1
    small = roofline.Device("GPU", 1e12, 1e13, 1e6, "")
    assert roofline.predict("ae", 256, small).candidates_per_second is None, "out of memory"


def test_one_lane_is_limited_by_launches() -> None:
    assert roofline.predict("ae", 1, roofline.DEVICES[0]).limit == "launches"
