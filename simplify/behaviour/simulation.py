"""Batched float64 simulation of one program, for several gradients, weights, learning rates or changes at once.

Each *lane* is an independent parameter tree with one array, so that functions of the whole tree have the same result as
in a separate run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from optsearch.dsl.dataflow import prune
from optsearch.dsl.functions import FUNCTIONS
from optsearch.dsl.program import LR, OUTPUT, G, Program, W
from optsearch.dsl.walk import walk
from optsearch.simplify.behaviour.lanes import Array, LanesDomain

Gradient = Callable[[int, Array], Array]
"""Maps the step, from 0, and the weights ``(lanes, parameters)`` to their gradient of the same shape."""


class Replacement(NamedTuple):
    """A statement that assigns the value of a variable in place of its result.

    Attributes:
        place: index of the statement in the body.
        source: name of the variable; the statement's own target keeps its earlier value.
    """

    place: int
    source: str


def simulate(
    program: Program,
    gradient: Gradient,
    weights: Array,
    steps: int,
    *,
    lr: Array | float = 1.0,
    move: bool = False,
    shape: tuple[int, ...] | None = None,
    replaced: Sequence[Replacement] = (),
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
        replaced: for each lane the statement that is replaced in it; empty for the program itself in every lane.
            Every lane's program is valid.

    Returns:
        The updates, ``(steps, lanes, parameters)``, and the final weights, ``(lanes, parameters)``; overflow gives
        infinity or NaN.
    """
    program = program if replaced else prune(program)
    domain = LanesDomain(len(weights), weights.shape[1:] if shape is None else shape)
    changes = _by_place(replaced)
    rates = np.broadcast_to(np.asarray(lr, np.float64), (len(weights), 1))
    state = {name: np.zeros_like(weights) for name in program.state}
    updates = np.empty((steps, *weights.shape))
    with np.errstate(all="ignore"):
        for number in range(steps):
            inputs = {W: weights, G: gradient(number, weights), **state, LR: rates}
            values = _walk_replaced(program, inputs, domain, changes) if changes else walk(program, inputs, domain)
            state = {name: values[name] for name in program.state}
            updates[number] = values[OUTPUT]
            if move:
                weights = weights - updates[number]
    return updates, weights


def _by_place(replaced: Sequence[Replacement]) -> dict[int, list[tuple[int, str]]]:
    """The lanes in which each statement is replaced, and the variables that replace it."""
    changes: dict[int, list[tuple[int, str]]] = {}
    for lane, (place, source) in enumerate(replaced):
        changes.setdefault(place, []).append((lane, source))
    return changes


def _walk_replaced(
    program: Program, inputs: Mapping[str, Array], domain: LanesDomain, changes: Mapping[int, list[tuple[int, str]]]
) -> dict[str, Array]:
    """The same as ``walk``, with replaced statements."""
    values = dict(inputs)
    for place, (target, name, args) in enumerate(program.body):
        operands = [values[arg] if isinstance(arg, str) else domain.constant(arg) for arg in args]
        result = domain.apply(FUNCTIONS[name], operands)
        if place in changes:
            result = _with_lanes(result, {lane: values[source] for lane, source in changes[place]}, len(inputs[W]))
        values[target] = result
    return values


def _with_lanes(result: Array, others: Mapping[int, Array], lanes: int) -> Array:
    """A copy of a result in which some lanes have the values of other variables."""
    shape = np.broadcast_shapes((lanes, 1), np.shape(result), *{np.shape(other) for other in others.values()})
    copy = np.array(np.broadcast_to(result, shape))
    for lane, other in others.items():
        copy[lane] = other if np.ndim(other) == 0 else other[lane if len(other) > 1 else 0]
    return copy
