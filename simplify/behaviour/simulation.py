"""Batched float64 simulation of one program, for several gradients, weights or learning rates at once.

Each *lane* is an independent parameter tree with one array, so that functions of the whole tree have the same result as
in a separate run.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from optsearch.dsl.dataflow import prune
from optsearch.dsl.program import LR, OUTPUT, G, Program, W
from optsearch.dsl.walk import walk
from optsearch.simplify.behaviour.lanes import Array, LanesDomain

Gradient = Callable[[int, Array], Array]
"""Maps the step, from 0, and the weights ``(lanes, parameters)`` to their gradient of the same shape."""


def simulate(
    program: Program,
    gradient: Gradient,
    weights: Array,
    steps: int,
    *,
    lr: Array | float = 1.0,
    move: bool = False,
    shape: tuple[int, ...] | None = None,
) -> tuple[Array, Array]:
    """Runs an optimizer in every lane.

    Args:
        program: a verified program.
        gradient: returns the gradient of each step.
        weights: initial weights, ``(lanes, parameters)``.
        steps: number of steps.
        lr: value of the learning-rate schedule, constant over steps: a number, or ``(lanes, 1)``.
        move: if True, updates are subtracted from the weights; otherwise the weights are fixed.
        shape: shape of the array that a lane's parameters form, for functions of matrices; None for a vector.

    Returns:
        The updates, ``(steps, lanes, parameters)``, and the final weights, ``(lanes, parameters)``; overflow gives
        infinity or NaN.
    """
    program = prune(program)
    domain = LanesDomain(len(weights), weights.shape[1:] if shape is None else shape)
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
