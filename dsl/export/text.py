"""Programs as text: a LaTeX algorithm box, pseudocode, and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from optsearch.dsl.export.arguments import prepared
from optsearch.dsl.export.formulas import ATOM, POWER, PRODUCT, SUM, TEXT, Notation, formulas, legend
from optsearch.dsl.fingerprint import FINGERPRINT_VERSION, fingerprint
from optsearch.dsl.functions import FUNCTIONS
from optsearch.dsl.parameters import plain
from optsearch.dsl.program import OUTPUT, Program

_LEVELS = {
    "add": (SUM, (SUM, SUM)),
    "subtract": (SUM, (SUM, PRODUCT)),
    "interp": (SUM, (PRODUCT, PRODUCT, PRODUCT)),
    "multiply": (PRODUCT, (PRODUCT, PRODUCT)),
    "negative": (SUM, (PRODUCT,)),
    "square": (POWER, (ATOM,)),
    "cube": (POWER, (ATOM,)),
    "power": (POWER, (ATOM, 0)),
    "divide": (POWER, (0, 0)),
    "reciprocal": (POWER, (0,)),
}

_GREEK = {"beta": r"\beta", "weight_decay": r"\lambda", "lr": r"\eta", "w": r"\theta", "g": "g", "scale": r"\alpha"}


def to_latex(program: Program, title: str = "An optimizer", notes: Sequence[str] = ()) -> str:
    """Formats a program as a LaTeX algorithm box. A comment lists the packages that it needs.

    Args:
        program: a verified program; dead statements are omitted.
        title: caption.
        notes: comment lines, such as provenance.

    Returns:
        LaTeX source of one ``algorithm`` environment.
    """
    made = prepared(program)
    named, program = made.named, made.program
    constants = ", ".join(f"${_symbol(name)} = {_number(value)}$" for name, value in named.defaults.items())
    rate = "rate factor $\\eta$" if made.rate is None else rf"learning rate $\eta$ (${_number(made.rate)}$)"
    needs = [rf"weights $\theta$, loss $f$, {rate}", *([f"constants {constants}"] if constants else [])]
    lines = [
        r"% Needs \usepackage{amsmath}, \usepackage{algorithm} and \usepackage{algpseudocode}.",
        *(f"% {plain(note)}" for note in notes),
        r"\begin{algorithm}",
        rf"\caption{{{_escaped(title)}}}",
        r"\begin{algorithmic}[1]",
        rf"\Require {'; '.join(needs)}",
        *([rf"\State ${', '.join(map(_symbol, program.state))} \gets 0$"] if program.state else []),
        r"\While{$\theta$ not converged}",
        r"  \State $g \gets \nabla f(\theta)$",
        *(rf"  \State ${_symbol(name)} \gets {formula}$" for name, formula in formulas(named.program, _LATEX)),
        r"  \State $\theta \gets \theta - \Delta$",
        r"\EndWhile",
        r"\end{algorithmic}",
        r"\end{algorithm}",
    ]
    return "\n".join(lines) + "\n"


def to_pseudocode(program: Program, title: str = "An optimizer", notes: Sequence[str] = ()) -> str:
    """Formats a program as pseudocode, with its constants listed first.

    Args:
        program: a verified program; dead statements are omitted.
        title: first line.
        notes: lines printed after the program.

    Returns:
        Plain text.
    """
    made = prepared(program)
    named, program = made.named, made.program
    rate = "rate factor lr" if made.rate is None else f"learning rate lr ({made.rate:g})"
    lines = [plain(title).rstrip("."), f"inputs: weights w, gradient g, {rate}"]
    if program.state:
        lines.append(f"state: {', '.join(program.state)}, zero at first")
    lines += [f"{name} = {value:g}" for name, value in named.defaults.items()]
    lines.append("at every step:")
    lines += [f"    {name} <- {formula}" for name, formula in formulas(named.program, TEXT)]
    lines.append("    w <- w - update")
    lines += [f"({words})" for words in legend(program)]
    return "\n".join([*lines, *map(plain, notes)]) + "\n"


def to_json(program: Program, title: str = "An optimizer", notes: Sequence[str] = ()) -> str:
    """Serialises a program as JSON.

    Args:
        program: a verified program; dead statements are omitted.
        title: name of the program.
        notes: notes to include.

    Returns:
        A JSON object: name, text, state, statements, the learning rate at ``lr`` = 1 (null if the update is not
        proportional to ``lr``), the other constants by role, the fingerprint with its version, and notes.
    """
    made = prepared(program)
    program = made.original
    values: dict[str, Any] = {
        "name": title,
        "text": str(program),
        "state": list(program.state),
        "statements": [{"target": s.target, "function": s.function, "args": list(s.args)} for s in program.body],
        "learning_rate": made.rate,
        "constants": dict(made.named.defaults),
        "fingerprint": fingerprint(program),
        "fingerprint_version": FINGERPRINT_VERSION,
        "notes": list(notes),
    }
    return json.dumps(values, indent=2, allow_nan=False) + "\n"


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
    """Escapes characters that are special in LaTeX."""
    return "".join(
        rf"\{c}" if c in "_&%$#{}" else c for c in text if c.isascii() and c.isprintable() and c not in r"\^~"
    )


_LATEX = Notation(
    symbol=_symbol,
    number=_number,
    call=lambda function, operands: FUNCTIONS[function].latex.format(*operands),
    bracket=lambda text: rf"\left({text}\right)",
    levels=_LEVELS,
)
