"""Expressions in the syntax of the rules: ``interp(x, interp(x, y, a), b)``.

A name from ``a`` to ``d`` matches a constant, any other name matches any value, and a number matches itself. On the
right side ``ratio(a, b)`` is the quotient of two constants, without the guard of the language's division. In
conditions ``loss(a)`` is the relative error of ``a`` when ``1 - a`` is stored as a float32 number instead.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from optsearch.dsl.functions import FUNCTIONS
from optsearch.dsl.program import shortest
from optsearch.dsl.syntax import OPERATORS


def _loss(value: float) -> float:
    complement = float(np.clip(1.0 - value, -1e30, 1e30))
    return abs((1.0 - shortest(complement)) / value - 1.0) if value else 0.0


SPECIAL: Mapping[str, Callable[..., float]] = {"ratio": lambda x, y: float(x) / float(y), "loss": _loss}
"""Functions of constants that are available only in rules."""

_INFIX: Mapping[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


@dataclass(frozen=True, slots=True)
class Name:
    """A pattern variable.

    Attributes:
        name: name in the rule.
        constant: True if it matches only constants.
    """

    name: str
    constant: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function of the table."""

    function: str
    operands: tuple[Pattern, ...]


Pattern = Name | Call | float


@cache
def pattern(text: str) -> Pattern:
    """Parses a pattern.

    Raises:
        ValueError: the text is not an expression over the function table.
    """
    return _convert(ast.parse(text, mode="eval").body, text)


def _convert(node: ast.expr, text: str) -> Pattern:
    match node:
        case ast.Name(id=name):
            return Name(name, name in "abcd")
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -float(value)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _INFIX:
            function = OPERATORS[_INFIX[type(operator)]]
            return Call(function, (_convert(left, text), _convert(right, text)))
        case ast.Call(func=ast.Name(id=function), args=args) if function in FUNCTIONS or function in SPECIAL:
            return Call(function, tuple(_convert(arg, text) for arg in args))
        case _:
            raise ValueError(f"'{text}' is no pattern: '{ast.unparse(node)}' is not in the language of rules")


def names(of: Pattern) -> Iterator[Name]:
    """All names of a pattern, with repetitions."""
    if isinstance(of, Name):
        yield of
    elif isinstance(of, Call):
        for operand in of.operands:
            yield from names(operand)


@cache
def computed(of: Pattern) -> frozenset[str] | None:
    """Names in a call on constants alone, such as ``1 - a``; None for other patterns."""
    if not isinstance(of, Call) or not all(name.constant for name in names(of)):
        return None
    return frozenset(name.name for name in names(of))


def evaluate(of: Pattern, values: Mapping[str, Any]) -> Any:
    """Evaluates a pattern in float64.

    Args:
        of: the pattern.
        values: a number or array for each name.
    """
    if isinstance(of, Name):
        return values[of.name]
    if isinstance(of, Call):
        operands = [evaluate(operand, values) for operand in of.operands]
        special = SPECIAL.get(of.function)
        return special(*operands) if special else FUNCTIONS[of.function].reference(*operands)
    return of
