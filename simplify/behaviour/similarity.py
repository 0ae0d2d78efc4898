"""Behavioural similarity to known optimizers, and influence of each statement, on a common gradient stream.

Similarity is the `step_distance` of `optsearch.dsl.directions`: it ignores step sizes. The
deduplication of `optsearch.selection.behaviour` uses the other distance, on the problem of a training run.

The parameters of the stream have gradients that differ by up to three orders of magnitude, with noise, a drift and a
sign change, so that momentum, adaptation and memory are all visible. Weights are small and fixed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from optsearch.dsl.dataflow import liveness, prune
from optsearch.dsl.directions import step_directions, step_distance
from optsearch.dsl.functions import FUNCTIONS
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program, Statement
from optsearch.dsl.verify import Violation, check
from optsearch.simplify.behaviour.simulation import Array, simulate

STEPS, SHAPE = 150, (4, 6)
PARAMETERS = 24
"""Steps of the stream, and its parameters, which form a matrix."""

_SCHEDULE = 0.7
"""Value of the schedule; not 1, where the use of the schedule would be invisible."""

_KEPT = 100
"""Number of compared updates: the last ones, after the EMAs have warmed up."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """Attributes:
    name: name of a library program.
    distance: `step_distance` to it: 0 for equal directions at every step, 1 for unrelated ones, 2 for opposite ones;
        invariant to a factor between the programs.
    """

    name: str
    distance: float


@dataclass(frozen=True, slots=True)
class Influence:
    """Attributes:
    line: line number of the statement in the program's text, from 1.
    statement: its text.
    change: relative change of the updates without the statement; 0 for no change, None if the updates are not finite or
        the statement cannot be replaced. The smallest change over all replacements.
    """

    line: int
    statement: str
    change: float | None


@lru_cache(maxsize=256)
def likenesses(program: Program) -> tuple[Likeness, ...]:
    """Distances to all library programs, nearest first; programs without finite updates are omitted.

    Args:
        program: a verified program.
    """
    mine = step_directions(_response(program))
    if mine is None:
        return ()
    found: list[Likeness] = []
    for name in LIBRARY:
        other = step_directions(_response(LIBRARY[name]))
        if other is not None:
            found.append(Likeness(name, step_distance(mine, other)))
    return tuple(sorted(found, key=lambda like: (round(like.distance, 12), like.name)))


@lru_cache(maxsize=256)
def influences(program: Program) -> tuple[Influence, ...]:
    """Influence of each live statement on the updates.

    Args:
        program: a verified program.
    """
    mine = _response(program)
    alive = liveness(program).statements
    rows: list[Influence] = []
    for place, statement in enumerate(program.body):
        if alive[place]:
            changes = [_change(mine, _response(prune(other))) for other in _without(program, place)]
            known = [change for change in changes if change is not None]
            rows.append(Influence(place + 2, str(statement), min(known, default=None)))
    return tuple(rows)


def likeness_words(found: tuple[Likeness, ...]) -> str:
    """Describes the nearest library programs in one sentence."""
    if not found:
        return "Its updates on the common stream are not finite, so it resembles no known optimizer."
    nearest = found[0]
    if nearest.distance < 0.005:
        return f"On the common stream its updates have the direction of {nearest.name}'s."
    others = ", ".join(f"{like.name} {like.distance:.2f}" for like in found[1:3])
    words = f"Nearest known optimizer by behaviour: {nearest.name} at {nearest.distance:.2f}"
    return f"{words} (then {others}; 1 is unrelated)."


def influence_words(rows: tuple[Influence, ...]) -> str:
    """Describes the statements with negligible influence."""
    idle = [row for row in rows if row.change is not None and row.change < 0.01]
    if not rows or not idle:
        return "Every live statement changes the updates by more than 1 % on the common stream."
    lines = ", ".join(str(row.line) for row in idle)
    change = "changes" if len(idle) == 1 else "change"
    return f"Of {len(rows)} live statements {len(idle)} {change} the updates by less than 1 %: line {lines}."


@lru_cache(maxsize=256)
def _response(program: Program) -> Array:
    """The last updates on the common stream, ``(steps, parameters)``."""
    rng = np.random.default_rng(5)
    sizes = 10.0 ** np.linspace(-2.0, 1.0, PARAMETERS)
    drift = 0.5 * np.where(np.arange(STEPS) < 2 * STEPS // 3, 1.0, -1.0)
    gradients = (rng.standard_normal((STEPS, PARAMETERS)) + drift[:, None]) * sizes
    weights = 0.1 * rng.standard_normal((1, PARAMETERS))
    updates, _ = simulate(program, lambda t, _: gradients[t][None], weights, STEPS, lr=_SCHEDULE, shape=SHAPE)
    return np.asarray(updates[-_KEPT:, 0])


def _change(before: Array, after: Array) -> float | None:
    with np.errstate(all="ignore"):
        change = float(np.sqrt(np.sum((after - before) ** 2) / np.sum(before**2)))
    return change if math.isfinite(change) else None


def _without(program: Program, place: int) -> Iterator[Program]:
    """Programs in which a statement is removed, or replaced by one of its operands."""
    body = program.body
    target, function, args = body[place]
    choices: list[tuple[Statement, ...]] = [()]
    if FUNCTIONS[function].arity:
        choices += [(Statement(target, "multiply", (arg, 1.0)),) for arg in dict.fromkeys(args) if isinstance(arg, str)]
    for choice in choices:
        other = Program(program.state, (*body[:place], *choice, *body[place + 1 :]))
        if other != program:
            try:
                check(other)
            except Violation:
                continue
            yield other
