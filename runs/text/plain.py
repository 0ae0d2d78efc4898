"""Text of others on its way to a terminal: what a terminal would obey instead of show is left out."""

from __future__ import annotations

import re

_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters except line breaks and tabs, those that turn the direction of text, and halves of characters,
which no terminal can be sent."""


def printable(text: str) -> str:
    """The text without what a terminal would obey: control characters, and marks that reorder what is read."""
    return _OBEYED.sub("", text)
