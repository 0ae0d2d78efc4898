"""Which statements and state variables can influence ``update``, now or at any later step.

A state variable is alive when something alive reads it at the start of a step; whatever computes its next value is
then alive too. So liveness crosses steps, and a state variable that never reaches ``update`` is dead with everything
that only feeds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from itertools import compress

from optsearch.dsl.program import OUTPUT, Argument, Program


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
    alive, needed = _alive(program)
    return Liveness(tuple(alive), tuple([name in needed for name in program.state]))


def prune(program: Program) -> Program:
    """Removes dead statements and dead state; what is left computes the same updates, bit for bit.

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
    """32 hex digits that name what a program executes, whatever its variables are called and without dead statements.

    Programs of one key give the same bits. Those of one fingerprint mean the same and may differ by rounding.
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
    """For each statement whether it is alive, and the live state variables with ``update``."""
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
                wanted.update(args)  # constants do no harm: no variable is called 0.5
        grown = needed.union([name for name in state if name in wanted])
        if len(grown) == len(needed):
            return alive, needed
        needed = grown
