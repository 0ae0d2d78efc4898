"""Programs as formulas, in any notation.

Values that are used once are written where they are used, so that a line is a step of the method and not of the
program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from optsearch.dsl.functions import FUNCTIONS
from optsearch.dsl.program import LR, OUTPUT, Argument, G, Program, W

SUM, PRODUCT, POWER, ATOM = 1, 2, 3, 4
"""How tightly a formula holds together."""

LONG = 60
"""Characters beyond which a value gets a line of its own."""

Levels = Mapping[str, tuple[int, tuple[int, ...]]]
"""For a function how tightly its formula holds together, and how tightly those of its operands have to."""


@dataclass(frozen=True, slots=True)
class Notation:
    """A way to write formulas.

    Attributes:
        symbol: how a variable is written.
        number: how a constant is written.
        call: how a function of written operands is written; takes its name and them.
        bracket: puts brackets around a formula.
        levels: where brackets are needed; operands of functions that are not in it need none.
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
"""Plain text; the guard of divisions is written out."""

_READING = (
    (("sqrt", "log", "log2", "log10"), "{} of a negative number means that of its absolute value"),
    (("log1p",), "{}(x) means log|1 + x|"),
    (("clip",), "{}(x, a) limits x to -|a|..|a|"),
    (("clip_by_global_norm",), "{}(x, a) scales x down to a norm of |a| over all arrays"),
    (("norm",), "{} is that of one array"),
    (("global_norm",), "{} is that of all arrays together"),
    (("dot", "cosine_sim"), "{} is over all arrays together"),
)


def legend(program: Program) -> list[str]:
    """What a reader has to know of the functions that a program calls."""
    used = {statement.function for statement in program.body}
    return [words.format(name) for names, words in _READING for name in names if name in used]


Formula = tuple[str, int]
"""A formula and how tightly it holds together."""


def formulas(program: Program, notation: Notation) -> list[tuple[str, str]]:
    """Name and written formula of every line.

    Args:
        program: a verified program without dead statements; constants may have been replaced by names.
        notation: how to write.

    Returns:
        Lines in order; a name that is assigned again means its new value from the next line on.
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
    """For each statement whether its value needs a line: it is read twice, or after state that it reads has changed."""
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
    """A name for a value in between that no line, no variable and no function has."""
    taken = {name for name, _ in lines} | {W, G, LR, *program.signature.outputs} | FUNCTIONS.keys()
    name, number = target, 2
    while name in taken:
        name, number = f"{target}{number}", number + 1
    return name
