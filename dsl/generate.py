"""Random well-typed arguments, statements and programs.

Each draw is uniform over the enumerated valid choices; there is no rejection sampling. Randomness comes from a NumPy
generator that the caller passes.

Source: constants are drawn from N(0, 1), arguments from the variables in scope (Chen et al. 2023, section 2.1).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from optsearch.dsl.functions import FUNCTIONS, Function
from optsearch.dsl.program import OUTPUT, Argument, G, Program, Statement, shortest
from optsearch.dsl.types import Kind
from optsearch.dsl.verify import input_kinds, result_kind

NEW_VARIABLE_SHARE = 0.5
"""Probability that a statement assigns a new variable instead of one in scope."""

ALL_FUNCTIONS = tuple(FUNCTIONS.values())


class NewConstants(NamedTuple):
    """Distribution and frequency of new constants: N(mean, spread^2).

    Attributes:
        mean: mean of the normal distribution.
        spread: standard deviation of the normal distribution.
        share: probability that an argument is a new constant, where constants are allowed.
    """

    mean: float = 0.0
    spread: float = 1.0
    share: float = 0.25

    def draw(self, rng: np.random.Generator) -> float:
        """Draws a float32 constant with the shortest decimal representation."""
        return shortest(self.mean + self.spread * rng.standard_normal())


STANDARD = NewConstants()
"""The distribution of the published search."""


def random_argument(
    rng: np.random.Generator,
    accepted: Collection[Kind],
    scope: Mapping[str, Kind],
    *,
    but: Argument | None = None,
    constants: NewConstants = STANDARD,
) -> Argument | None:
    """Returns a variable of an accepted kind other than ``but``, or a new constant; None if neither exists."""
    if len(accepted) == len(Kind):
        variables = [name for name in scope if name != but]
    else:
        variables = [name for name, kind in scope.items() if kind in accepted and name != but]
    if Kind.SCALAR in accepted and (not variables or rng.random() < constants.share):
        return constants.draw(rng)
    return variables[int(rng.random() * len(variables))] if variables else None


def callable_functions(functions: Sequence[Function], scope: Mapping[str, Kind]) -> list[Function]:
    """Returns the functions that have at least one valid argument per operand; constants are always available."""
    if Kind.LEAF in scope.values():
        return list(functions)
    return [function for function in functions if all(Kind.SCALAR in accepted for accepted in function.operands)]


def new_variable(taken: Collection[str]) -> str:
    """Returns the first of ``v1, v2, ...`` that is not taken."""
    number = 1
    while f"v{number}" in taken:
        number += 1
    return f"v{number}"


def random_statement(
    rng: np.random.Generator,
    scope: Mapping[str, Kind],
    *,
    functions: Sequence[Function] = ALL_FUNCTIONS,
    taken: Collection[str] = (),
    leaves: Collection[str] = (),
    constants: NewConstants = STANDARD,
) -> Statement:
    """Draws a statement that is well-typed in the given scope.

    Args:
        rng: source of randomness.
        scope: kind of every variable assigned before the statement.
        functions: candidate functions; at least one must accept every kind.
        taken: names, in addition to those in scope, that a new variable must not use.
        leaves: variables in scope that must keep the kind ``LEAF``, such as the state.
        constants: distribution of new constants.

    Returns:
        A statement. Its function is uniform over the callable functions. Its target is a new variable with probability
        ``NEW_VARIABLE_SHARE``, else uniform over the variables that may be assigned.
    """
    choices = functions if Kind.LEAF in scope.values() else callable_functions(functions, scope)
    function = choices[int(rng.random() * len(choices))]
    args: list[Argument] = []
    for accepted in function.operands:
        arg = random_argument(rng, accepted, scope, constants=constants)
        if arg is None:  # excluded by callable_functions
            raise ValueError(f"no argument for {function.name} in scope")
        args.append(arg)
    kind = result_kind(function, [scope[arg] if isinstance(arg, str) else Kind.SCALAR for arg in args])
    targets = [name for name in scope if kind is Kind.LEAF or name not in leaves]
    if not targets or rng.random() < NEW_VARIABLE_SHARE:
        target = new_variable({*scope, *taken})
    else:
        target = targets[int(rng.random() * len(targets))]
    return Statement(target, function.name, tuple(args))


def last_functions(functions: Sequence[Function]) -> list[Function]:
    """Functions valid for the last statement of a random program: two operands and a result of kind ``LEAF``.

    Raises:
        ValueError: there is no such function.
    """
    found = [function for function in functions if function.arity == 2 and function.result is None]
    if not found:
        raise ValueError("their last statement needs a function of two operands, such as add or multiply")
    return found


def random_program(
    rng: np.random.Generator,
    *,
    state: Sequence[str] = ("m", "v"),
    statements: int = 10,
    functions: Sequence[Function] = ALL_FUNCTIONS,
    constants: NewConstants = STANDARD,
) -> Program:
    """Draws a verified program of random statements.

    Args:
        rng: source of randomness.
        state: names of the state variables.
        statements: number of statements, at least 1. The last statement assigns ``update``.
        functions: candidate functions; at least one must have two operands and accept every kind.
        constants: distribution of new constants.

    Raises:
        ValueError: ``statements`` is less than 1, or no function is valid for the last statement.

    >>> program = random_program(np.random.default_rng(0), state=("m",), statements=5)
    >>> program.state, len(program.body), program.body[-1].target
    (('m',), 5, 'update')
    """
    if statements < 1:
        raise ValueError(f"a program has at least 1 statement, got {statements}")
    scope = input_kinds(Program(tuple(state), ()))
    leaves = {*state, OUTPUT, G}
    body: list[Statement] = []
    for _ in range(statements - 1):
        statement = random_statement(
            rng, scope, functions=functions, leaves=leaves, taken=(OUTPUT,), constants=constants
        )
        args = [scope[arg] if isinstance(arg, str) else Kind.SCALAR for arg in statement.args]
        scope[statement.target] = result_kind(FUNCTIONS[statement.function], args)
        body.append(statement)
    binary = last_functions(functions)
    function = binary[int(rng.random() * len(binary))]
    wide = [name for name, kind in scope.items() if kind is Kind.LEAF]
    other = random_argument(rng, frozenset(Kind), scope, constants=constants)
    args = [wide[int(rng.random() * len(wide))], *([] if other is None else [other])]
    body.append(Statement(OUTPUT, function.name, tuple(args)))
    return Program(tuple(state), tuple(body))
