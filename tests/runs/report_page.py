"""A page of a report as a browser reads it, for tests."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

PLANTED = "<script>alert('x')</script></script>&amp;"
"""Text in a run that must be shown as text."""

VOID = {"meta", "input", "br"}
OPTIONAL = {"tr", "th", "td", "dt", "dd"}


class Reader(HTMLParser):
    """Elements, their attributes and the scripts' texts; notices tags that do not match."""

    def __init__(self, page: str):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID | OPTIONAL:
            self.open.append(tag)
            self.scripts += [""] * (tag == "script")

    def handle_endtag(self, tag: str) -> None:
        if tag not in OPTIONAL:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif self.open and self.open[-1] != "style":
            self.text += data

    def specs(self) -> dict[str, Any]:
        return json.loads(self.scripts[0])["specs"]
