"""The proposals of a run as a table."""

from __future__ import annotations

from collections.abc import Sequence

from optsearch.runs.summary.proposals import ProposedProgram
from optsearch.runs.terminal.tables import say, table
from optsearch.runs.text.phrasing import number

SHOWN = 20
"""Number of proposals that are listed; ``--json`` has all."""


def proposed_programs(proposed: Sequence[ProposedProgram]) -> None:
    """Prints the proposals of a run; nothing if there are none.

    Args:
        proposed: the proposals.
    """
    if not proposed:
        return
    say()
    waiting = sum(row.id is None for row in proposed)
    more = f", the last {SHOWN} of {len(proposed)}" if len(proposed) > SHOWN else ""
    waits = f"; {waiting} wait{'s' if waiting == 1 else ''}" if waiting else ""
    say(f"Proposed programs{more}{waits}:", "bold")
    table(
        ["program", "fitness", "outcome", "proposed by", "file"],
        [
            [
                row.id or "waits",
                "" if row.outcome is None else number(row.fitness),
                row.outcome or "",
                row.source,
                row.file,
            ]
            for row in proposed[-SHOWN:]
        ],
        right=["fitness"],
    )
