"""Text output of step times. This module only formats; it computes no results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optsearch.runs.terminal.tables import say, table
from optsearch.runs.text.phrasing import bounds

if TYPE_CHECKING:
    from optsearch.selection.comparison.evaluation import Evaluation


def show_step_times(found: Evaluation, task: str) -> None:
    """Prints the step times on a task beside operations and state; nothing if they were not measured."""
    times = [row for row in found.step_times if row.task == task]
    if not times:
        return
    say(
        f"Compiled step, gradient included: median of {times[0].rounds} rounds of {times[0].steps} steps; ratios are "
        "formed within a round, with the lowest and the highest:"
    )
    operations, state = {row.contender: row.operations for row in found.times}, dict(found.state_bytes)
    ratio = f"to {found.reference}"
    table(
        ["contender", "operations", "state bytes", "ms a step", ratio, "rounds"],
        [
            [
                row.contender,
                None if (count := operations[row.contender]) is None else f"{count:.0f}",
                f"{state[row.contender]:.1f}",
                None if row.milliseconds is None else f"{row.milliseconds:.3g}",
                None if row.ratio is None else f"{row.ratio:.2f} x",
                bounds([row.low, row.high], 2),
            ]
            for row in times
        ],
        right=["operations", "state bytes", "ms a step", ratio],
    )
