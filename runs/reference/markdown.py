"""Tables and text in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

GENERATED = "<!-- Generated from the code: python -m optsearch.runs.reference docs -->"
"""First line of every generated page."""


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; line breaks within cells become spaces."""
    lines = [columns, ["---"] * len(columns), *rows]
    return (
        "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)
        .replace("| --- ", "|---")
        .replace("|--- |", "|---|")
    )


def code(text: object) -> str:
    """A text in the type of code."""
    return f"`{text}`"


def prose(docstring: str) -> str:
    """Text of a docstring as Markdown: literals between double backticks are code."""
    return docstring.replace("``", "`")


def settings_words(text: str) -> str:
    """A description of values in Python for files and JSON."""
    for name, own in (("None", "null"), ("True", "true"), ("False", "false")):
        text = re.sub(rf"\b{name}\b", f"`{own}`", text)
    return text


def page(title: str, *blocks: str) -> str:
    """A generated page: its title and blocks, separated by blank lines."""
    return "\n\n".join((GENERATED, f"# {title}", *(block.strip() for block in blocks))) + "\n"


def sentence(text: str) -> str:
    """A description with a capital and a full stop; one that begins with a literal stays as it is."""
    text = text.strip()
    text = text if not text or text[0] == "`" or "_" in text.split()[0] else text[0].upper() + text[1:]
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))
