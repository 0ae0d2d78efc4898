"""Mutations of constants: a child differs from its parent in the values of constants alone.

They return None if they do not apply to a program, and `INVALID` for a sample that has no effect or leaves the range.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from optsearch.dsl.program import Program, Statement, shortest
from optsearch.search.variation.change import INVALID, Change, Mutation, pick
from optsearch.search.variation.mutation_config import ConstantsConfig

LARGEST = 1e30
"""Maximum absolute value of a mutated constant; squares of larger values overflow in float32."""

RETUNE = (-5.0, 3.0)
"""Range of the base-2 logarithm of the step size of ``retune``, relative to that of ``scale``."""


class ConstantMutations:
    """Mutations of constants.

    Args:
        config: distribution of new constants and step sizes.
    """

    def __init__(self, config: ConstantsConfig):
        self._config = config

    def scale(self, rng: np.random.Generator, program: Program) -> Change | None:
        """Multiplies a constant by a random factor."""
        step = self._config.step
        return _move(rng, program, "scale", lambda c: c != 0.0, lambda c: c * 2.0 ** (step * rng.standard_normal()))

    def complement(self, rng: np.random.Generator, program: Program) -> Change | None:
        """Multiplies the distance of a constant from 1 by a random factor."""
        step, near = self._config.step, self._config.near_one
        return _move(
            rng,
            program,
            "complement",
            lambda c: 0.0 < abs(1.0 - c) < near,
            lambda c: 1.0 - (1.0 - c) * 2.0 ** (step * rng.standard_normal()),
        )

    def redraw(self, rng: np.random.Generator, program: Program) -> Change | None:
        """Replaces a constant by a new one."""
        return _move(rng, program, "redraw", lambda c: True, lambda c: self._config.new.draw(rng))

    def retune(self, rng: np.random.Generator, program: Program) -> Change | None:
        """Changes several constants by factors with a common step size."""
        step = self._config.step * 2.0 ** rng.uniform(*RETUNE)
        body = list(program.body)
        changed: list[int] = []
        for place, (target, function, args) in enumerate(program.body):
            moved = tuple(self._stepped(rng, arg, step) if not isinstance(arg, str) else arg for arg in args)
            if moved != args:
                body[place] = Statement(target, function, moved)
                changed.append(place)
        if not changed:
            return INVALID if any(not isinstance(arg, str) for line in body for arg in line.args) else None
        before, after = ("; ".join(str(lines[place]) for place in changed) for lines in (program.body, body))
        return tuple(body), Mutation("retune", changed[0] + 2, before, after)

    def _stepped(self, rng: np.random.Generator, constant: float, step: float) -> float:
        """Changes a constant with probability 1/2; keeps it if the new value is out of range."""
        if rng.random() < 0.5:
            return constant
        factor = 2.0 ** (step * rng.standard_normal())
        if 0.0 < constant < 1.0:
            moved = shortest(constant * factor / (1.0 - constant + constant * factor))
            return moved if 0.0 < moved < 1.0 else constant
        moved = shortest(constant * factor)
        return moved if math.isfinite(moved) and abs(moved) <= LARGEST else constant


def _move(
    rng: np.random.Generator,
    program: Program,
    name: str,
    applies: Callable[[float], bool],
    move: Callable[[float], float],
) -> Change | None:
    """Changes one constant, sampled uniformly from those to which the mutation applies."""
    places = [
        (index, position, arg)
        for index, statement in enumerate(program.body)
        for position, arg in enumerate(statement.args)
        if not isinstance(arg, str) and applies(arg)
    ]
    if not places:
        return None
    place, position, constant = places[pick(rng, places)]
    moved = shortest(move(constant))
    if not math.isfinite(moved) or abs(moved) > LARGEST or moved == constant:
        return INVALID
    body = program.body
    old = body[place]
    new = Statement(old.target, old.function, (*old.args[:position], moved, *old.args[position + 1 :]))
    return (*body[:place], new, *body[place + 1 :]), Mutation(name, place + 2, str(old), str(new))
