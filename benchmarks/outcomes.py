"""Outcomes of finished searches in a file, so that a study of many core-hours is continued anywhere and counted again.

The file has one JSON object a line. The first holds the settings that all searches share, each further one the name of
a search, its outcome and the machine. A study passes over the searches that its file already holds, so its runs may be
deleted; the files of the studies that the documentation quotes are in `benchmarks/measured/`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from optsearch.runs.store.environment import about_machine


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Outcomes of the searches of a study.

    Attributes:
        path: the file; None keeps nothing.
        found: outcome of each finished search, by its name.
    """

    path: Path | None
    found: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path | None, settings: Mapping[str, Any]) -> Self:
        """Reads a file, or begins it.

        Args:
            path: the file; None keeps nothing.
            settings: what all searches of the study share.

        Raises:
            ValueError: the file is of a study with other settings.
        """
        if path is None:
            return cls(None)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"settings": settings}) + "\n", encoding="utf-8")
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = json.loads(lines[0])["settings"]
        if kept != json.loads(json.dumps(settings)):
            raise ValueError(f"{path}: holds outcomes of {kept}, not of {dict(settings)}; name another file")
        # A line without its end was being written when its process was killed.
        whole = [json.loads(line) for line in lines[1:] if line.endswith("\n")]
        if len(whole) < len(lines) - 1:
            path.write_text("".join(line for line in lines if line.endswith("\n")), encoding="utf-8")
        return cls(path, {row["search"]: row["outcome"] for row in whole})

    def add(self, search: str, outcome: Mapping[str, Any]) -> None:
        """Keeps the outcome of a finished search."""
        self.found[search] = outcome
        if self.path is not None:
            row = {"search": search, "outcome": outcome, "machine": dict(about_machine())}
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
