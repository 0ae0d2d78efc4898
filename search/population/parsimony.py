"""Parsimony by frequency: programs of a length that is common in the population have a handicap in tournaments.

Selection alone lets one length take over the population. A handicap in proportion to the frequency of a length
keeps short and long programs present, as long as they are nearly as good.

Source: adaptive parsimony of PySR (Cranmer 2023, arXiv:2305.01582).
"""

from __future__ import annotations

from collections import Counter, deque

from pydantic import BaseModel, ConfigDict, Field

from optsearch.dsl.dataflow import liveness
from optsearch.dsl.program import Program
from optsearch.search.member import Member


class ParsimonyConfig(BaseModel):
    """Handicap of programs with a common length.

    Attributes:
        strength: handicap of a length that all members have, relative to the warm start's fitness; with several tasks,
            as a score.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    strength: float = Field(default=0.05, gt=0.0, le=1e3, allow_inf_nan=False)


def length_of(program: Program) -> int:
    """Number of live statements."""
    return sum(liveness(program).statements)


class Parsimony:
    """Frequencies of lengths in the population.

    Args:
        founder: the warm start, which initially fills the population.
        size: number of members.
        config: strength.
    """

    def __init__(self, founder: Member, size: int, config: ParsimonyConfig):
        self._scale = config.strength * (abs(founder.fitness or 0.0) or 1.0)
        length = length_of(founder.program)
        self._members = deque([(founder.ticket, length)] * size)
        self._lengths = {founder.ticket: length}
        self._counts = Counter({length: size})

    def add(self, member: Member) -> None:
        """Notes a new member, and forgets the oldest."""
        ticket, dropped = self._members.popleft()
        self._counts[dropped] -= 1
        if not self._members or self._members[0][0] != ticket:  # the founder stands there several times
            del self._lengths[ticket]
        length = self._lengths[member.ticket] = length_of(member.program)
        self._members.append((member.ticket, length))
        self._counts[length] += 1

    def handicap(self, member: Member) -> float:
        """Returns what is added to the fitness of a member of the population in tournaments."""
        return self._scale * self._counts[self._lengths[member.ticket]] / len(self._members)
