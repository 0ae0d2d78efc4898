"""Sanitises untrusted text for terminals: removes characters that a terminal interprets instead of displaying."""

from __future__ import annotations

import re

_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters except line breaks and tabs, bidirectional controls, and lone surrogates, which cannot be
encoded."""


def printable(text: str) -> str:
    """Removes control characters and bidirectional marks from a text."""
    return _OBEYED.sub("", text)
