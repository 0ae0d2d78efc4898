"""JSON of an export: what `export --json` prints, and the program that `export --to json` writes."""

from __future__ import annotations

from typing import TypedDict


class StatementJson(TypedDict):
    """A statement.

    Attributes:
        target: variable that it assigns.
        function: name of the function.
        args: arguments: variables as text, constants as numbers.
    """

    target: str
    function: str
    args: list[str | float]


class ExportedProgramJson(TypedDict):
    """An exported program; dead statements are left out.

    Attributes:
        name: its name.
        text: its text.
        state: names of the state variables.
        statements: its statements, in order.
        learning_rate: learning rate at ``lr`` = 1; None if the update is not proportional to ``lr``.
        constants: the other constants by role.
        fingerprint: semantic fingerprint.
        fingerprint_version: version of the rules of fingerprints.
        notes: origin and results, one sentence each.
    """

    name: str
    text: str
    state: list[str]
    statements: list[StatementJson]
    learning_rate: float | None
    constants: dict[str, float]
    fingerprint: str
    fingerprint_version: int
    notes: list[str]


class ExportJson(TypedDict):
    """An export.

    Attributes:
        program: name of the exported program.
        format: the format.
        file: the written file; null for none.
        text: the text of the export; JSON in the format `json`, as `export --to json` prints without `--json`.
    """

    program: str
    format: str
    file: str | None
    text: str
