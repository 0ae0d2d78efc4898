"""Many small worlds side by side: one program, run in float64 on several gradients, weights or rates at once.

A probe asks the same question for many scales, curvatures or learning rates. Each is a *lane*: a parameter tree of one
array that knows nothing of the other lanes, so that functions of the whole tree mean there what they mean alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from optsearch.dsl.dataflow import prune
from optsearch.dsl.functions import LEAVES, Function, Scope
from optsearch.dsl.program import LR, OUTPUT, G, Program, W
from optsearch.dsl.walk import walk

Array = np.ndarray[Any, np.dtype[np.float64]]

Gradient = Callable[[int, Array], Array]
"""From the step, counted from 0, and the weights ``(lanes, parameters)`` to their gradient of the same shape."""


def simulate(
    program: Program, gradient: Gradient, weights: Array, steps: int, *, lr: Array | float = 1.0, move: bool = False
) -> tuple[Array, Array]:
    """Runs an optimizer in every lane.

    Args:
        program: a verified program.
        gradient: gives the gradient of each step.
        weights: where the lanes start, ``(lanes, parameters)``.
        steps: number of steps.
        lr: value of the learning-rate schedule, constant over steps: a number, or ``(lanes, 1)``.
        move: whether updates are subtracted from the weights; without, the weights stay where they are.

    Returns:
        The updates, ``(steps, lanes, parameters)``, and the weights at the end, ``(lanes, parameters)``; what
        overflows is infinite or no number.
    """
    program = prune(program)
    domain = _LanesDomain(len(weights))
    rates = np.broadcast_to(np.asarray(lr, np.float64), (len(weights), 1))
    state = {name: np.zeros_like(weights) for name in program.state}
    updates = np.empty((steps, *weights.shape))
    with np.errstate(all="ignore"):
        for number in range(steps):
            inputs = {W: weights, G: gradient(number, weights), **state, LR: rates}
            values = walk(program, inputs, domain)
            state = {name: values[name] for name in program.state}
            updates[number] = values[OUTPUT]
            if move:
                weights = weights - updates[number]
    return updates, weights


@lru_cache(maxsize=256)
def resting_weight(program: Program) -> float:
    """Where weights stand still while a program is asked about gradients.

    Zero, which keeps weight decay silent; one for a program that leaves weights of zero where they are, since its steps
    are scaled by the weight.

    Args:
        program: a verified program.
    """
    noise = np.random.default_rng(4).standard_normal((8, 1, 4))
    updates, _ = simulate(program, lambda t, _: noise[t], np.zeros((1, 4)), len(noise))
    return float(not updates.any())


class _LanesDomain:
    """Leaves are ``(lanes, parameters)``, scalars ``(lanes, 1)``; reductions look at one lane at a time."""

    def __init__(self, lanes: int):
        self._lanes = lanes

    def constant(self, value: float) -> Any:
        return np.float64(value)

    def apply(self, function: Function, operands: list[Any]) -> Any:
        if function.scope is Scope.ELEMENT:
            return function.reference(*operands)
        rows = [
            np.broadcast_to(operand, (self._lanes, np.shape(operand)[-1] if np.ndim(operand) else 1))
            for operand in operands
        ]
        results: list[Any] = []
        for lane in range(self._lanes):
            args: list[Any] = []
            for row, kinds in zip(rows, function.operands, strict=True):
                leaf = kinds == LEAVES
                args.append(
                    [row[lane]] if leaf and function.scope is Scope.TREE else row[lane] if leaf else row[lane, 0]
                )
            result = function.reference(*args)
            results.append(np.ravel(result[0] if isinstance(result, list) else result))
        return np.stack(results)
