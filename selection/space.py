"""Search spaces of tuning: one declared range for each kind of hyperparameter, equal for all contenders.

A learning rate is searched over four decades around the contender's reference, an EMA decay from 0 to 0.9999, and so
on, whatever the contender is (`KINDS`). A program's weight decay is found by dataflow analysis: a constant that
multiplies the weights on the path to the update and does not multiply the other terms.

Source: Dahl et al. 2023 (arXiv:2306.07179), AlgoPerf: search spaces are declared in advance, and equal for all tasks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

from optsearch.dsl.dataflow import prune
from optsearch.dsl.errors import UserError
from optsearch.dsl.parameters import Parametrised, Place, parametrised
from optsearch.dsl.program import LR, OUTPUT, Argument, G, Program, Statement, W
from optsearch.dsl.verify import nearest_name

RATE, DECAY, BETA, EPS, POWER, LIMIT, CONSTANT = "rate", "weight_decay", "beta", "eps", "power", "limit", "constant"

Values = tuple[tuple[str, float], ...]
"""Name and value of each dimension of a space, as a hashable tuple."""


class SpaceError(UserError, ValueError):
    """A declared range is unknown, invalid, or excludes a contender's reference."""


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """A kind of hyperparameter and its declared range.

    Attributes:
        low: lower end; of an EMA decay, its smallest value.
        high: upper end.
        relative: if True, both ends are multiples of the contender's reference.
        is_beta: if True, sampled uniformly in ``log(1 - value)``; otherwise in ``log(value)``.
        ends: ends beyond which a better value may exist. The other end switches something off.
        description: what it is.
    """

    low: float
    high: float
    relative: bool = False
    is_beta: bool = False
    ends: tuple[Literal["low", "high"], ...] = ("low", "high")
    description: str = ""


KINDS: Mapping[str, Hyperparameter] = MappingProxyType(
    {
        RATE: Hyperparameter(0.01, 100.0, relative=True, description="learning rate, in multiples of the reference"),
        DECAY: Hyperparameter(1e-4, 10.0, ends=("high",), description="weight decay"),
        BETA: Hyperparameter(
            0.0, 0.9999, is_beta=True, ends=("high",), description="decay of an exponential moving average"
        ),
        EPS: Hyperparameter(1e-10, 1e-3, ends=(), description="small term of a denominator"),
        POWER: Hyperparameter(0.1, 1.6, description="power of the learning-rate schedule"),
        LIMIT: Hyperparameter(0.01, 100.0, ends=("low",), description="limit of a gradient norm"),
        CONSTANT: Hyperparameter(
            1 / 30, 30.0, relative=True, description="any other constant, in multiples of the reference"
        ),
    }
)
"""All kinds by name."""

Ranges = tuple[tuple[str, tuple[float, float]], ...]
"""Kinds whose range a user declares, with both ends."""

