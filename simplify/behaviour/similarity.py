"""Behavioural similarity to known optimizers, and influence of each statement, on a common gradient stream.

Similarity is the `step_distance` of `optsearch.dsl.directions`: it ignores step sizes. The
deduplication of `optsearch.selection.behaviour` uses the other distance, on the problem of a training run.

The parameters of the stream have gradients that differ by up to three orders of magnitude, with noise, a drift and a
sign change, so that momentum, adaptation and memory are all visible. Weights are small and fixed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from optsearch.dsl.dataflow import liveness, prune
from optsearch.dsl.directions import step_directions, step_distance
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program, Statement
from optsearch.dsl.verify import Violation, check
from optsearch.simplify.behaviour.simulation import Array, Replacement, simulate

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
    changes: dict[int, list[float]] = {place: [] for place in range(len(program.body)) if alive[place]}
    replacements = _replacements(program, changes)
    responses = _responses(program, replacements) if replacements else ()
    for replacement, updates in zip(replacements, responses, strict=True):
        change = _change(mine, updates)
        if change is not None:
            changes[replacement.place].append(change)
    return tuple(
        Influence(place + 2, str(program.body[place]), min(known, default=None)) for place, known in changes.items()
    )


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
    return _responses(prune(program))[0]


def _responses(program: Program, replaced: Sequence[Replacement] = ()) -> list[Array]:
    """The last updates on the common stream for each replacement, or of the program itself without replacements."""
    rng = np.random.default_rng(5)
    sizes = 10.0 ** np.linspace(-2.0, 1.0, PARAMETERS)
    drift = 0.5 * np.where(np.arange(STEPS) < 2 * STEPS // 3, 1.0, -1.0)
    gradients = (rng.standard_normal((STEPS, PARAMETERS)) + drift[:, None]) * sizes
    weights = np.repeat(0.1 * rng.standard_normal((1, PARAMETERS)), max(1, len(replaced)), axis=0)
    updates, _ = simulate(
        program,
        lambda t, _: np.broadcast_to(gradients[t], weights.shape),
        weights,
        STEPS,
        lr=_SCHEDULE,
        shape=SHAPE,
        replaced=replaced,
    )
    return [updates[-_KEPT:, lane] for lane in range(len(weights))]


def _change(before: Array, after: Array) -> float | None:
    with np.errstate(all="ignore"):
        change = float(np.sqrt(np.sum((after - before) ** 2) / np.sum(before**2)))
    return change if math.isfinite(change) else None


def _replacements(program: Program, places: Iterable[int]) -> list[Replacement]:
    """Valid replacements of statements by their operands or by the target's earlier value, which removes them."""
    body = program.body
    found: list[Replacement] = []
    for place in places:
        statement = body[place]
        for source in dict.fromkeys((statement.target, *(arg for arg in statement.args if isinstance(arg, str)))):
            instead = Statement(statement.target, "multiply", (source, 1.0))
            if instead == statement and source != statement.target:
                continue
            try:
                check(Program(program.state, (*body[:place], instead, *body[place + 1 :])))
            except Violation:
                continue
            found.append(Replacement(place, source))
    return found
