"""Verification: what may run, and what kind every value has.

A program that passes never raises when executed, on any parameter tree: every variable is assigned before it is read,
every call has the operands that its function's row asks for, and ``update`` and the state hold one number for each
parameter. Kinds do not depend on the tree, so that one verification serves every model; ``Kind.shapes`` turns them
into shapes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from optsearch.dsl.functions import ANY, FUNCTIONS, Function
from optsearch.dsl.program import (
    INPUTS,
    LR,
    MAX_STATE,
    MAX_STATEMENTS,
    OUTPUT,
    Program,
    ProgramError,
    Statement,
    name_fault,
)
from optsearch.dsl.types import Kind

MAX_CONSTANT = 3.4028234663852886e38
"""Largest float32: programs run in float32."""


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the known name closest to ``name``, or an empty string."""
    match = get_close_matches(name, list(known), n=1, cutoff=0.6) if name else []
    return f"; did you mean '{match[0]}'?" if match else ""


def input_kinds(program: Program) -> dict[str, Kind]:
    """Kind of each parameter of the program: ``lr`` is a scalar, all others hold one number for each parameter."""
    kinds = dict.fromkeys(program.signature.inputs, Kind.LEAF)
    kinds[LR] = Kind.SCALAR
    return kinds


def result_kind(function: Function, operands: Sequence[Kind]) -> Kind:
    """Kind that ``function`` gives for accepted operand kinds."""
    if function.result is not None:
        return function.result
    return max(operands, default=Kind.SCALAR)


TARGET = -1


class Violation(Exception):  # noqa: N818 - it never reaches a user: it becomes a ProgramError
    """A broken rule, before it is known on which line of which text.

    Args:
        reason: the rule and the value that breaks it.
        statement: index of the statement; -1 for the signature, the number of statements for ``return``.
        operand: index of the operand, ``TARGET`` for the variable that is assigned; None for the whole statement.
        known: the right names for ``name``, of which the nearest is suggested.
        name: the wrong name.
    """

    def __init__(
        self, reason: str, statement: int, operand: int | None = None, name: str = "", known: Iterable[str] = ()
    ):
        super().__init__(reason, statement, operand)
        self.statement, self.operand = statement, operand
        self._reason, self._name, self._known = reason, name, known

    @property
    def reason(self) -> str:
        """The rule, with the nearest right name."""
        return self._reason + nearest(self._name, self._known)


def verify(program: Program) -> tuple[Kind, ...]:
    """Checks every rule of the language and gives each statement's kind.

    Args:
        program: any program, well-formed or not.

    Returns:
        Kind of each statement's result, in order.

    Raises:
        ProgramError: a name is not allowed; a function is unknown or has the wrong number or kinds of operands; a
            variable is read before it is assigned; a constant is not a finite float32; ``update`` is missing;
            ``update`` or a state variable does not have the parameters' shape; a limit on size is passed. The line is
            that of ``str(program)``.

    >>> from optsearch.dsl.program import Statement
    >>> first, second = Statement("size", "norm", ("g",)), Statement("update", "divide", ("g", "size"))
    >>> [str(kind) for kind in verify(Program(state=(), body=(first, second)))]
    ['per_leaf', 'leaf']
    >>> verify(Program(state=(), body=(second, first)))
    Traceback (most recent call last):
        ...
    optsearch.dsl.program.ProgramError: line 2: `update = g / size`: 'size' is read before it is assigned
    """
    try:
        return check(program)
    except Violation as fault:
        inside = 0 <= fault.statement < len(program.body)
        source = str(program.body[fault.statement]) if inside else None
        raise ProgramError(fault.reason, fault.statement + 2, source) from None


def check(program: Program) -> tuple[Kind, ...]:
    """The same as ``verify`` for those who know the lines themselves.

    Raises:
        Fault: a rule is broken.
    """
    _check_state(program.state)
    if len(program.body) > MAX_STATEMENTS:
        raise Violation(f"a program has at most {MAX_STATEMENTS} statements, got {len(program.body)}", -1)
    scope = input_kinds(program)
    kinds = tuple([_kind(statement, scope, index) for index, statement in enumerate(program.body)])
    _check_outputs(program, scope)
    return kinds


