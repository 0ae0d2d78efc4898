"""Exact pruning: removes statements and state that cannot influence the update, and reports them.

The result computes bitwise identical updates, so no training is needed to verify it.
"""

from __future__ import annotations

from dataclasses import dataclass

from optsearch.dsl.dataflow import liveness
from optsearch.dsl.dataflow import prune as pruned_program
from optsearch.dsl.program import Program


@dataclass(frozen=True, slots=True)
class Pruned:
    """Result of pruning.

    Attributes:
        program: the pruned program.
        removed: the removed statements as text, each with its index in the body, from 1.
        removed_state: names of the removed state variables.
    """

    program: Program
    removed: tuple[tuple[int, str], ...]
    removed_state: tuple[str, ...]


def prune(program: Program) -> Pruned:
    """Removes dead statements and dead state of a verified program."""
    live = liveness(program)
    return Pruned(
        program=pruned_program(program),
        removed=tuple(
            (number, str(statement))
            for number, (statement, alive) in enumerate(zip(program.body, live.statements, strict=True), start=1)
            if not alive
        ),
        removed_state=tuple(name for name, alive in zip(program.state, live.state, strict=True) if not alive),
    )
