"""Blocks of code in the Markdown pages of the repository."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: path of its page, relative to the repository.
        line: line of its first line of code.
        language: name after the fence; empty without.
        text: its code.
    """

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """Lines of a shell block, without lines of comments; one that ends in a backslash or in a quote goes on."""
        found = [""]
        for line in self.text.replace("\\\n", " ").splitlines():
            found[-1] += line
            if found[-1].count("'") % 2 == 0:
                found.append("")
        return [line for line in found if line.strip() and not line.lstrip().startswith("#")]

    @property
    def file(self) -> str | None:
        """Name of the file that a block shows, from its first line, such as ``# train.py``; None for other blocks."""
        found = re.match(r"# ([\w-]+\.(?:py|yaml))\n", self.text)
        return found[1] if found else None


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    name = page.relative_to(ROOT).as_posix()
    return [Block(name, text.count("\n", 0, one.start()) + 2, one[1], one[2]) for one in FENCE.finditer(text)]


def all_blocks(*languages: str) -> list[Block]:
    """The blocks of all pages in some languages."""
    return [block for page in PAGES for block in blocks(page) if block.language in languages]


def words(command: str) -> Iterator[list[str]]:
    """The simple commands in a line of shell: split at operators, without redirections; variables are 0."""
    lexer = shlex.shlex(re.sub(r"\$\w+|\$\{\w+\}", "0", command), posix=True, punctuation_chars=";<>|&")
    lexer.whitespace_split, lexer.commenters = True, "#"
    now: list[str] = []
    target = False
    for token in lexer:
        if set(token) <= set(";<>|&"):
            if not set(token) & set("<>"):
                yield now
                now = []
            target = bool(set(token) & set("<>"))
        elif target:
            target = False
        else:
            now.append(token)
    yield now
