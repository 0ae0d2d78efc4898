"""Which statements and state variables can influence ``update``, now or at any later step.

A state variable is alive when something alive reads it at the start of a step; whatever computes its next value is
then alive too. So liveness crosses steps, and a state variable that never reaches ``update`` is dead with everything
that only feeds it.
"""

from __future__ import annotations

from dataclasses import dataclass

from dsl.program import OUTPUT, Program


@dataclass(frozen=True, slots=True)
class Liveness:
    """Attributes:
    statements: for each statement, whether ``update`` can depend on it at some step.
    state: for each state variable, whether ``update`` can depend on it at some step.
    """

    statements: tuple[bool, ...]
    state: tuple[bool, ...]


def liveness(program: Program) -> Liveness:
    """Finds the live statements and state variables: a backward pass, repeated until no more state becomes live."""
    needed = {OUTPUT}
    while True:
        wanted, alive = set(needed), [False] * len(program.body)
        for index in range(len(program.body) - 1, -1, -1):
            target, _, args = program.body[index]
            if target in wanted:
                alive[index] = True
                wanted.discard(target)
                wanted.update([arg for arg in args if isinstance(arg, str)])
        grown = needed | wanted.intersection(program.state)
        if grown == needed:
            return Liveness(tuple(alive), tuple(name in needed for name in program.state))
        needed = grown


def prune(program: Program) -> Program:
    """Removes dead statements and dead state; what is left computes the same updates, bit for bit."""
    live = liveness(program)
    return Program(
        state=tuple(name for name, alive in zip(program.state, live.state, strict=True) if alive),
        body=tuple(statement for statement, alive in zip(program.body, live.statements, strict=True) if alive),
    )
