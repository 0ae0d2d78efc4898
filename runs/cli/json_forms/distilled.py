"""JSON of distillation: what `simplify` prints."""

from __future__ import annotations

from typing import TypedDict


class RecognisedJson(TypedDict):
    """A recognised optimizer.

    Attributes:
        sentence: the same in one sentence.
    """

    name: str
    constants: dict[str, float]
    gradient: str | None
    sentence: str


class StepJson(TypedDict):
    """One entry of the record of a distillation.

    Attributes:
        removed: pruned statements, each with its number.
        exact: how exact the step is, in words.
    """

    step: str
    what: str
    removed: list[str]
    rules: list[str]
    assumes: list[str]
    exact: str
    statements: int
    state: int
    cost: float | None
    seeds: int


class DistilledProgramJson(TypedDict):
    """Result of a distillation.

    Attributes:
        text: the distilled program.
        statements: number of its statements.
        state: names of its state variables.
    """

    text: str
    statements: int
    state: list[str]
    recognised: RecognisedJson | None
    steps: list[StepJson]
    rates: dict[str, float]
    evaluations: int
