"""Liveness analysis: the statements and state variables that can influence ``update``, at this or any later step.

A state variable is live if a live statement reads it at the start of a step; the statements that compute its next value
are then live too. Liveness therefore crosses steps. A state variable that never reaches ``update`` is dead, and so are
the statements that only feed it.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from itertools import compress

from optsearch.dsl.program import OUTPUT, Argument, Program


@dataclass(frozen=True, slots=True)
class Liveness:
    """Attributes:
    statements: for each statement, True if ``update`` can depend on it at some step.
    state: for each state variable, True if ``update`` can depend on it at some step.
    """

    statements: tuple[bool, ...]
    state: tuple[bool, ...]


def liveness(program: Program) -> Liveness:
    """Finds the live statements and state variables by a backward pass, repeated until a fixed point."""
    alive, needed = _alive(program)
    return Liveness(tuple(alive), tuple([name in needed for name in program.state]))


def prune(program: Program) -> Program:
    """Removes dead statements and dead state. The pruned program computes bitwise identical updates.

    >>> from optsearch.dsl.syntax import parse
    >>> program = parse('''def train(w, g, m, lr):
    ...     m = m + g
    ...     update = g * lr
    ...     return update, m''')
    >>> print(prune(program), end="")
    def train(w, g, lr):
      update = g * lr
      return update
    """
    alive, needed = _alive(program)
    if all(alive) and len(needed) > len(program.state):
        return program
    return Program(
        state=tuple([name for name in program.state if name in needed]),
        body=tuple(compress(program.body, alive)),
    )


def execution_key(program: Program) -> str:
    """Key of the computation that a program executes: 32 hex digits, independent of names and dead statements.

    Programs with equal keys give bitwise identical results. Programs with equal fingerprints are semantically equal and
    may differ by rounding.
    """
    program = prune(program)
    values: dict[Argument, str] = {name: f"s{place}" for place, name in enumerate(program.state)}
    lines: list[str] = []
    for place, (target, function, args) in enumerate(program.body):
        lines.append(f"{function}({', '.join(values.get(arg, repr(arg)) for arg in args)})")
        values[target] = f"v{place}"
    outputs = [values.get(name, name) for name in (OUTPUT, *program.state)]
    return blake2b("\n".join([*lines, *outputs]).encode(), digest_size=16).hexdigest()


def _alive(program: Program) -> tuple[list[bool], set[Argument]]:
    """Returns a liveness flag per statement, and the live state variables together with ``update``."""
    body, state = program.body, program.state
    needed: set[Argument] = {OUTPUT}
    while True:
        wanted, alive = set(needed), [False] * len(body)
        index = len(body)
        for target, _, args in reversed(body):
            index -= 1
            if target in wanted:
                alive[index] = True
                wanted.discard(target)
                wanted.update(args)  # constants are harmless: no variable is named 0.5
        grown = needed.union([name for name in state if name in wanted])
        if len(grown) == len(needed):
            return alive, needed
        needed = grown
