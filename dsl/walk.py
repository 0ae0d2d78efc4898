"""One traversal of a program's statements, generic over the domain of values.

Concrete execution (JAX arrays, float64 NumPy) and abstract interpretation (value numbers, costs, formulas) differ only
in the representation of values and in the meaning of functions. A ``Domain`` defines both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

from optsearch.dsl.functions import FUNCTIONS, Function
from optsearch.dsl.program import Program

V = TypeVar("V")


class Domain(Protocol[V]):
    """Representation of values, and meaning of the table's functions on them."""

    def constant(self, value: float) -> V:
        """The value of a constant of the program."""
        ...

    def apply(self, function: Function, operands: list[V]) -> V:
        """The value of one call."""
        ...


def walk(program: Program, inputs: Mapping[str, V], domain: Domain[V]) -> dict[str, V]:
    """Evaluates the statements in order.

    Args:
        program: a verified program.
        inputs: value of each of ``program.signature.inputs``.
        domain: the meaning of constants and functions.

    Returns:
        The final value of every variable.
    """
    values = dict(inputs)
    constant, apply = domain.constant, domain.apply
    for target, name, args in program.body:
        operands = [values[arg] if isinstance(arg, str) else constant(arg) for arg in args]
        values[target] = apply(FUNCTIONS[name], operands)
    return values