_ZERO = {CONSTANT: (1e-3, 10.0), RATE: (1e-5, 1.0)}
"""Absolute ranges of relative kinds whose reference is 0."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """One tunable number.

    Attributes:
        name: ``rate``, ``weight_decay``, or the name of a constant or keyword argument.
        kind: its kind, a key of `KINDS`.
        reference: the contender's own value, which is the first trial.
        low: lower end of its range, as a value; of a negative constant, the magnitude.
        high: upper end, likewise.
    """

    name: str
    kind: str
    reference: float
    low: float
    high: float

    def at(self, share: float) -> float:
        """The value at a position in [0, 1] of the range."""
        low, high = self._ends()
        if KINDS[self.kind].is_beta:
            return 1.0 - 10.0 ** (low + share * (high - low))
        return math.copysign(10.0 ** (low + share * (high - low)), self.reference or 1.0)

    def share(self, value: float) -> float:
        """The position of a value, in [0, 1]; values outside the range are at its ends."""
        low, high = self._ends()
        beta = KINDS[self.kind].is_beta
        magnitude = 1.0 - value if beta else abs(value)
        place = math.log10(magnitude) if magnitude > 0.0 else -math.inf
        return min(max((place - low) / (high - low), 0.0), 1.0)

    def _ends(self) -> tuple[float, float]:
        if KINDS[self.kind].is_beta:
            return math.log10(1.0 - self.low), math.log10(1.0 - self.high)
        return math.log10(self.low), math.log10(self.high)


def dimension(name: str, kind: str, reference: float, ranges: Ranges = ()) -> Dimension:
    """Declares a tunable number.

    Args:
        name: its name.
        kind: its kind.
        reference: the contender's own value. A default range is extended to include it.
        ranges: ranges that replace the defaults.

    Raises:
        SpaceError: a range of ``ranges`` excludes the reference.
    """
    known, declared = KINDS[kind], dict(ranges).get(kind)
    low, high = declared or (known.low, known.high)
    if known.relative and reference != 0.0:
        low, high = low * abs(reference), high * abs(reference)
    elif known.relative:
        low, high = _ZERO[kind]
    if reference != 0.0 or known.is_beta:
        value = reference if known.is_beta else abs(reference)
        if declared is not None and not low <= value <= high:
            raise SpaceError(
                f"the range {declared[0]:g}:{declared[1]:g} of '{kind}' excludes the reference {reference:g} of "
                f"'{name}': every contender's own setting is its first trial; give a range that includes it"
            )
        low, high = min(low, value), max(high, value)
    return Dimension(name, kind, reference, low, high)


def parse_ranges(texts: Sequence[str]) -> Ranges:
    """Reads declared ranges such as ``beta=0:0.999``.

    Raises:
        SpaceError: a text is malformed, a kind is unknown or named twice, or a range is empty or outside the kind's
            domain.
    """
    found: dict[str, tuple[float, float]] = {}
    for text in texts:
        kind, equals, ends = text.partition("=")
        low, colon, high = ends.partition(":")
        if kind not in KINDS:
            near = nearest_name(kind, KINDS)
            hint = f"did you mean '{near}'? " if near else ""
            raise SpaceError(f"unknown kind of hyperparameter '{kind}': {hint}the kinds are {', '.join(KINDS)}")
        try:
            found_ends = float(low), float(high)
        except ValueError:
            equals = ""
            found_ends = 0.0, 0.0
        if not equals or not colon:
            raise SpaceError(f"'{text}' is not a range: write KIND=LOW:HIGH, such as beta=0:0.999")
        domain = (0.0, 1.0 - 1e-7) if KINDS[kind].is_beta else (1e-30, 1e30)
        if not domain[0] <= found_ends[0] < found_ends[1] <= domain[1]:
            raise SpaceError(
                f"the range {ends} of '{kind}' is empty or out of bounds: it must satisfy "
                f"{domain[0]:g} <= LOW < HIGH <= {domain[1]:.8g}"
            )
        if kind in found:
            raise SpaceError(f"two ranges of '{kind}': give one")
        found[kind] = found_ends
    return tuple(found.items())


def program_space(program: Program, *, constants: bool = True, ranges: Ranges = ()) -> tuple[Dimension, ...]:
    """Returns the tunable numbers of a program: learning rate (a factor on the schedule), weight decay, and constants.

    Args:
        program: a verified program.
        constants: if True, include its other constants, except the factor of the learning rate, which ``rate`` covers.
        ranges: ranges that replace the defaults.

    Raises:
        SpaceError: a declared range excludes a constant of the program.
    """
    named, decay = _named(program), decay_constant(program)
    dimensions = [dimension(RATE, RATE, 1.0, ranges)]
    if decay is not None:
        dimensions.append(dimension(DECAY, DECAY, decay[1], ranges))
    if constants:
        taken = None if decay is None else _argument(named.program, decay[0])
        for name, value in named.defaults.items():
            if value != 0.0 and name not in (taken, "scale"):
                beta = name.startswith(("beta", "mix")) and 0.0 <= value < 1.0
                dimensions.append(dimension(_own_name(name), BETA if beta else CONSTANT, value, ranges))
    return tuple(dimensions)


def untuned_constants(program: Program, *, constants: bool = True) -> tuple[str, ...]:
    """Numbers of a program that tuning leaves alone: constants equal to 0, and functions without operands.

    Args:
        program: a verified program.
        constants: as for `program_space`; if False, every constant other than the weight decay is listed.
    """
    named, tuned = _named(program), {row.name for row in program_space(program, constants=constants)}
    decay = decay_constant(program)
    taken = None if decay is None else _argument(named.program, decay[0])
    left = [f"{name} = {value:g}" for name, value in named.defaults.items()
            if name not in (taken, "scale") and _own_name(name) not in tuned]  # fmt: skip
    calls = dict.fromkeys(f"{line.function}()" for line in named.program.body if not line.args)
    return (*left, *calls)


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
