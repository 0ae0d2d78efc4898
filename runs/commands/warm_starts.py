"""Warm starts that a campaign names by reference: programs of runs, discovered programs and files."""

from __future__ import annotations

from pathlib import Path

from optsearch.dsl.library import LIBRARY
from optsearch.runs.library.discovery import DISCOVERED
from optsearch.runs.library.references import load_program
from optsearch.runs.store.writer import RunStore

PLACEHOLDER = str(LIBRARY["adamw"])
"""Text that stands for a referenced program while only the name and the seed of a campaign are needed."""


def is_reference(entry: str) -> bool:
    """True for an entry that names a program of a run, a discovered program or a file."""
    if entry in LIBRARY or "\n" in entry or entry.lstrip().startswith("def"):
        return False
    return ":" in entry or entry in DISCOVERED or Path(entry).is_file()


def read_start(entry: str) -> str | None:
    """Text of the program that an entry refers to; None if it is no reference.

    Raises:
        UserError: the program cannot be read.
    """
    return str(load_program(entry).program) if is_reference(entry) else None


def recorded_starts(folder: Path) -> dict[str, str]:
    """Texts of the referenced warm starts of a run, by reference; empty if the run does not exist.

    Args:
        folder: the run folder.
    """
    if not RunStore.exists(folder):
        return {}
    with RunStore.read(folder) as store:
        config = store.config
    texts = [config.warm_start, *config.further_warm_starts]
    return {name: text for name, text in zip(config.warm_start_references, texts, strict=False) if name != text}
