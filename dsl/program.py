"""Programs as frozen values: a list of assignment statements and the names of the state.

A program is a function that maps weights, gradient, state and learning rate to an update and the new state:

    def train(w, g, m, lr):
      update = interp(g, m, 0.9)
      ...
      return update, m

Only the parts that vary are stored: the names of the state variables (``m``) and the body. Equality is structural; use
``fingerprint`` to compare semantics.
"""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from optsearch.dsl.errors import UserError
from optsearch.dsl.functions import FUNCTIONS

Argument = str | float
"""A variable name or a constant."""

INPUTS = W, G, LR = "w", "g", "lr"
"""Weights, gradient, and the value of the learning-rate schedule; state variables come before ``lr``."""

OUTPUT = "update"
"""The variable that is subtracted from the weights."""

MAX_STATEMENTS = 200
MAX_STATE = 8
MAX_NAME_LENGTH = 32

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_RESERVED = frozenset(keyword.kwlist) | {"train"}


def shortest(value: float) -> float:
    """The number with the fewest digits that float32 rounds to the same value."""
    return float(str(np.float32(value)))


class ProgramError(UserError, ValueError):
    """A program text or program that violates a rule of the language.

    Attributes:
        line: line number, from 1; None if the error does not concern a line.
        reason: the rule and the value that violates it.
    """

    def __init__(self, reason: str, line: int | None = None, source: str | None = None, column: int | None = None):
        self.reason, self.line, self.source, self.column = reason, line, source, column
        where = "" if line is None else f"line {line}: "
        quoted = "" if not source or column is not None else f"`{source.strip()}`: "
        caret = "" if not source or column is None else f"\n  {source}\n  {' ' * column}^"
        super().__init__(f"{where}{quoted}{reason}{caret}")


class Statement(NamedTuple):
    """``target = function(*args)``."""

    target: str
    function: str
    args: tuple[Argument, ...]

    def __str__(self) -> str:
        args = [arg if isinstance(arg, str) else repr(arg) for arg in self.args]
        infix = FUNCTIONS[self.function].infix if self.function in FUNCTIONS else None
        if infix is not None and len(args) == 2:
            return f"{self.target} = {args[0]} {infix} {args[1]}"
        return f"{self.target} = {self.function}({', '.join(args)})"


class Signature(NamedTuple):
    """The variables that a program shares with its caller.

    Attributes:
        inputs: names of the parameters, in order: weights, gradient, the state, the learning rate.
        outputs: names of the returned variables, in order: the update, the state.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __str__(self) -> str:
        return f"({', '.join(self.inputs)}) -> {', '.join(self.outputs)}"


@dataclass(frozen=True, slots=True)
class Program:
    """An optimizer program.

    Attributes:
        state: names of the state variables. Each has the shapes of the parameters and is zero before the first step.
        body: the statements, in order.
    """

    state: tuple[str, ...]
    body: tuple[Statement, ...]

    @property
    def signature(self) -> Signature:
        """Inputs and outputs."""
        return Signature((W, G, *self.state, LR), (OUTPUT, *self.state))

    def __repr__(self) -> str:
        state = f"state {', '.join(self.state)}" if self.state else "no state"
        return f"<Program: {len(self.body)} statements, {state}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Notebooks display the text."""
        printer.text(str(self))

    def __str__(self) -> str:
        lines = [f"def train({', '.join(self.signature.inputs)}):"]
        lines += [f"  {statement}" for statement in self.body]
        lines += [f"  return {', '.join(self.signature.outputs)}"]
        return "\n".join(lines) + "\n"


def name_fault(name: str) -> str | None:
    """Returns the reason why ``name`` is not a valid variable name; None if it is valid."""
    if not _NAME.match(name):
        return f"'{name}' is not a name: use letters, digits and underscores, not starting with a digit"
    if len(name) > MAX_NAME_LENGTH:
        return f"'{name[:MAX_NAME_LENGTH]}...' is too long: a name has at most {MAX_NAME_LENGTH} characters"
    if name in _RESERVED:
        return f"'{name}' is reserved: choose another name"
    if name in FUNCTIONS:
        return f"'{name}' is a function: choose another name for the variable"
    return None
