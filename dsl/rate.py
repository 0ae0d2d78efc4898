"""Folds a learning-rate factor into a program, for searches that score programs at several learning rates.

With a factor of 1/3, ``lr = lr * 0.001`` becomes ``lr = lr * 0.000333``. If the program reads ``lr`` in another way, a
statement that scales it is prepended.
"""

from __future__ import annotations

import math

import numpy as np

from optsearch.dsl.dataflow import liveness
from optsearch.dsl.program import MAX_STATEMENTS, Program, ProgramError, Statement

RATE = "lr"
"""The parameter that holds the learning rate."""


def at_rate(program: Program, rate: float) -> Program:
    """Returns a program whose updates equal those of ``program`` called with ``rate`` times the learning rate.

    Args:
        program: a verified program.
        rate: a finite factor.

    Returns:
        A program in which the constants that multiply the learning rate are scaled; if ``lr`` is read in another way, a
        program with one additional statement. Equal up to the rounding of one product.

    Raises:
        ProgramError: the additional statement would exceed the maximum number of statements.

    >>> from optsearch.dsl.library import LIBRARY
    >>> print(at_rate(LIBRARY["sgd"], 0.5), end="")
    def train(w, g, lr):
      lr = lr * 0.5
      update = g * lr
      return update
    """
    if rate == 1.0:
        return program
    body = list(program.body)
    for index, alive in enumerate(liveness(program).statements):
        statement = body[index]
        if alive and RATE in statement.args:
            scaled = _scaled(statement, rate)
            if scaled is None:
                if len(body) == MAX_STATEMENTS:
                    raise ProgramError(
                        f"a program has at most {MAX_STATEMENTS} statements, and scaling its learning rate would add "
                        "one: leave out a statement"
                    )
                return Program(program.state, (Statement(RATE, "multiply", (RATE, rate)), *program.body))
            body[index] = scaled
        if statement.target == RATE:
            break  # from here on `lr` is not the caller's value
    return Program(program.state, tuple(body))


def _scaled(statement: Statement, rate: float) -> Statement | None:
    """The statement with its constant scaled; None unless it is a product of the rate and a constant."""
    constants = [arg for arg in statement.args if not isinstance(arg, str)]
    if statement.function != "multiply" or len(constants) != 1:
        return None
    factor = _shortest(constants[0] * rate)
    if factor is None:
        return None
    return statement._replace(args=tuple(arg if isinstance(arg, str) else factor for arg in statement.args))


def _shortest(value: float) -> float | None:
    """The nearest float32 number, with the shortest decimal representation; None if out of range."""
    with np.errstate(over="ignore"):
        nearest = np.float32(value)
    tiny = float(np.finfo(np.float32).tiny)
    return float(str(nearest)) if math.isfinite(nearest) and abs(value) >= tiny else None
