"""Syntax highlighting of program text, for HTML and for the terminal.

Statements that cannot influence the update are dimmed; in programs of a search they are the majority.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape
from rich.text import Text

from optsearch.dsl.dataflow import liveness
from optsearch.dsl.functions import FUNCTIONS
from optsearch.dsl.program import OUTPUT, Program

STYLES = {
    "keyword": "magenta",
    "function": "cyan",
    "number": "yellow",
    "state": "bold green",
    "output": "bold",
    "dead": "dim",
}
"""Terminal style of each kind of token; the HTML report has a CSS class of the same name."""

_TOKEN = re.compile(
    r"(?P<number>(?<![A-Za-z_0-9])[0-9.][0-9.eE+-]*)|(?P<name>[A-Za-z_][A-Za-z_0-9]*)|(?P<other>[^A-Za-z_0-9.]+|\.)"
)


class Token(NamedTuple):
    """A piece of text and its kind, a key of ``STYLES``; the kind of plain text is empty."""

    kind: str
    text: str


def tokens(line: str, state: Sequence[str] = ()) -> list[Token]:
    """Tokenizes a line of program text; the concatenated tokens equal the line.

    Args:
        line: the line.
        state: names of the state variables.
    """
    found: list[Token] = []
    for match in _TOKEN.finditer(line):
        text, kind = match.group(), match.lastgroup
        if kind == "name":
            words = {"def": "keyword", "return": "keyword", OUTPUT: "output"}
            kind = words.get(text, "function" if text in FUNCTIONS else "state" if text in state else "")
        found.append(Token("number" if kind == "number" else "" if kind == "other" else str(kind), text))
    return found


def html_lines(program: Program) -> list[Markup]:
    """Renders each line of a program as HTML."""
    lines = str(program).rstrip("\n").split("\n")
    alive = (True, *liveness(program).statements, True)
    return [html_line(line, program.state, dead=not live) for line, live in zip(lines, alive, strict=True)]


def html_line(line: str, state: Sequence[str] = (), *, dead: bool = False) -> Markup:
    """Renders a line as HTML; every character is escaped as text."""
    spans = Markup("").join(
        Markup('<span class="{}">{}</span>').format(kind, text) if kind else escape(text)
        for kind, text in tokens(line, state)
    )
    return Markup('<span class="dead" title="cannot influence the update">{}</span>').format(spans) if dead else spans


def terminal_text(program: Program, indent: str = "  ") -> Text:
    """Renders a program for the terminal."""
    result = Text()
    alive = (True, *liveness(program).statements, True)
    for line, live in zip(str(program).rstrip("\n").split("\n"), alive, strict=True):
        result.append("\n" if result else "").append(indent)
        for kind, text in tokens(line, program.state):
            result.append(text, STYLES["dead"] if not live else STYLES.get(kind, ""))
    return result
