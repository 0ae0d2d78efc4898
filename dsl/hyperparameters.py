"""The learning rate and the weight decay of a program, in the sense that optax and PyTorch give to these words.

In a program, ``lr`` is the value of a schedule with a peak of 1, and the program multiplies it by a constant. In optax
and PyTorch the learning rate is the product. It exists if the update is proportional to ``lr``, as it is in ``lr = lr *
0.001; update = update * lr`` but not in ``lr = sqrt(lr); update = update * lr``.

Source: decoupled weight decay is that of Loshchilov & Hutter 2019 (arXiv:1711.05101), with the factor of the learning
rate that optax and PyTorch include.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from optsearch.dsl.dataflow import prune
from optsearch.dsl.execute import reference_step
from optsearch.dsl.functions import FUNCTIONS, Function
from optsearch.dsl.parameters import Place
from optsearch.dsl.program import LR, OUTPUT, Program, Statement, shortest

_ORDINARY = (1e-6, 100.0)
"""Magnitudes of constants that may be moved into the learning rate: with others, results could overflow or vanish
elsewhere than in the program."""

_JOINT = ("add", "subtract", "maximum", "minimum", "clip")
"""Functions with f(c x, c y) = c f(x, y), besides those with a degree in each operand."""

_SHAPES = ((3, 4), (5,))
_TOLERANCE = 1e-9


class WithRate(NamedTuple):
    """A program whose ``lr`` is its learning rate, where it has one.

    Attributes:
        program: if ``rate`` is a number, the program without the constants that multiply its learning rate, such that
            it takes the steps of the original with ``rate`` times the ``lr`` of the original; otherwise the original.
        rate: the learning rate of the original at ``lr`` = 1; None if its update is not proportional to ``lr``.
    """

    program: Program
    rate: float | None


class WeightDecay(NamedTuple):
    """A constant c that is a weight decay.

    Attributes:
        place: its place in the program.
        is_decoupled: if True, the update contains ``lr * c * w`` and depends on c in no other way; if False, c adds
            ``c * w`` to the gradient.
    """

    place: Place
    is_decoupled: bool


def with_rate(program: Program) -> WithRate:
    """Moves the constants that multiply the learning rate of a program out of it.

    A single constant in ``lr * c`` gives the same bits at a constant rate. Otherwise products are taken in another
    order, with the rounding of one product for each constant.

    Args:
        program: a verified program; dead statements are omitted.

    >>> from optsearch.dsl.library import LIBRARY
    >>> program, rate = with_rate(LIBRARY["signum"])
    >>> rate
    0.0001
    >>> print(program, end="")
    def train(w, g, m, lr):
      m = interp(g, m, 0.9)
      update = sign(m)
      update = update * lr
      return update, m
    """
    program = prune(program)
    degrees = _update_degrees(program)
    if not _is_one(degrees.get(LR, 0.0)):
        return WithRate(program, None)
    found = [place for place, degree in degrees.items() if not isinstance(place, str) and _is_one(degree)]
    moved = {place: value for place in found if _is_ordinary(value := _constant(program, place))}
    rate = math.prod(map(abs, moved.values()))
    if not moved or not _is_ordinary(rate):
        return WithRate(program, 1.0)
    for place, value in moved.items():
        program = with_constant(program, place, math.copysign(1.0, value))
    body = program.body
    for index in sorted({place[0] for place in moved}, reverse=True):
        body = _without_copy(body, index, program.signature.outputs)
    return WithRate(Program(program.state, body), rate if len(moved) == 1 else shortest(rate))


def weight_decay(program: Program, *, has_rate: bool) -> WeightDecay | None:
    """Finds the constant of a program that is its weight decay.

    The laws of `WeightDecay` are tested on the reference interpreter, with weights of magnitudes from 0.001 to 1,000.

    Args:
        program: a verified program without dead statements.
        has_rate: True if its ``lr`` is a learning rate; otherwise no weight decay is decoupled.

    Returns:
        The constant; None if no constant or more than one keeps such a law.
    """
    places = [
        (index, position)
        for index, statement in enumerate(program.body)
        for position, arg in enumerate(statement.args)
        if statement.function == "multiply" and not isinstance(arg, str) and arg > 0.0 and arg != 1.0
    ]
    for is_decoupled in (True, False) if has_rate else (False,):
        found = [place for place in places if _is_decay(program, place, is_decoupled=is_decoupled)]
        if found:
            return WeightDecay(found[0], is_decoupled) if len(found) == 1 else None
    return None


def _is_decay(program: Program, place: Place, *, is_decoupled: bool) -> bool:
    decay, without = _constant(program, place), with_constant(program, place, 0.0)
    for number, lr in enumerate((0.7, 0.02)):
        rng = np.random.default_rng(number)
        g, *state = ([rng.standard_normal(shape) for shape in _SHAPES] for _ in range(1 + len(program.state)))
        w = [rng.choice((-1.0, 1.0), shape) * 10.0 ** rng.uniform(-3.0, 3.0, shape) for shape in _SHAPES]
        shifted = g if is_decoupled else [x + decay * y for x, y in zip(g, w, strict=True)]
        step, kept = reference_step(program, w, g, state, lr)
        expected, kept_without = reference_step(without, w, shifted, state, lr)
        if is_decoupled:
            expected = [x + lr * decay * y for x, y in zip(expected, w, strict=True)]
        plain, _ = reference_step(without, w, g, state, lr)
        if not _are_equal([step, *kept], [expected, *kept_without]) or _are_equal([step], [plain]):
            return False
    return True


def _are_equal(ones: Sequence[Sequence[np.ndarray]], others: Sequence[Sequence[np.ndarray]]) -> bool:
    """True if all numbers are finite and equal up to rounding."""
    pairs = [pair for one, other in zip(ones, others, strict=True) for pair in zip(one, other, strict=True)]
    return all(np.isfinite(x).all() and np.allclose(x, y, rtol=_TOLERANCE, atol=0.0) for x, y in pairs)


_Degrees = Mapping[Place | str, float | None]
"""For ``lr`` and each constant, by its place, the degree d with which a value is homogeneous in it; None if the value
depends on it in another way. Those that are missing have no influence."""


def _update_degrees(program: Program) -> _Degrees:
    """Degrees of the update. State that depends on ``lr`` or a constant is not homogeneous: it mixes several steps."""
    state: dict[str, _Degrees] = {name: {} for name in program.state}
    while True:
        values: dict[str, _Degrees] = {**state, LR: {LR: 1.0}}
        for index, (target, name, args) in enumerate(program.body):
            constants: list[_Degrees] = [{(index, position): 1.0} for position in range(len(args))]
            operands = [
                values.get(arg, {}) if isinstance(arg, str) else constant
                for arg, constant in zip(args, constants, strict=True)
            ]
            values[target] = _applied(FUNCTIONS[name], operands)
        after = {name: dict.fromkeys({*state[name], *values[name]}) for name in program.state}
        if after == state:
            return values[OUTPUT]
        state = {**after}


def _applied(function: Function, operands: Sequence[_Degrees]) -> _Degrees:
    symbols = {symbol for operand in operands for symbol in operand}
    degrees = {symbol: _degree(function, [operand.get(symbol, 0.0) for operand in operands]) for symbol in symbols}
    return {symbol: degree for symbol, degree in degrees.items() if degree != 0.0}


def _degree(function: Function, degrees: Sequence[float | None]) -> float | None:
    """Degree of a result in a symbol, from those of the operands."""
    if function.name in _JOINT and degrees[0] == degrees[1]:
        return degrees[0]
    if function.name == "interp":
        return degrees[0] if degrees[0] == degrees[1] and degrees[2] == 0.0 else None
    total = 0.0
    for degree, law in zip(degrees, function.laws.degree, strict=True):
        if degree is None or (degree != 0.0 and law is None):
            return None
        total += degree * (law or 0.0)
    return total


def _is_ordinary(value: float) -> bool:
    return _ORDINARY[0] <= abs(value) <= _ORDINARY[1]


def _is_one(degree: float | None) -> bool:
    return degree is not None and math.isclose(degree, 1.0)


def _constant(program: Program, place: Place) -> float:
    index, position = place
    value = program.body[index].args[position]
    if isinstance(value, str):
        raise TypeError(f"{value} is no constant")
    return value


def with_constant(program: Program, place: Place, value: float) -> Program:
    """The program with another constant at a place."""
    index, position = place
    body = list(program.body)
    args = [value if n == position else arg for n, arg in enumerate(body[index].args)]
    body[index] = body[index]._replace(args=tuple(args))
    return Program(program.state, tuple(body))


def _without_copy(body: tuple[Statement, ...], index: int, outputs: Sequence[str]) -> tuple[Statement, ...]:
    """Removes the statement at an index if it multiplies by 1 and its result can be read under the operand's name."""
    target, function, args = body[index]
    source = next((arg for arg in args if isinstance(arg, str)), None)
    if function != "multiply" or 1.0 not in args or source is None:
        return body
    if source == target:
        return body[:index] + body[index + 1 :]
    renamed, is_copy, is_kept = list(body[:index]), True, True
    for statement in body[index + 1 :]:
        if is_copy and target in statement.args:
            if not is_kept:
                return body
            statement = statement._replace(args=tuple(source if arg == target else arg for arg in statement.args))
        renamed.append(statement)
        is_copy, is_kept = is_copy and statement.target != target, is_kept and statement.target != source
    return body if is_copy and target in outputs else tuple(renamed)
