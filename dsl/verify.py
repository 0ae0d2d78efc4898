"""The type checker: accepts or rejects a program, and infers the kind of every value.

A verified program never raises when executed, on any parameter tree: every variable is assigned before it is read,
every call matches the operands of its function's row, and ``update`` and the state have the kind ``LEAF``. Kinds do not
depend on the tree, so one verification is valid for every model; ``Kind.shapes`` turns kinds into shapes.
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
from optsearch.dsl.types import KINDS, Kind

MAX_CONSTANT = 3.4028234663852886e38
"""Largest float32 number: programs run in float32."""


def nearest_name(name: str, known: Iterable[str], similarity: float = 0.6) -> str | None:
    """Returns the known name nearest to ``name``, ignoring case; None if none is similar enough.

    Args:
        name: the wrong name.
        known: the right names.
        similarity: minimum similarity, from 0 (any name) to 1 (equal names).
    """
    names = {right.lower(): right for right in known}
    match = get_close_matches(name.lower(), names, n=1, cutoff=similarity) if name else []
    return names[match[0]] if match else None


def nearest(name: str, known: Iterable[str], similarity: float = 0.6) -> str:
    """Returns ``; did you mean 'x'?`` for the known name nearest to ``name``, or an empty string."""
    found = nearest_name(name, known, similarity)
    return f"; did you mean '{found}'?" if found else ""


def input_kinds(program: Program) -> dict[str, Kind]:
    """Kinds of the program's parameters: ``SCALAR`` for ``lr``, ``LEAF`` for all others."""
    kinds = dict.fromkeys(program.signature.inputs, Kind.LEAF)
    kinds[LR] = Kind.SCALAR
    return kinds


def state_kinds(program: Program) -> tuple[Kind, ...]:
    """The smallest kind that holds the values of each state variable: ``PER_ROW``, ``PER_COLUMN`` or ``LEAF``.

    State starts at zero and takes at every step its last value, so the kinds are the least fixed point of the kinds of
    the statements. A value that does not differ along rows or columns needs one number for each of the others. Where a
    function such as ``dot``, or the update, needs more than these numbers, all state is ``LEAF``. Results are the same
    for either.

    Args:
        program: a verified program.
    """
    whole = dict.fromkeys(program.state, Kind.LEAF)
    if not any(name in _NARROW for _, name, _ in program.body):
        return tuple(whole.values())
    kinds = dict.fromkeys(program.state, Kind.SCALAR)
    while True:
        scope = input_kinds(program) | kinds
        for statement in program.body:
            scope[statement.target] = statement_kind(statement, scope)
        after = {name: KINDS[kinds[name] | scope[name]] for name in kinds}
        if after == kinds:
            small = dict.fromkeys([n for n, kind in kinds.items() if kind in (Kind.SCALAR, Kind.PER_LEAF)], Kind.LEAF)
            if not small:
                break
            after |= small
        kinds = after
    scope = input_kinds(program) | kinds
    try:
        for index, statement in enumerate(program.body):
            _kind(statement, scope, index)
    except Violation:
        return tuple(whole.values())
    kept = all(scope[name] is kind for name, kind in kinds.items()) and scope[OUTPUT] is Kind.LEAF
    return tuple(kinds.values()) if kept else tuple(whole.values())


def result_kind(function: Function, operands: Sequence[Kind]) -> Kind:
    """Kind of the result of ``function`` for accepted operand kinds."""
    if function.result is not None:
        return function.result
    bits = 0
    for operand in operands:
        bits |= operand
    return KINDS[bits & ~function.removes]


TARGET = -1


class Violation(Exception):  # noqa: N818 - it never reaches a user: it becomes a ProgramError
    """A violated rule, without the position in the source text.

    Args:
        reason: the rule and the value that violates it.
        statement: index of the statement; -1 for the signature, the number of statements for ``return``.
        operand: index of the operand, ``TARGET`` for the assigned variable; None for the whole statement.
        known: valid names; the nearest to ``name`` is suggested.
        name: the invalid name.
    """

    def __init__(
        self, reason: str, statement: int, operand: int | None = None, name: str = "", known: Iterable[str] = ()
    ):
        super().__init__(reason, statement, operand)
        self.statement, self.operand = statement, operand
        self._reason, self._name, self._known = reason, name, known

    @property
    def reason(self) -> str:
        """The reason, with the suggested name."""
        return self._reason + nearest(self._name, self._known)


def verify(program: Program) -> tuple[Kind, ...]:
    """Checks every rule of the language and infers the kind of each statement.

    Args:
        program: any program, valid or not.

    Returns:
        Kind of each statement's result, in order.

    Raises:
        ProgramError: a name is invalid; a function is unknown or has the wrong number or kinds of operands; a variable
            is read before it is assigned; a constant is not a finite float32; ``update`` is missing; ``update`` or a
            state variable does not have the shape of the parameters; a size limit is exceeded. Line numbers refer to
            ``str(program)``.

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
    """The same as ``verify``, for callers that track source positions themselves.

    Raises:
        Violation: a rule is violated.
    """
    _check_state(program.state)
    if len(program.body) > MAX_STATEMENTS:
        raise Violation(f"a program has at most {MAX_STATEMENTS} statements, got {len(program.body)}", -1)
    scope = input_kinds(program)
    kinds = tuple([_kind(statement, scope, index) for index, statement in enumerate(program.body)])
    _check_outputs(program, scope)
    return kinds


def scope_before(program: Program, place: int) -> dict[str, Kind]:
    """Kinds of the variables assigned before the statement at ``place`` of a verified program."""
    scope = input_kinds(program)
    for statement in program.body[:place]:
        scope[statement.target] = statement_kind(statement, scope)
    return scope


def is_valid_from(program: Program, place: int, scope: Mapping[str, Kind]) -> bool:
    """Returns True if a program with a verified prefix is valid.

    Args:
        program: its state and the statements before ``place`` are those of a verified program.
        place: index of the first unverified statement.
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
    """Kind of a valid statement's result, for variables of the given kinds."""
    _, kind, _, kept = _ROWS[statement.function]
    if kind is not None:
        return kind
    bits = 0
    for arg in statement.args:
        if isinstance(arg, str):
            bits |= scope[arg]
    return KINDS[bits & kept]


_SCALAR = Kind.SCALAR
_ROWS = {
    name: (
        function.operands,
        function.result,
        all(accepted == ANY for accepted in function.operands),
        ~function.removes,
    )
    for name, function in FUNCTIONS.items()
}
"""The columns that verification reads: accepted kinds, kind of the result, True if the operands can be of any kind, and
the bits of the operands' kinds that the result keeps."""

_NARROW = frozenset(name for name, function in FUNCTIONS.items() if function.removes)


def _kind(statement: Statement, scope: dict[str, Kind], index: int) -> Kind:
    """Checks one statement, returns its kind and adds its target to the scope."""
    target, name, args = statement
    row = _ROWS.get(name)
    if row is None:
        raise Violation(f"unknown function '{name}'", index, None, name, FUNCTIONS)
    accepted, kind, anything, kept = row
    if len(args) != len(accepted):
        plural = "" if len(accepted) == 1 else "s"
        raise Violation(f"{name} takes {len(accepted)} operand{plural}, got {len(args)}", index)
    bits = 0
    for position, arg in enumerate(args):
        if isinstance(arg, str):
            found = scope.get(arg)
            if found is None:
                raise Violation(f"'{arg}' is read before it is assigned", index, position, arg, scope)
            bits |= found
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
        kind = KINDS[bits & kept]
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
