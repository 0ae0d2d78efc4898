"""Search spaces of tuning: learning rate, weight decay if the contender has one, and optionally its other constants.

A program's weight decay is found by dataflow analysis: a constant that multiplies the weights on the path to the update
and does not multiply the other terms. All scales are logarithmic and unbounded: tuning that finds the optimum at the
edge of its range continues beyond it. EMA decays are sampled in ``log(1 - beta)``, from 0 up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from optsearch.dsl.dataflow import prune
from optsearch.dsl.parameters import Parametrised, parametrised
from optsearch.dsl.program import LR, OUTPUT, Argument, G, Program, Statement, W

RATE, DECAY = "rate", "weight_decay"

DECADES = 1.5
"""Half width of the initial search range around the reference, in decades."""

_LARGEST_BETA = -6.0  # log10(1 - beta); float32 has no number between 1 - 6e-8 and 1

Place = tuple[int, int]
"""Index of a statement of the pruned program, and index of an operand."""

Values = tuple[tuple[str, float], ...]
"""Name and value of each dimension of a space, as a hashable tuple."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """One tunable number.

    Attributes:
        name: ``rate``, ``weight_decay``, or the name of a constant.
        reference: value at which tuning starts.
        is_beta: if True, sampled in ``log(1 - value)`` from 0 up; otherwise in ``log(value)``, with its sign unchanged.
        decades: half width of the initial search range around the reference, in decades.
    """

    name: str
    reference: float
    is_beta: bool = False
    decades: float = DECADES

    def at(self, place: float) -> float:
        """The value at a position in decades from the reference; 0 is the reference itself."""
        if not self.is_beta:
            return self.reference * 10.0**place
        if place == 0.0:
            return self.reference
        rest = min(max(math.log10(max(1.0 - self.reference, 1e-9)) + place, _LARGEST_BETA), 0.0)
        return 1.0 - 10.0**rest


def program_space(program: Program, *, constants: bool = False) -> tuple[Dimension, ...]:
    """Returns the tunable numbers of a program: learning rate (a factor on the schedule), weight decay, and constants.

    Args:
        program: a verified program.
        constants: if True, include its other constants, except the factor of the learning rate, which ``rate`` covers.
    """
    named, decay = _named(program), decay_constant(program)
    dimensions = [Dimension(RATE, 1.0)]
    if decay is not None:
        dimensions.append(Dimension(DECAY, decay[1]))
    if constants:
        taken = None if decay is None else _argument(named.program, decay[0])
        for name, value in named.defaults.items():
            if value != 0.0 and name not in (taken, "scale"):
                beta = name.startswith(("beta", "mix")) and 0.0 <= value < 1.0
                dimensions.append(Dimension(_own_name(name), value, beta))
    return tuple(dimensions)


def with_values(program: Program, values: Mapping[str, float]) -> Program:
    """Replaces constants of a program.

    Args:
        program: a verified program.
        values: values by the names of `program_space`; the rate is not a constant of the program and is ignored.
    """
    if not set(values) - {RATE}:
        return program
    named, decay = _named(program), decay_constant(program)
    own = {name: values.get(_own_name(name), value) for name, value in named.defaults.items()}
    body = [
        statement._replace(args=tuple(own.get(arg, arg) if isinstance(arg, str) else arg for arg in statement.args))
        for statement in named.program.body
    ]
    if decay is not None and DECAY in values:
        (index, position), _ = decay
        args = list(body[index].args)
        args[position] = values[DECAY]
        body[index] = body[index]._replace(args=tuple(args))
    return Program(named.program.state, tuple(body))


def _own_name(name: str) -> str:
    """Name of a constant that does not clash with another dimension."""
    return f"{name}_constant" if name in (RATE, DECAY) else name


def _named(program: Program) -> Parametrised:
    return parametrised(prune(program), reserved=(RATE,))


def _argument(program: Program, place: Place) -> Argument:
    return program.body[place[0]].args[place[1]]


class _Term(NamedTuple):
    """A summand: its constant factors, and flags for a factor of the weights and for any other factor."""

    constants: frozenset[Place]
    weights: bool
    other: bool


_SCALAR = [_Term(frozenset(), weights=False, other=False)]
_OPAQUE = [_Term(frozenset(), weights=False, other=True)]
_MOST_TERMS = 64


def decay_constant(program: Program) -> tuple[Place, float] | None:
    """Finds the constant that is a program's weight decay.

    The update is expanded into summands. A constant that multiplies the weights but not the other summands is the
    weight decay, such as ``0.01`` in ``update = (m / sqrt(v) + w * 0.01) * (lr * 0.001)``. Otherwise it is a constant
    that multiplies the weights directly, such as in L2 regularisation added to the gradient.

    Args:
        program: a verified program; positions refer to its live statements.

    Returns:
        Statement and operand of the constant, and its value; None if the program has no weight decay.
    """
    body = prune(program).body
    values: dict[str, list[_Term]] = dict.fromkeys((*program.state, G), _OPAQUE)
    values |= {W: [_Term(frozenset(), weights=True, other=False)], LR: _SCALAR}
    direct: list[Place] = []
    for index, statement in enumerate(body):
        operands = [_operand(values, statement, (index, position)) for position in range(len(statement.args))]
        if statement.function == "multiply" and values[W][0].weights and W in statement.args:
            direct += [(index, p) for p, arg in enumerate(statement.args) if not isinstance(arg, str)]
        values[statement.target] = _summands(statement.function, operands)
    terms = values[OUTPUT]
    elsewhere = frozenset[Place]().union(*(term.constants for term in terms if not term.weights))
    own = {place for term in terms if term.weights for place in term.constants} - elsewhere
    for place in (*sorted(own), *direct):
        value = body[place[0]].args[place[1]]
        if not isinstance(value, str) and value != 0.0:
            return place, value
    return None


def _operand(values: Mapping[str, list[_Term]], statement: Statement, place: Place) -> list[_Term]:
    arg = statement.args[place[1]]
    if isinstance(arg, str):
        return values[arg]
    return [_Term(frozenset([place]), weights=False, other=False)] if statement.function == "multiply" else _SCALAR


def _summands(function: str, operands: list[list[_Term]]) -> list[_Term]:
    scalar = [not any(term.weights or term.other for term in operand) for operand in operands]
    if function == "multiply" and any(scalar):
        factor, rest = operands if scalar[0] else operands[::-1]
        return [term._replace(constants=term.constants | factor[0].constants) for term in rest]
    if all(scalar):
        return _SCALAR
    if function in ("add", "subtract") or (function == "interp" and scalar[2]):
        terms = [term for operand, alone in zip(operands[:2], scalar, strict=False) if not alone for term in operand]
        terms += _OPAQUE * any(scalar[:2])
        return terms if len(terms) <= _MOST_TERMS else _OPAQUE
    if function == "negative" or (function == "divide" and scalar[1]):
        return operands[0]
    every = frozenset[Place]().union(*(term.constants for operand in operands for term in operand))
    return [_Term(every, weights=False, other=True)]
