"""The archive: the Pareto front of a search, from which a share of the parents is selected.

A program is on the front if no other one is at least as good in every objective and better in one. The ageing
population forgets every program; the archive keeps the best of each size. A search for several objectives therefore
keeps working on programs such as Lion, which have a slightly higher loss with half the state of AdamW.

Source: hall of fame and reinsertion in PySR (Cranmer 2023, arXiv:2305.01582).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from optsearch.dsl.dataflow import prune
from optsearch.dsl.program import Program
from optsearch.dsl.types import Kind
from optsearch.dsl.verify import state_kinds
from optsearch.search.population import Member

Objective = Literal["loss", "state", "statements"]


class ArchiveConfig(BaseModel):
    """Selection of parents from the Pareto front of the search.

    Attributes:
        share: probability that a parent is a member of the archive, each with the same probability; otherwise it is
            selected from the population.
        objectives: what the archive minimises: ``loss``, the fitness; ``state``, the number of state arrays as large
            as the parameters; ``statements``, the number of live statements. With ``loss`` alone the archive is the
            best program so far.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    share: float = Field(default=0.1, gt=0.0, le=1.0, allow_inf_nan=False)
    objectives: list[Objective] = Field(default=["loss", "state", "statements"], min_length=1, max_length=3)

    @field_validator("objectives")
    @classmethod
    def _loss_is_one(cls, objectives: list[Objective]) -> list[Objective]:
        if "loss" not in objectives or len(set(objectives)) != len(objectives):
            raise ValueError(f"list 'loss', and 'state' and 'statements' at most once each; got {objectives}")
        return objectives


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
        self._bound = founder.fitness
        self._front: list[tuple[tuple[float, ...], Member]] = []
        self.add(founder)

    def add(self, member: Member) -> None:
        """Adds a member, unless one of the front dominates it, and removes those that it dominates."""
        if member.fitness is None or (self._bound is not None and member.fitness > self._bound):
            return
        size = size_of(member.program)._asdict()
        point = tuple(member.fitness if name == "loss" else float(size[name]) for name in self._config.objectives)
        if not any(dominates(known, point) for known, _ in self._front):
            self._front = [entry for entry in self._front if not dominates(point, entry[0])]
            self._front.append((point, member))

    def select(self, rng: np.random.Generator) -> Member | None:
        """Selects a parent with probability ``share``; None if the population is to select it.

        Args:
            rng: random number generator; two numbers are consumed if a parent is selected, otherwise one.
        """
        if rng.random() >= self._config.share or not self._front:
            return None
        return self._front[int(rng.random() * len(self._front))][1]

    def members(self) -> tuple[Member, ...]:
        """Returns the front in the order in which its members were added."""
        return tuple(member for _, member in self._front)
