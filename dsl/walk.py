"""The one walk over a program's statements, for every meaning that its values can have.

Concrete execution (JAX arrays, float64 NumPy) and abstract execution (value numbers, costs, formulas) differ only in
what a value is and in what a function does to it. That difference is a ``Domain``; the walk is here, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

from optsearch.dsl.functions import FUNCTIONS, Function
from optsearch.dsl.program import Program

V = TypeVar("V")


class Domain(Protocol[V]):
    """What values are, and what the functions of the table mean for them."""

    def constant(self, value: float) -> V:
        """The value of a constant in a program."""
        ...

    def apply(self, function: Function, operands: list[V]) -> V:
        """The value of one call."""
        ...


def walk(program: Program, inputs: Mapping[str, V], domain: Domain[V]) -> dict[str, V]:
    """Runs the statements in order.

    Args:
        program: a verified program.
        inputs: value of each of ``program.signature.inputs``.
        domain: the meaning of constants and functions.

    Returns:
        The last value of every variable.
    """
    values = dict(inputs)
    constant, apply = domain.constant, domain.apply
    for target, name, args in program.body:
        operands = [values[arg] if isinstance(arg, str) else constant(arg) for arg in args]
        values[target] = apply(FUNCTIONS[name], operands)
    return values
