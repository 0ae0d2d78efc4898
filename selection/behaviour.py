"""Behavioural deduplication: compares the updates of programs on a small fixed problem.

All programs receive the same weights and gradients, those of a noisy quadratic under plain gradient descent, and
produce an update at every step. Learning rate and weight decay are tuned before any comparison, so only the direction
of the sequence of updates counts, not its norm: programs are compared by the `sequence_distance` of
`optsearch.dsl.directions`. The similarity to known optimizers that reports show (`optsearch.simplify.behaviour`) uses
the other distance, on a stream of gradients that is more diverse than those of a training run.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from optsearch.dsl.dataflow import prune
from optsearch.dsl.directions import sequence_direction, sequence_distance
from optsearch.dsl.execute import reference_step
from optsearch.dsl.program import Program
from optsearch.selection.space import decay_constant

STEPS = 40
"""Number of steps."""

SHAPES = ((6,), (4, 3))
"""Shapes of the two parameters."""


@cache
def _problem() -> tuple[tuple[list[np.ndarray], list[np.ndarray], float], ...]:
    """Weights, gradients and learning rate of each step."""
    rng = np.random.default_rng(20_23)
    weights = [rng.normal(size=shape) for shape in SHAPES]
    curvature = [10.0 ** rng.uniform(-2.0, 0.0, size=shape) for shape in SHAPES]
    steps: list[tuple[list[np.ndarray], list[np.ndarray], float]] = []
    for number in range(STEPS):
        gradients = [c * w + 0.1 * rng.normal(size=w.shape) for w, c in zip(weights, curvature, strict=True)]
        steps.append((weights, gradients, float(np.cos(0.5 * np.pi * number / STEPS))))
        weights = [w - 0.3 * g for w, g in zip(weights, gradients, strict=True)]
    return tuple(steps)


def direction(program: Program) -> np.ndarray | None:
    """Direction of the update sequence: a unit vector [steps * parameters]; None if it is zero or not finite."""
    program = prune(program)
    state = [[np.zeros(shape) for shape in SHAPES] for _ in program.state]
    updates: list[np.ndarray] = []
    for weights, gradients, rate in _problem():
        update, state = reference_step(program, weights, gradients, state, rate)
        updates += [np.broadcast_to(leaf, shape).ravel() for leaf, shape in zip(update, SHAPES, strict=True)]
    return sequence_direction(np.concatenate(updates))


def stand_ins(programs: Sequence[Program], distance: float) -> list[int]:
    """Finds for each program the first one that behaves equally.

    Args:
        programs: programs, best first.
        distance: maximum distance between two directions, in [0, 2], at which behaviours count as equal; 0 keeps all.

    Returns:
        For each program the index of that program: its own if it behaves differently from all earlier ones. Programs
        with zero or non-finite updates stand for themselves. A program with weight decay is never equal to a program
        without a tunable one.
    """
    found: list[int] = []
    directions: dict[bool, list[tuple[int, np.ndarray]]] = {True: [], False: []}
    for index, program in enumerate(programs):
        mine, alike = direction(program), directions[decay_constant(program) is not None]
        same = index
        if mine is not None:
            same = next((other for other, its in alike if sequence_distance(mine, its) < distance), index)
            if same == index:
                alike.append((index, mine))
        found.append(same)
    return found
