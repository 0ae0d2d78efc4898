"""A program at another learning rate: where a search scores programs at several rates, the best one belongs to them.

``lr = lr * 0.001`` at a third of the rate becomes ``lr = lr * 0.000333``. Where the caller's rate is read in another
way, a statement that multiplies it comes first.
"""

from __future__ import annotations

import math

import numpy as np

from optsearch.dsl.dataflow import liveness
from optsearch.dsl.program import MAX_STATEMENTS, Program, ProgramError, Statement

RATE = "lr"
"""The parameter that holds the learning rate."""


def at_rate(program: Program, rate: float) -> Program:
    """The program whose updates are those of the given one, called with ``rate`` times the learning rate.

    Args:
        program: a verified program.
        rate: a finite factor.

    Returns:
        A program with the same statements, of which those that multiply the learning rate by a constant have another
        one; or with one more where it is read otherwise. Equal up to the rounding of one product.

    Raises:
        ProgramError: the statement that would be added is one more than a program can have.

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
            break  # from here on it is no longer the caller's
    return Program(program.state, tuple(body))


def _scaled(statement: Statement, rate: float) -> Statement | None:
    """The statement with its constant multiplied; None unless it is a product of the rate and a constant."""
    constants = [arg for arg in statement.args if not isinstance(arg, str)]
    if statement.function != "multiply" or len(constants) != 1:
        return None
    factor = _shortest(constants[0] * rate)
    if factor is None:
        return None
    return statement._replace(args=tuple(arg if isinstance(arg, str) else factor for arg in statement.args))


def _shortest(value: float) -> float | None:
    """The float32 number that is nearest, with the fewest digits; None where it is out of range."""
    with np.errstate(over="ignore"):
        nearest = np.float32(value)
    tiny = float(np.finfo(np.float32).tiny)
    return float(str(nearest)) if math.isfinite(nearest) and abs(value) >= tiny else None
