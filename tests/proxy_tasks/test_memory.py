"""Device memory by arithmetic on shapes: exact on known functions, and near what XLA reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from optsearch.proxy_tasks.execution import engine
from optsearch.proxy_tasks.execution.batches import each_lane, gradients
from optsearch.proxy_tasks.lowering import abstract_batches, example_scripts, trace_loop
from optsearch.proxy_tasks.memory import LaneMemory, lane_memory, peak_bytes
from optsearch.proxy_tasks.registry import TASKS

SQUARE = jax.ShapeDtypeStruct((100, 100), np.float32)
ONE = 40_000
"""Bytes of a square."""

NEAR = (0.6, 1.6)
"""Bounds of our arithmetic over XLA's report, for one part of a run."""

AT_ONCE = 4.5
"""Bound of XLA's report over ours for whole runs: on a CPU, XLA does the three evaluations at the end side by side."""


def peak(function: Callable[..., Any], *arguments: Any) -> int:
    return peak_bytes(jax.jit(function).trace(*arguments).jaxpr.jaxpr)


def test_a_chain_of_products_holds_two_at_a_time() -> None:
    assert peak(lambda x: x @ x, SQUARE) == ONE
    assert peak(lambda x: ((x @ x) @ x) @ x, SQUARE) == 2 * ONE


def test_elementwise_operations_store_only_what_is_read_from_memory() -> None:
    assert peak(lambda x: jnp.tanh(x * 2.0) + 1.0, SQUARE) == ONE, "the result"
    assert peak(lambda x: (jnp.tanh(x * 2.0) + 1.0) @ x, SQUARE) == 2 * ONE, (
        "the operand of the product, and the result"
    )
    assert peak(lambda x: jnp.sum(jnp.exp(x) * x), SQUARE) == 4, "a number"


def test_what_is_needed_later_stays() -> None:
    def both(x: Any) -> Any:
        first = x @ x
        return (first @ x) @ first

    assert peak(both, SQUARE) == 3 * ONE


def test_a_loop_keeps_its_carry_in_one_place() -> None:
    def looped(x: Any) -> Any:
        return lax.fori_loop(0, 10, lambda i, y: lax.dynamic_update_slice(y, jnp.ones((1, 100)), (i, 0)), x @ x)

    assert ONE <= peak(looped, SQUARE) < 1.1 * ONE


def test_the_larger_branch_counts() -> None:
    def chosen(x: Any) -> Any:
        return lax.cond(x[0, 0] > 0.0, lambda x: (x @ x) @ x, lambda x: x, x)

    assert 2 * ONE <= peak(chosen, SQUARE) < 2.1 * ONE


@pytest.mark.parametrize("name", ["ae", "lmmlp", "lm"])
def test_parts_of_a_run_are_near_what_xla_reports(name: str) -> None:
    lanes, task = 4, TASKS[name]
    batches = abstract_batches(task, lanes)
    layout = engine.Layout.of(jax.tree.map(lambda w: jax.ShapeDtypeStruct(w.shape[1:], w.dtype), batches.weights))
    script = example_scripts(lanes, matrices=False, grouped=True).step
    file = jax.ShapeDtypeStruct((lanes, engine.ROWS, layout.size), np.float32)
    columns = jax.ShapeDtypeStruct((lanes, engine.COLUMNS), np.float32)
    parts: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
        "evaluation": (
            lambda weights, split: each_lane(lambda one: task.loss(one, split), weights),
            (batches.weights, batches.validation),
        ),
        "gradients": (lambda *given: gradients(task, *given), (batches.weights, batches, np.int32(0))),
        "updates": (
            lambda *given: engine.interpret(given[0], layout, *given[1:], matrices=False),
            (script, file, columns),
        ),
    }
    for part, (function, arguments) in parts.items():
        if part == "updates" and name != "ae":
            continue  # the slowest to compile, and the same for every model
        traced = jax.jit(function).trace(*arguments)
        report = traced.lower().compile().memory_analysis()
        ratio = peak_bytes(traced.jaxpr.jaxpr) / (report.temp_size_in_bytes + report.output_size_in_bytes)
        assert NEAR[0] <= ratio <= NEAR[1], f"{name}: {part}: {ratio:.2f}"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ae", "lmmlp", "lm", "vit"])
def test_a_lane_takes_at_least_the_arithmetic(name: str) -> None:
    def reported(lanes: int) -> int:
        report = trace_loop(TASKS[name], lanes).lower().compile().memory_analysis()
        return report.temp_size_in_bytes + report.argument_size_in_bytes

    lane = lane_memory(TASKS[name]).lane
    assert 0.9 * lane <= (reported(4) - reported(2)) / 2 <= AT_ONCE * lane


def test_lanes_that_fit() -> None:
    memory = LaneMemory(shared=1000, lane=90, kept=10)
    assert [memory.lanes_in(bytes_) for bytes_ in (500, 1000, 1099, 1100, 2000)] == [0, 0, 0, 1, 10]
    assert memory.total(10) == 2000


def test_memory_grows_with_the_model() -> None:
    small, large = lane_memory(TASKS["ae"]), lane_memory(TASKS["ae-x100"])
    assert small.lane < large.lane
    assert small.kept < large.kept
    assert small.shared == pytest.approx(large.shared, rel=0.1), "the data are the same"
