"""A change of a program by one mutation, and its record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optsearch.dsl.program import Statement


@dataclass(frozen=True, slots=True)
class Mutation:
    """Record of a mutation.

    Attributes:
        name: name of the mutation, a field of ``MutationWeights``.
        line: line of the statement in the child's text; for a deletion, in the parent's text.
        before: the statement in the parent; empty for an insertion.
        after: the statement in the child; empty for a deletion.
    """

    name: str
    line: int
    before: str
    after: str

    def __str__(self) -> str:
        change = f"`{self.before}` -> `{self.after}`" if self.before and self.after else f"`{self.before}{self.after}`"
        return f"{self.name} line {self.line}: {change}"


Change = tuple[tuple[Statement, ...], Mutation]
"""The statements of a child, and the record of the mutation."""

INVALID: Change = (), Mutation("", 0, "", "")
"""An invalid sample; the same mutation is sampled again."""


def pick(rng: np.random.Generator, choices: Sequence[object]) -> int:
    """Index of one of several choices with the same probability."""
    return int(rng.random() * len(choices))
