"""Programs for readers: an algorithm box in LaTeX, pseudocode, and JSON.

Values that are used once are written where they are used, so that a line of the box is a step of the method and not of
the program.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from dsl.dataflow import prune
from dsl.fingerprint import FINGERPRINT_VERSION, fingerprint
from dsl.functions import FUNCTIONS
from dsl.parameters import parametrised
from dsl.program import OUTPUT, Argument, Program

_SUM, _PRODUCT, _POWER, _ATOM = 1, 2, 3, 4

_LEVELS: Mapping[str, tuple[int, tuple[int, ...]]] = {
    "add": (_SUM, (_SUM, _SUM)),
    "subtract": (_SUM, (_SUM, _PRODUCT)),
    "interp": (_SUM, (_PRODUCT, _PRODUCT, _PRODUCT)),
    "multiply": (_PRODUCT, (_PRODUCT, _PRODUCT)),
    "negative": (_PRODUCT, (_PRODUCT,)),
    "square": (_POWER, (_ATOM,)),
    "cube": (_POWER, (_ATOM,)),
    "power": (_POWER, (_ATOM, 0)),
    "divide": (_POWER, (0, 0)),
    "reciprocal": (_POWER, (0,)),
}
"""How tightly a call's formula holds together, and how tightly its operands have to; others stand in brackets."""

_LONG = 60
"""Characters beyond which a value gets a line of its own."""

_GREEK = {"beta": r"\beta", "weight_decay": r"\lambda", "lr": r"\eta", "w": r"\theta", "g": "g", "scale": r"\alpha"}


def to_latex(program: Program, title: str = "An optimizer") -> str:
    """An algorithm box, for the packages ``algorithm`` and ``algpseudocode``.

    Args:
        program: a verified program; its dead statements are left out.
        title: caption.

    Returns:
        LaTeX source of one ``algorithm`` environment.
    """
    program = prune(program)
    named = parametrised(program)
    constants = ", ".join(f"${_symbol(name)} = {_number(value)}$" for name, value in named.defaults.items())
    state = ", ".join(f"${_symbol(name)}$" for name in program.state)
    needs = [r"gradient $g$ and schedule $\eta$ at every step", *([f"constants {constants}"] if constants else [])]
    lines = [
        r"\begin{algorithm}",
        rf"\caption{{{_escaped(title)}}}",
        r"\begin{algorithmic}[1]",
        rf"\Require {'; '.join(needs)}",
        *([rf"\State {state} $\gets 0$"] if state else []),
        r"\While{not converged}",
        *(rf"  \State ${_symbol(name)} \gets {formula}$" for name, formula in _formulas(named.program)),
        r"  \State $\theta \gets \theta - \Delta$",
        r"\EndWhile",
        r"\end{algorithmic}",
        r"\end{algorithm}",
    ]
    return "\n".join(lines) + "\n"


def to_pseudocode(program: Program, title: str = "An optimizer") -> str:
    """The program in words and arrows, its constants listed at the top.

    Args:
        program: a verified program; its dead statements are left out.
        title: first line.

    Returns:
        Plain text.
    """
    program = prune(program)
    named = parametrised(program)
    lines = [title, "inputs: weights w, gradient g, learning rate lr"]
    if program.state:
        lines.append(f"state: {', '.join(program.state)}, zero at first")
    lines += [f"{name} = {value:g}" for name, value in named.defaults.items()]
    lines.append("at every step:")
    for target, function, args in named.program.body:
        infix = FUNCTIONS[function].infix
        texts = [arg if isinstance(arg, str) else f"{arg:g}" for arg in args]
        if function == "interp":
            right = f"(1 - {texts[2]}) * {texts[0]} + {texts[2]} * {texts[1]}"
        elif infix:
            right = f"{texts[0]} {infix} {texts[1]}"
        else:
            right = f"{function}({', '.join(texts)})"
        lines.append(f"    {target} <- {right}")
    return "\n".join([*lines, "    w <- w - update"]) + "\n"


def to_json(program: Program, title: str = "An optimizer") -> str:
    """The program as data.

    Args:
        program: a verified program; its dead statements are left out.
        title: its name.

    Returns:
        A JSON object: name, text, state, statements, constants by role, and the fingerprint with its version.
    """
    program = prune(program)
    values: dict[str, Any] = {
        "name": title,
        "text": str(program),
        "state": list(program.state),
        "statements": [{"target": s.target, "function": s.function, "args": list(s.args)} for s in program.body],
        "constants": dict(parametrised(program).defaults),
        "fingerprint": fingerprint(program),
        "fingerprint_version": FINGERPRINT_VERSION,
    }
    return json.dumps(values, indent=2, allow_nan=False) + "\n"


Formula = tuple[str, int]
"""LaTeX and how tightly it holds together."""


def _formulas(program: Program) -> list[tuple[str, str]]:
    """Name and formula of every line."""
    own_line = _own_lines(program)
    values: dict[str, Formula] = {}
    lines: list[tuple[str, str]] = []
    last = {statement.target: number for number, statement in enumerate(program.body)}
    for number, (target, function, args) in enumerate(program.body):
        formula = _formula(function, [_operand(arg, values) for arg in args])
        final = last[target] == number and target in program.outputs
        if final or own_line[number] or len(formula[0]) > _LONG:
            name = target if final else _unique("u" if target == OUTPUT else target, lines, program)
            lines.append((name, formula[0]))
            values[target] = _symbol(name), _ATOM
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


def _operand(arg: Argument, values: Mapping[str, Formula]) -> Formula:
    if isinstance(arg, str):
        return values.get(arg) or (_symbol(arg), _ATOM)
    return (_number(arg), _ATOM if arg >= 0 else _SUM)


def _formula(function: str, operands: Sequence[Formula]) -> Formula:
    level, needed = _LEVELS.get(function, (_POWER, (0,) * len(operands)))
    texts = [
        text if own >= least else rf"\left({text}\right)" for (text, own), least in zip(operands, needed, strict=True)
    ]
    return FUNCTIONS[function].latex.format(*texts), level


def _unique(target: str, lines: Sequence[tuple[str, str]], program: Program) -> str:
    """A name for a value in between that no line and no variable has."""
    taken = {name for name, _ in lines} | {"w", "g", "lr", *program.outputs}
    name, number = target, 2
    while name in taken:
        name, number = f"{target}{number}", number + 1
    return name


def _symbol(name: str) -> str:
    if name == OUTPUT:
        return r"\Delta"
    stem = name.rstrip("0123456789")
    digits = name[len(stem) :]
    if stem in _GREEK:
        symbol = _GREEK[stem]
    elif len(stem) == 1:
        symbol = stem
    else:
        symbol = rf"\mathrm{{{_escaped(stem)}}}"
    return f"{symbol}_{{{digits}}}" if digits else symbol


def _number(value: float) -> str:
    text = f"{value:.6g}"
    if "e" not in text:
        return text
    mantissa, exponent = text.split("e")
    power = f"10^{{{int(exponent)}}}"
    return power if mantissa == "1" else rf"{mantissa} \cdot {power}"


def _escaped(text: str) -> str:
    """Text without anything that LaTeX would act on."""
    return "".join(
        rf"\{c}" if c in "_&%$#{}" else c for c in text if c.isascii() and c.isprintable() and c not in r"\^~"
    )
