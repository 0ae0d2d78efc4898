"""Programs as formulas, in a configurable notation.

A value that is used once is inlined at its use, so that a line is a step of the method and not a statement of the
program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from optsearch.dsl.functions import FUNCTIONS
from optsearch.dsl.program import LR, OUTPUT, Argument, G, Program, W

SUM, PRODUCT, POWER, ATOM = 1, 2, 3, 4
"""Precedence levels, from loosest to tightest."""

LONG = 60
"""Length in characters above which a value gets a line of its own."""

Levels = Mapping[str, tuple[int, tuple[int, ...]]]
"""Precedence of each function's formula, and the minimum precedence of each of its operands."""


@dataclass(frozen=True, slots=True)
class Notation:
    """A notation for formulas.

    Attributes:
        symbol: formats a variable.
        number: formats a constant.
        call: formats a call; takes the function's name and the formatted operands.
        bracket: encloses a formula in brackets.
        levels: precedence of functions. Operands of functions that are not listed need no brackets.
    """

    symbol: Callable[[str], str]
    number: Callable[[float], str]
    call: Callable[[str, Sequence[str]], str]
    bracket: Callable[[str], str]
    levels: Levels


def _text_call(function: str, operands: Sequence[str]) -> str:
    if function in _TEXT:
        return _TEXT[function].format(*operands)
    return f"{function}({', '.join(operands)})"


_TEXT = {
    "add": "{0} + {1}",
    "subtract": "{0} - {1}",
    "multiply": "{0} * {1}",
    "divide": "{0} / ({1} + 1e-8)",
    "interp": "(1 - {2}) * {0} + {2} * {1}",
    "negative": "-{0}",
    "reciprocal": "1 / ({0} + 1e-8)",
}

TEXT = Notation(
    symbol=str,
    number=lambda value: f"{value:g}",
    call=_text_call,
    bracket="({})".format,
    levels={
        "add": (SUM, (SUM, SUM)),
        "subtract": (SUM, (SUM, PRODUCT)),
        "interp": (SUM, (PRODUCT, PRODUCT, PRODUCT)),
        "negative": (SUM, (PRODUCT,)),
        "multiply": (PRODUCT, (PRODUCT, PRODUCT)),
        "divide": (PRODUCT, (PRODUCT, 0)),
        "reciprocal": (PRODUCT, (0,)),
    },
)
"""Plain text; the guard of divisions is spelled out."""

_READING = (
    (("sqrt", "log", "log2", "log10"), "{} of a negative number means that of its absolute value"),
    (("log1p",), "{}(x) means log|1 + x|"),
    (("clip",), "{}(x, a) limits x to -|a|..|a|"),
    (("clip_by_global_norm",), "{}(x, a) scales x down to a norm of |a| over all arrays"),
    (("norm",), "{} is that of one array"),
    (("global_norm",), "{} is that of all arrays together"),
    (("dot", "cosine_sim"), "{} is over all arrays together"),
    (
        ("row_norm", "row_mean", "column_norm", "column_mean"),
        "{} is that of each array read as a matrix, whose last axis holds the columns",
    ),
    (
        ("orthogonalize",),
        "{} sets the singular values of each array, read as a matrix, to about one common value, with "
        "which entries have root mean square 1",
    ),
)


def legend(program: Program) -> list[str]:
    """Returns notes on the conventions of the functions that a program calls."""
    used = {statement.function for statement in program.body}
    return [words.format(name) for names, words in _READING for name in names if name in used]


Formula = tuple[str, int]
"""A formula and its precedence."""


def formulas(program: Program, notation: Notation) -> list[tuple[str, str]]:
    """Formats a program as lines of (name, formula).

    Args:
        program: a verified program without dead statements; constants may be replaced by names.
        notation: the notation.

    Returns:
        The lines in order. A name that is assigned again refers to its new value from the next line on.
    """
    own_line = _own_lines(program)
    values: dict[str, Formula] = {}
    lines: list[tuple[str, str]] = []
    last = {statement.target: number for number, statement in enumerate(program.body)}
    for number, (target, function, args) in enumerate(program.body):
        formula = _formula(function, [_operand(arg, values, notation) for arg in args], notation)
        final = last[target] == number and target in program.signature.outputs
        if final or own_line[number] or len(formula[0]) > LONG:
            name = target if final else _unique("u" if target == OUTPUT else target, lines, program)
            lines.append((name, formula[0]))
            values[target] = notation.symbol(name), ATOM
        else:
            values[target] = formula
    return lines


def _own_lines(program: Program) -> list[bool]:
    """For each statement, True if its value needs a line: it is read twice, or after a change of its state."""
    readers: list[list[int]] = [[] for _ in program.body]
    where: dict[str, int] = {}
    below: list[list[str | int]] = []
    for number, (target, _, args) in enumerate(program.body):
        sources = [where.get(arg, arg) for arg in args if isinstance(arg, str)]
        for source in sources:
            if isinstance(source, int):
                readers[source].append(number)
        below.append(sources)
        where[target] = number
    changes = {name: where[name] for name in program.state if name in where}
    reads: list[set[str]] = []
    own_line: list[bool] = []
    for number, sources in enumerate(below):
        seen: set[str] = set()
        for source in sources:
            seen |= {source} if isinstance(source, str) else set() if own_line[source] else reads[source]
        used = readers[number]
        stale = any(number < changes[name] < max(used, default=0) for name in seen if name in changes)
        reads.append(seen)
        own_line.append(len(used) != 1 or stale)
    return own_line


def _operand(arg: Argument, values: Mapping[str, Formula], notation: Notation) -> Formula:
    if isinstance(arg, str):
        return values.get(arg) or (notation.symbol(arg), ATOM)
    return notation.number(arg), ATOM if arg >= 0 else SUM


def _formula(function: str, operands: Sequence[Formula], notation: Notation) -> Formula:
    level, needed = notation.levels.get(function, (POWER, (0,) * len(operands)))
    texts = [
        text if own >= least else notation.bracket(text) for (text, own), least in zip(operands, needed, strict=True)
    ]
    return notation.call(function, texts), level


def _unique(target: str, lines: Sequence[tuple[str, str]], program: Program) -> str:
    """Returns a name for an intermediate value that does not clash with a line, a variable or a function."""
    taken = {name for name, _ in lines} | {W, G, LR, *program.signature.outputs} | FUNCTIONS.keys()
    name, number = target, 2
    while name in taken:
        name, number = f"{target}{number}", number + 1
    return name
