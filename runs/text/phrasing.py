"""Numbers, names and verdicts as text, identical in the terminal and in the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from optsearch.search.algorithms import ALGORITHMS
from optsearch.selection.statistics.intervals import Interval

if TYPE_CHECKING:
    from optsearch.selection.comparison.comparison import Comparison, Headline

HUGE = 1e4
"""Threshold above which losses and loss ratios belong to nearly diverged runs, so that their digits carry no
information."""


def number(value: float | None, digits: int = 5) -> str:
    """Formats a loss; a loss of a nearly diverged run has few digits."""
    return "-" if value is None else f"{value:.{digits}f}" if abs(value) < HUGE else f"{value:.2g}"


def signed(value: float) -> str:
    """Formats a difference of losses with its sign; one to a nearly diverged run has few digits."""
    return f"{value:+.5f}" if abs(value) < HUGE else f"{value:+.2g}"


def relative(value: float | None) -> str | None:
    """Formats a relative difference; None for None."""
    return None if value is None else f"{value:+.2%}" if abs(value) < HUGE else f"{value:+.2g} times"


def bounds(interval: Sequence[float | None] | None, digits: int = 5) -> str:
    """Formats an interval."""
    if interval is None or interval[0] is None or interval[1] is None:
        return "-"
    return f"[{number(interval[0], digits)}, {number(interval[1], digits)}]"


def interval_bounds(interval: Interval | None, digits: int = 5) -> str:
    """Formats the ends of a confidence interval; a dash for None, or for an interval of a single value."""
    return bounds(None if interval is None else (interval.low, interval.high), digits)


def rate_factor(factor: float) -> str:
    """Formats a factor on a learning rate: ``1/8`` or ``8``."""
    return f"{factor:g}" if factor >= 1.0 else f"1/{1.0 / factor:g}"


def control_name(control: str, warm_start: str) -> str:
    """Display name of a control."""
    labels = {"warm start": "{warm_start} as given", **{name: row.label for name, row in ALGORITHMS.items()}}
    return labels[control].format(warm_start=warm_start)


def listed(names: Sequence[str]) -> str:
    """Joins names to a list in a sentence."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def share(value: float) -> str:
    """Formats a relative change with its sign."""
    return f"{100 * value:+.2f} %"


def gain(value: float | None) -> str:
    """Formats a change of fitness with its sign; empty for None."""
    return "" if not value else f"{value:+.5f}" if abs(value) >= 5e-6 else f"{value:+.0e}"


def comparison_verdict(row: Comparison, tests: int) -> str:
    """States the verdict of one comparison of an evaluation, with its difference and p-value.

    Args:
        row: the comparison.
        tests: number of tests of the evaluation, over which p-values are corrected.
    """
    from optsearch.selection.comparison.comparison import LEVEL
    from optsearch.selection.statistics.significance import replicates_needed

    difference, names = row.difference, f"{row.contender} and {row.baseline}"
    if difference is None:
        return f"{names} have no seed on which both trained."
    numbers = f"difference {signed(difference.mean)} {interval_bounds(difference)}"
    if row.failed:
        numbers += f", {row.failed} runs of {row.contender} failed"
    if row.p_value is None:
        lower = "lower" if difference.mean < 0 else "higher"
        return (
            f"{row.contender} has the {lower} loss with these settings, against {row.baseline}: {numbers} over paired "
            "seeds. One tuning does not compare the optimizers."
        )
    numbers += f", p = {row.p_value:.3g}, {row.corrected:.3g} corrected"
    if row.verdict != "undecided":
        return f"{row.contender} is {row.verdict} than {row.baseline}: {numbers}."
    if row.detectable is not None:
        power = f"these replicates would show {number(row.detectable)}"
    else:
        power = f"for {tests} tests at least {replicates_needed(LEVEL / tests)} replicates are needed to show anything"
    return f"{row.contender} shows no difference from {row.baseline}: {numbers}; {power}."


def headline_verdict(row: Headline) -> str:
    """States the verdict on a program against an opponent over all tasks."""
    mine, other, found, over = row.contender, row.opponent, row.relative, row.over_tasks
    if found is None:
        return f"{mine} and {other} cannot be compared over all tasks."
    ahead = f"lower loss on {row.leads} of {row.tasks} tasks"
    numbers = f"mean relative difference {relative(found.mean)}"
    if found.low is not None:
        numbers += f" [{relative(found.low)}, {relative(found.high)}]"
    if over is not None and over.low is not None:
        numbers += f"; over tasks like these [{relative(over.low)}, {relative(over.high)}]"
    if row.p_value is None:
        return f"{mine} against {other}: {ahead}, {numbers}. One tuning does not compare the optimizers."
    numbers += f"; p = {row.p_value:.3g}, {row.corrected:.3g} corrected"
    verdict = "shows no difference from" if row.verdict == "undecided" else f"is {row.verdict} than"
    return f"{mine} {verdict} {other}: {ahead}, {numbers}."
