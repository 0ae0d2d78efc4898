"""Shared parts of exported Python files: docstrings, helper functions, line wrapping."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from textwrap import wrap

from optsearch.dsl.cost import cost
from optsearch.dsl.export.arguments import Prepared
from optsearch.dsl.export.formulas import TEXT, formulas, legend
from optsearch.dsl.functions import FUNCTIONS, Function
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.parameters import plain
from optsearch.dsl.program import Program
from optsearch.dsl.types import Kind

WIDTH = 120
"""Maximum line length of an exported file."""

LONGEST_TITLE = 100

_PLAIN_POWER = re.compile(r"(?<![\w.])([\w.]+) \*\* ([\w.]+)(?![\w.(])")
"""A power of two names or numbers, which is written without spaces by convention."""

_CALL = re.compile(r"(?<![\w.])(\w+)\(")
"""A call of a function that the file defines."""

_OPENING = {")": "(", "]": "[", "}": "{"}


def about(title: str, made: Prepared, needs: str, notes: Sequence[str]) -> str:
    """Returns the text of a file's docstring.

    Args:
        title: first line.
        made: the program, whose text and cost are included.
        needs: packages that the file imports.
        notes: further paragraphs, such as provenance and measurements.

    Returns:
        Text in which no line can end the docstring.
    """
    lines = [plain(title[:LONGEST_TITLE]), "", *(f"    {line}" for line in str(made.original).splitlines()), ""]
    lines.append(f"Weights change by -update. Needs {needs}; made by optsearch.")
    if made.rate is not None:
        ratio = f"{made.rate:g} times this lr, which" if made.rate != 1.0 else "this lr, which"
        lines += _filled(f"The learning rate of the file is {ratio} is a schedule with a peak of 1.", WIDTH)
    lines += _filled(_cost_words(made.original), WIDTH)
    for note in notes:
        lines += ["", *_filled(plain(note), WIDTH)]
    return "\n".join(lines) + "\n"


def _cost_words(program: Program) -> str:
    """State and arithmetic of a program beside those of AdamW."""
    own, other = cost(program), cost(LIBRARY["adamw"])
    return (
        f"For each parameter it keeps {own.state} number{'s' * (own.state != 1)} and does the arithmetic of "
        f"{own.arithmetic:g} additions a step; AdamW keeps {other.state} and does {other.arithmetic:g}."
    )


def method(title: str, made: Prepared, indent: str, *arguments: str) -> str:
    """Returns the docstring of the optimizer's constructor, without quotes: the formulas and their conventions.

    Args:
        title: first line.
        made: the program with named constants.
        indent: indentation of every line but the first.
        arguments: paragraphs about the arguments; empty ones are omitted.
    """
    program, width = made.named.program, WIDTH - len(indent)
    state = f", state {', '.join(program.state)} (zero at first)" if program.state else ""
    rate = "learning rate" if made.rate is not None else "rate factor"
    lines = [
        plain(title[:LONGEST_TITLE]),
        "",
        *_filled(f"At every step, for weights w, gradient g{state} and {rate} lr:", width),
        "",
    ]
    for name, formula in [*formulas(program, TEXT), ("w", "w - update")]:
        lines += _filled(f"    {name} = {formula}", width, "        ")
    if readings := legend(program):
        lines += ["", *_filled(f"Here {'; '.join(readings)}.", width)]
    for paragraph in filter(None, arguments):
        lines += ["", *_filled(paragraph, width)]
    return "\n".join([lines[0], *(f"{indent}{line}".rstrip() for line in lines[1:])])


def listed_state(state: Sequence[str], kinds: Sequence[Kind], parameters: str) -> str:
    """Describes the state variables by shape, such as ``m like the parameters; r with one number per row``."""
    words = {Kind.LEAF: f"like {parameters}", Kind.PER_ROW: "per row", Kind.PER_COLUMN: "per column"}
    named: dict[Kind, list[str]] = {}
    for name, kind in zip(state, kinds, strict=True):
        named.setdefault(kind, []).append(name)
    return "; ".join(f"{', '.join(names)} {words[kind]}" for kind, names in named.items())


def helpers(
    program: Program, definition: Callable[[Function], str], own: Mapping[str, str] = {}, always: bool = False
) -> str:
    """Definitions that a file needs for the functions that a program calls, each after those that it calls itself.

    Args:
        program: the program.
        definition: the definition of a function in the file's library; empty for one that needs none.
        own: further definitions of the file that these may call.
        always: whether the file itself calls those of ``own``.
    """
    texts = {**own, **{name: text for name, row in FUNCTIONS.items() if (text := definition(row))}}
    ordered: dict[str, str] = {}

    def add(name: str) -> None:
        if name in texts and name not in ordered:
            for called in _CALL.findall(texts[name]):
                if called != name:
                    add(called)
            ordered[name] = texts[name]

    used = {statement.function for statement in program.body}
    for name in [*(own if always else ()), *(name for name in FUNCTIONS if name in used)]:
        add(name)
    return "".join(f"\n{text}\n" for text in ordered.values())


def formatted(source: str) -> str:
    """Formats source text: code lines that exceed the limit are broken at their brackets."""
    lines: list[str] = []
    in_docstring = False
    for line in source.split("\n"):
        quotes = line.count('"""')
        lines += [line] if in_docstring or quotes else _broken(_PLAIN_POWER.sub(r"\1**\2", line))
        in_docstring ^= quotes == 1
    return "\n".join(lines)


