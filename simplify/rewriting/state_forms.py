"""Rules of state: substitutions of the state variables under which a program gives the same updates.

A state variable that is determined by the others is redundant: one that stays zero, a multiple of another, or another's
absolute value or square. A state variable may also be stored as any nonzero multiple of itself: if ``v`` is only used
as ``c*v``, store ``c*v``.

Relations are guessed by running the program and proven by induction: they hold for zero state, and the rules imply that
a relation that holds before a step also holds after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from optsearch.dsl.execute import reference_step
from optsearch.dsl.program import Program
from optsearch.simplify.rewriting.bounds import ANYTHING, Bounds
from optsearch.simplify.rewriting.egraph import EGraph
from optsearch.simplify.rewriting.order import graph_of, readable

STEPS = 4
"""Number of steps run to guess relations between state variables."""

AGREEMENT = 1e-6
"""Maximum relative difference of numbers that are guessed to be equal."""

FACTORS = 6
"""Maximum number of multiples tried per state variable."""


@dataclass(frozen=True, slots=True)
class Substitution:
    """A substitution of one state variable, or the identity.

    Attributes:
        target: the variable; None for the identity.
        form: ``zero``, ``multiple``, ``abs`` or ``square``: the target as a function of ``other``; ``scale``: the
            target is ``factor`` times the stored value.
        other: the variable that determines the target; None if there is none.
        factor: factor of ``multiple`` and ``scale``.
    """

    target: str | None = None
    form: str = ""
    other: str | None = None
    factor: float = 1.0

    @property
    def scales(self) -> bool:
        """True if the variable is kept, as a multiple."""
        return self.form == "scale"

    @property
    def name(self) -> str:
        """Name in the record of a rewriting."""
        return _NAMES.get(self.form, "")

    def view(self, graph: EGraph, stored: Mapping[str, int]) -> int:
        """Class of the target, from the classes of the stored values."""
        match self.form:
            case "zero":
                return graph.constant(0.0)
            case "multiple":
                return graph.add("multiply", [graph.constant(self.factor), stored[self.other or ""]])
            case "scale":
                return graph.add("multiply", [graph.constant(self.factor), stored[self.target or ""]])
            case _:
                return graph.add(self.form, [stored[self.other or ""]])

    def stored(self, graph: EGraph, after: Mapping[str, int]) -> dict[str, int]:
        """Stored values after a step, from the next values of all variables."""
        kept = {name: value for name, value in after.items() if self.scales or name != self.target}
        if self.target is not None and self.scales:
            inverse = graph.constant(1.0 / self.factor)
            kept[self.target] = graph.add("multiply", [inverse, after[self.target]])
        return kept


_NAMES = {
    "zero": "state that stays zero",
    "multiple": "state that is a multiple of another",
    "abs": "state that is the size of another",
    "square": "state that is the square of another",
    "scale": "state stored as a multiple",
}


def scaled_bounds(bounds: Bounds, factor: float) -> Bounds:
    """Bounds of the stored value of a variable with the given bounds."""
    return bounds if factor > 0.0 and bounds[0] == 0.0 else ANYTHING


def substitutions(program: Program) -> Iterator[Substitution]:
    """Candidate substitutions, those that eliminate a variable first."""
    yield from _dependent(program)
    for name in program.state:
        yield from (Substitution(name, "scale", None, factor) for factor in _factors(program, name))


def _dependent(program: Program) -> Iterator[Substitution]:
    history = _history(program)
    for target in program.state:
        mine = history[target]
        if not np.isfinite(mine).all():
            continue
        if not mine.any():
            yield Substitution(target, "zero")
            continue
        for other in program.state:
            yours = history[other]
            if other == target or not np.isfinite(yours).all() or not yours.any():
                continue
            place = int(np.argmax(np.abs(yours)))
            factor = readable(float(mine[place] / yours[place]))
            for form, values in (
                ("multiple", factor * yours),
                ("abs", np.abs(yours)),
                ("square", np.square(yours)),
            ):
                if factor != 0.0 and np.allclose(mine, values, rtol=AGREEMENT, atol=0.0):
                    yield Substitution(target, form, other, factor if form == "multiple" else 1.0)
                    break


def _history(program: Program) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    w, state = [rng.standard_normal(6)], [[np.zeros(6)] for _ in program.state]
    seen: list[list[np.ndarray]] = [[] for _ in program.state]
    with np.errstate(all="ignore"):
        for _ in range(STEPS):
            update, after = reference_step(program, w, [rng.standard_normal(6)], state, 0.1)
            state = [list(tree) for tree in after]
            w = [w[0] - update[0]]
            for values, tree in zip(seen, after, strict=True):
                values.append(tree[0])
    return {name: np.concatenate(values) for name, values in zip(program.state, seen, strict=True)}


def _factors(program: Program, name: str) -> list[float]:
    """Factors ``c`` for which storing ``v / c`` may save statements, derived from the uses of the variable."""
    graph = graph_of(program)
    after = graph.outputs[1 + program.state.index(name)]
    mine: set[object] = {name, after}
    found: list[float] = []
    scaled: dict[int, float] = {}
    for number, (function, operands) in enumerate(graph.calls):
        constants = [o for o in operands if isinstance(o, float)]
        if function == "multiply" and len(constants) == 1:
            scaled[number] = constants[0]
            if mine.intersection(operands) or number == after:
                found += [1.0 / constants[0], constants[0]] if constants[0] else []
        if function == "divide" and isinstance(operands[1], float) and operands[1] and operands[0] in mine:
            found += [operands[1], 1.0 / operands[1]]
        if function in ("negative", "subtract") and mine.intersection(operands):
            found.append(-1.0)
    if isinstance(after, int) and graph.calls[after][0] in ("add", "subtract"):
        found += _to_an_average(graph.calls[after], graph.calls, scaled, name)
    if isinstance(after, int) and graph.calls[after][0] == "interp":
        found += [scaled[o] for o in graph.calls[after][1] if isinstance(o, int) and o in scaled and scaled[o]]
    kept = {readable(c): c for c in found if 1e-6 < abs(c) < 1e6 and c != 1.0}
    return list(kept.values())[:FACTORS]


def _to_an_average(
    call: tuple[str, Sequence[object]],
    calls: Sequence[tuple[str, Sequence[object]]],
    scaled: Mapping[int, float],
    name: str,
) -> list[float]:
    """For ``v = a*v + b*x``, the factor that turns it into ``interp(x, v, a)``."""
    sign = -1.0 if call[0] == "subtract" else 1.0
    for own, other in (call[1], call[1][::-1]):
        if isinstance(own, int) and own in scaled and name in calls[own][1]:
            decay = scaled[own]
            share = scaled.get(other, 1.0) if isinstance(other, int) else 1.0
            if decay != 1.0:
                return [sign * share / (1.0 - decay)]
    return []
