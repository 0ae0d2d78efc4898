"""The archive: the Pareto front of a search, from which a share of the parents is selected.

A program is on the front if no other one is at least as good in every objective and better in one. The ageing
population forgets every program; the archive keeps the best of each size. A search for several objectives therefore
keeps working on programs such as Lion, which have a slightly higher loss with half the state of AdamW.

A line begins with a child of the warm start, or with a program that has no parent. With the age of lines as an
objective, a young line is compared with younger ones alone, and has time to improve before old lines displace it.

Source: hall of fame and reinsertion in PySR (Cranmer 2023, arXiv:2305.01582); age-fitness Pareto optimization (Schmidt
and Lipson 2011, doi:10.1007/978-1-4419-7747-2_8).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from optsearch.dsl.dataflow import prune
from optsearch.dsl.program import Program
from optsearch.dsl.types import Kind
from optsearch.dsl.verify import state_kinds
from optsearch.search.member import Member

Objective = Literal["loss", "state", "statements", "age"]


class ArchiveConfig(BaseModel):
    """Selection of parents from the Pareto front of the search.

    Attributes:
        share: probability that a parent is a member of the archive, each with the same probability; otherwise it is
            selected from the population.
        objectives: what the archive minimises: ``loss``, the fitness; ``state``, the number of state arrays as large
            as the parameters; ``statements``, the number of live statements; ``age``, of the program's line. With
            ``loss`` alone the archive is the best program so far.
        newcomers: with ``age``, probability that a parent is the warm start, so that new lines keep beginning.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    share: float = Field(default=0.1, gt=0.0, le=1.0, allow_inf_nan=False)
    objectives: list[Objective] = Field(default=["loss", "state", "statements"], min_length=1, max_length=4)
    newcomers: float = Field(default=0.0, ge=0.0, lt=1.0, allow_inf_nan=False)

    @field_validator("objectives")
    @classmethod
    def _loss_is_one(cls, objectives: list[Objective]) -> list[Objective]:
        if "loss" not in objectives or len(set(objectives)) != len(objectives):
            raise ValueError(f"list 'loss', and 'state', 'statements' and 'age' at most once each; got {objectives}")
        return objectives

    @model_validator(mode="after")
    def _lines_begin(self) -> ArchiveConfig:
        if (self.newcomers > 0.0) != ("age" in self.objectives):
            raise ValueError(
                "newcomers above 0 and the objective 'age' belong together: ages differ only if new lines begin"
            )
        if self.newcomers + self.share > 1.0:
            raise ValueError(f"share and newcomers are more than 1 together: {self.share} and {self.newcomers}")
        return self


class Size(NamedTuple):
    """Size of a program without its dead statements and dead state.

    Attributes:
        state: number of state arrays as large as the parameters; state per row or per column counts as none.
        statements: number of statements.
    """

    state: int
    statements: int


def size_of(program: Program) -> Size:
    """Measures a verified program."""
    live = prune(program)
    return Size(state_kinds(live).count(Kind.LEAF), len(live.body))


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Returns True if a point is at least as low in every coordinate as another one; equal points dominate."""
    return all(a <= b for a, b in zip(one, other, strict=True))


class Archive:
    """The Pareto front of the members added so far that are at least as good as the first.

    Args:
        founder: the warm start. Worse programs are not archived, since small ones always exist.
        config: objectives.
    """

    def __init__(self, founder: Member, config: ArchiveConfig):
        self._config = config
        self._founder = founder
        self._front: list[tuple[tuple[float, ...], Member]] = []
        self._lines: dict[int, int] = {}  # the ticket with which the line of each ticket began
        self.add(founder, None)

    def add(self, member: Member, parent: int | None) -> None:
        """Adds a member, unless one of the front dominates it, and removes those that it dominates.

        Args:
            member: the member.
            parent: ticket of its parent, which has been added; None if it has none.
        """
        line = member.ticket if parent is None or parent == self._founder.ticket else self._lines[parent]
        self._lines[member.ticket] = line
        bound = self._founder.fitness
        if member.fitness is None or (bound is not None and member.fitness > bound):
            return
        state, statements = size_of(member.program)
        values = {"loss": member.fitness, "state": state, "statements": statements, "age": -line}
        point = tuple(float(values[name]) for name in self._config.objectives)
        if not any(dominates(known, point) for known, _ in self._front):
            self._front = [entry for entry in self._front if not dominates(point, entry[0])]
            self._front.append((point, member))

    def select(self, rng: np.random.Generator) -> Member | None:
        """Selects a member of the front with probability ``share``, and the warm start with that of ``newcomers``.

        Args:
            rng: random number generator; two numbers are consumed if the parent is of the front, otherwise one.

        Returns:
            The parent; None if the population is to select it.
        """
        drawn, share = rng.random(), self._config.share
        if drawn < share and self._front:
            return self._front[int(rng.random() * len(self._front))][1]
        return self._founder if share <= drawn < share + self._config.newcomers else None

    def members(self) -> tuple[Member, ...]:
        """Returns the front in the order in which its members were added."""
        return tuple(member for _, member in self._front)
