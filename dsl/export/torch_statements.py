"""Statements of a program as lines of PyTorch, on arrays of one shape or on lists of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from optsearch.dsl.functions import FUNCTIONS, Function, Scope
from optsearch.dsl.program import Program, Statement
from optsearch.dsl.types import Kind
from optsearch.dsl.verify import input_kinds


def joined_lines(program: Program, constants: Mapping[str, float], results: Sequence[Kind]) -> list[str]:
    """Statements on arrays of one shape. An operation on a variable that is a result itself is done in place."""
    own: set[str] = set()
    lines: list[str] = []
    for statement, kind in zip(program.body, results, strict=True):
        target, infix = statement.target, FUNCTIONS[statement.function].infix
        if infix in ("+", "-", "*") and target in own and target == statement.args[0] != statement.args[1]:
            other = statement.args[1]
            lines.append(f"{target} {infix}= {other if isinstance(other, str) else repr(other)}")
        else:
            lines.append(f"{target} = {_expression(statement, constants)}")
        own = own | {target} if kind is Kind.LEAF else own - {target}
    return lines


def apart_lines(program: Program, constants: Mapping[str, float], results: Sequence[Kind]) -> list[str]:
    """Statements on lists of tensors; values that are not scalars are computed tensor by tensor."""
    kinds = input_kinds(program) | dict.fromkeys(constants, Kind.SCALAR)
    lines: list[str] = []
    for statement, kind in zip(program.body, results, strict=True):
        code, function = _expression(statement, constants), FUNCTIONS[statement.function]
        wide = list(dict.fromkeys(a for a in statement.args if isinstance(a, str) and kinds[a] is not Kind.SCALAR))
        if wide and not _takes_lists(function):
            names = ", ".join(wide)
            code = f"[{code} for {names} in {names if len(wide) == 1 else f'zip({names})'}]"
        lines.append(f"{statement.target} = {code}")
        kinds[statement.target] = kind
    return lines


def _takes_lists(function: Function) -> bool:
    """True for functions of the whole tree, and for those of matrices, which compute matrices of one shape together."""
    return function.scope is Scope.TREE or (function.scope is Scope.MATRIX and not function.removes)


def _expression(statement: Statement, constants: Mapping[str, float]) -> str:
    """The right-hand side; constants become tensors where a torch function requires them.

    An EMA with a constant decay is one fused addition, which takes a third of the time of its formula. One minus the
    decay is a tensor too, because Python's double precision would give another number. ``torch.lerp`` is not used: it
    gives NaN where the formula gives infinity.
    """
    code = FUNCTIONS[statement.function].torch_code
    weight = statement.args[-1] if statement.function == "interp" else None
    if isinstance(weight, str) and weight in constants:
        x, y = (f"number({a})" if a in constants or not isinstance(a, str) else a for a in statement.args[:2])
        return f"torch.add((number(1.0) - {weight}) * {x}, {y}, alpha={weight})"
    alone = not any(isinstance(arg, str) for arg in statement.args)
    called = "torch." in code
    args: list[str] = []
    for arg in statement.args:
        if isinstance(arg, str):
            args.append(f"number({arg})" if called and arg in constants else arg)
        elif alone or called:
            args.append(f"number({arg!r})")
        else:
            args.append(f"({arg!r})" if arg < 0 else repr(arg))
    code = code.format(*args)
    return code if args else f"number({code})"