def _broken(line: str) -> list[str]:
    """Splits a line into as many lines as it needs."""
    if len(line) <= WIDTH:
        return [line]
    target, equals, value = line.partition(" = ")
    if equals and line[-1] not in _OPENING:
        line = f"{target} = ({value})"
    place = _last_brackets(line)
    if place is None:
        return [line]
    start, end = place
    indent = line[: len(line) - len(line.lstrip())] + "    "
    inside = line[start + 1 : end].strip()
    first, last = line[: start + 1], indent[4:] + line[end:]
    if len(indent) + len(inside) <= WIDTH:
        return [first, indent + inside, last]
    clauses = _cut(inside, " for ")
    if len(clauses) == 2:
        return [first, *_broken(indent + clauses[0]), f"{indent}for {clauses[1]}", last]
    parts = _cut(inside, ",")
    if len(parts) == 1:
        return [first, *_broken(indent + inside), last]
    return [first, *(row for part in parts for row in _broken(f"{indent}{part},")), last]


def _last_brackets(line: str) -> tuple[int, int] | None:
    """Positions of the last outermost pair of brackets, closing and opening."""
    end = max(line.rfind(bracket) for bracket in _OPENING)
    depth = 0
    for place in range(end, -1, -1):
        depth += (line[place] in _OPENING) - (line[place] in _OPENING.values())
        if depth == 0 and end > place + 1 and end >= 0:
            return place, end
    return None


def _cut(inside: str, separator: str) -> list[str]:
    """Splits bracketed text at a separator outside nested brackets; the parameters of a lambda stay together."""
    parts, depth, head = [""], 0, False
    for place, character in enumerate(inside):
        depth += (character in _OPENING.values()) - (character in _OPENING)
        head = (head or parts[-1].lstrip() == "lambda") and character != ":"
        parts[-1] += character
        if depth == 0 and not head and inside.endswith(separator, 0, place + 1):
            parts[-1] = parts[-1].removesuffix(separator)
            parts.append("")
    return [part.strip() for part in parts if part.strip()]


def _filled(text: str, width: int, hanging: str = "") -> list[str]:
    """Wraps a paragraph with hanging indentation; splits words that exceed a line, but not at hyphens."""
    return wrap(text, width, subsequent_indent=hanging, break_on_hyphens=False)