def scope_before(program: Program, place: int) -> dict[str, Kind]:
    """Kind of every variable that is assigned before the statement at ``place`` of a verified program."""
    scope = input_kinds(program)
    for statement in program.body[:place]:
        scope[statement.target] = statement_kind(statement, scope)
    return scope


def is_valid_from(program: Program, place: int, scope: Mapping[str, Kind]) -> bool:
    """Whether a program is valid of which all before ``place`` is known to be.

    Args:
        program: its state and the statements before ``place`` are those of a verified program.
        place: index of the first statement in doubt.
        scope: ``scope_before(program, place)``.
    """
    body, scope = program.body, dict(scope)
    try:
        for index in range(place, len(body)):
            _kind(body[index], scope, index)
        _check_outputs(program, scope)
    except Violation:
        return False
    return len(body) <= MAX_STATEMENTS


def statement_kind(statement: Statement, scope: Mapping[str, Kind]) -> Kind:
    """Kind of a valid statement's result where the variables have the given kinds."""
    _, kind, _ = _ROWS[statement.function]
    if kind is not None:
        return kind
    kind = _SCALAR
    for arg in statement.args:
        if isinstance(arg, str) and scope[arg] > kind:
            kind = scope[arg]
    return kind


_SCALAR = Kind.SCALAR
_ROWS = {
    name: (function.operands, function.result, all(accepted == ANY for accepted in function.operands))
    for name, function in FUNCTIONS.items()
}
"""What verification reads of each function: accepted kinds, kind of the result, whether operands may be anything."""


def _kind(statement: Statement, scope: dict[str, Kind], index: int) -> Kind:
    """Checks one statement, gives its kind and puts its target in scope."""
    target, name, args = statement
    row = _ROWS.get(name)
    if row is None:
        raise Violation(f"unknown function '{name}'", index, None, name, FUNCTIONS)
    accepted, kind, anything = row
    if len(args) != len(accepted):
        plural = "" if len(accepted) == 1 else "s"
        raise Violation(f"{name} takes {len(accepted)} operand{plural}, got {len(args)}", index)
    largest = _SCALAR
    for position, arg in enumerate(args):
        if isinstance(arg, str):
            found = scope.get(arg)
            if found is None:
                raise Violation(f"'{arg}' is read before it is assigned", index, position, arg, scope)
            if found > largest:
                largest = found
        else:
            found = _SCALAR
            if not -MAX_CONSTANT <= arg <= MAX_CONSTANT:
                raise Violation(f"constant {arg!r} is not a finite float32 number", index, position)
        if not anything and found not in accepted[position]:
            wanted = " or ".join(str(k) for k in sorted(accepted[position]))
            raise Violation(
                f"operand {position + 1} of {name} must be a {wanted}, '{arg}' is a {found}", index, position
            )
    if target not in scope:
        fault = name_fault(target)
        if fault:
            raise Violation(fault, index, TARGET)
    if kind is None:
        kind = largest
    scope[target] = kind
    return kind


def _check_state(state: tuple[str, ...]) -> None:
    if len(state) > MAX_STATE:
        raise Violation(f"a program has at most {MAX_STATE} state variables, got {len(state)}", -1)
    for index, name in enumerate(state):
        fault = name_fault(name)
        if name in INPUTS:
            fault = f"'{name}' is an input and cannot be state"
        elif name == OUTPUT:
            fault = f"'{OUTPUT}' is the output and cannot be state"
        elif name in state[:index]:
            fault = f"parameter '{name}' appears twice"
        if fault:
            raise Violation(fault, -1)


def _check_outputs(program: Program, scope: Mapping[str, Kind]) -> None:
    for position, name in enumerate(program.signature.outputs):
        kind = scope.get(name)
        if kind is None:
            raise Violation(f"'{name}' is returned but never assigned", len(program.body), position)
        if kind is not Kind.LEAF:
            raise Violation(
                f"'{name}' is returned as a {kind}: update and state must have the shape of the parameters "
                "(combine it with w, g or a state variable)",
                len(program.body),
                position,
            )
