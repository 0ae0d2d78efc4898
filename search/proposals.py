"""Proposals: programs from people or language models that join a search as candidates.

A proposal takes the place of a child at one ticket. Which ticket depends on when it arrives; the ticket is therefore
recorded before it is generated. With these records a search gives the same history after any interruption and for any
number of workers. From its ticket on a proposal is a program like any other: it is evaluated, joins the population, and
has children.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from optsearch.dsl.program import Program, ProgramError
from optsearch.search.variation.mutation_config import LimitsConfig


class ProposalsConfig(BaseModel):
    """Proposed programs of a search.

    Attributes:
        share: highest share of the evaluations that proposals may take; 0 admits none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    share: float = Field(default=0.1, ge=0.0, le=1.0, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposed program.

    Attributes:
        key: name under which the proposal waits; different for every proposal.
        source: name of the person or program that proposed it.
        file: name of its file.
        program: the verified program.
    """

    key: str
    source: str
    file: str
    program: Program

    @property
    def mutation(self) -> str:
        """Description in the place of a mutation."""
        return f"proposed by {self.source} ({self.file})"


def check_length(program: Program, limits: LimitsConfig) -> None:
    """Checks that a program has at most as many statements as those of a search.

    Raises:
        ProgramError: it has more.
    """
    if len(program.body) > limits.statements:
        raise ProgramError(
            f"the program has {len(program.body)} statements, but limits.statements of the search is "
            f"{limits.statements}: shorten it, for example with `optsearch simplify FILE --steps prune,rewrite`"
        )


class Inbox(Protocol):
    """Proposals that wait for a ticket."""

    def first(self) -> Proposal | None:
        """Returns the proposal that has waited longest; None if none waits."""
        ...

    def enter(self, ticket: int, proposal: Proposal) -> None:
        """Records durably that a proposal enters at a ticket; it then no longer waits."""
        ...


class Entries:
    """The proposals of a search by the ticket at which each enters.

    Args:
        config: share of the evaluations.
        entered: recorded proposals. Defaults to none.
    """

    def __init__(self, config: ProposalsConfig | None = None, entered: Mapping[int, Proposal] | None = None):
        self._share = (config or ProposalsConfig()).share
        self._entered = dict(entered or {})
        self._tickets = sorted(self._entered)

    @property
    def last(self) -> int:
        """Highest ticket of a proposal; 0 if there is none."""
        return self._tickets[-1] if self._tickets else 0

    def at(self, ticket: int) -> Proposal | None:
        """Returns the proposal that enters at a ticket; None if there is none."""
        return self._entered.get(ticket)

    def enter(self, ticket: int, proposal: Proposal) -> None:
        """Adds a proposal at a ticket that has none."""
        self._entered[ticket] = proposal
        insort(self._tickets, ticket)

    def permits(self, ticket: int, evaluations: int) -> bool:
        """Returns True if the share allows a proposal at a ticket.

        Args:
            ticket: the ticket.
            evaluations: number of evaluations that the tickets before it need.
        """
        return bisect_left(self._tickets, ticket) + 1 <= self._share * (evaluations + 1)
