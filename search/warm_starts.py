"""Reads the warm starts of a campaign: a library program, a text, a reference such as ``RUN:ID``, or a list of these.

References are replaced by the texts of their programs when a campaign is loaded, so that a run records what it starts
from and resumes without the files that they name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from optsearch.dsl.errors import UserError
from optsearch.search.settings.config_errors import RuleError

PROGRAM = "program"
"""Key of the reader of references in the context of validation."""

ReadProgram = Callable[[str], str | None]
"""Returns the text of the program that a reference names; None if the entry is no reference."""


def read_warm_starts(data: Mapping[str, Any], context: Mapping[str, Any] | None) -> dict[str, Any]:
    """Replaces the warm starts of raw settings by the first and the further ones, and references by texts.

    Args:
        data: raw settings with a warm start.
        context: holds the reader of references; None for no reader.

    Raises:
        RuleError: the list is empty or given twice, or a referenced program cannot be read.
    """
    given = data["warm_start"]
    found = dict(data)
    if isinstance(given, list):
        if not given:
            raise RuleError(("warm_start",), "warm_start is an empty list: name at least one program")
        if data.get("further_warm_starts"):
            raise RuleError(("warm_start",), "warm_start is a list: leave further_warm_starts out")
        found |= {"warm_start": given[0], "further_warm_starts": given[1:]}
    read: ReadProgram | None = (context or {}).get(PROGRAM)
    entries = [found["warm_start"], *(found.get("further_warm_starts") or [])]
    if read is None or not all(isinstance(entry, str) for entry in entries):
        return found
    try:
        texts = [read(entry) for entry in entries]
    except UserError as error:
        raise RuleError(("warm_start",), f"warm_start: {error}") from None
    if any(text is not None for text in texts):
        first, *others = (entry if text is None else text for entry, text in zip(entries, texts, strict=True))
        found |= {"warm_start": first, "further_warm_starts": others, "warm_start_references": entries}
    return found
