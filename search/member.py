"""A program that has joined the population."""

from __future__ import annotations

from dataclasses import dataclass

from optsearch.dsl.program import Program


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the population.

    Attributes:
        ticket: ticket of the program; 0 for the warm start.
        program: the program.
        fitness: lower is better; None for a program that did not train, which loses every tournament.
        losses: with several tasks, the loss on each task that is known; empty with one.
    """

    ticket: int
    program: Program
    fitness: float | None
    losses: tuple[float, ...] = ()
