"""Text descriptions of discovered programs, for the terminal and for exported files."""

from __future__ import annotations

from optsearch.runs.library.discovery import Discovery, Estimate
from optsearch.selection.statistics.intervals import CONFIDENCE


def lines(one: Discovery) -> list[str]:
    """Lines for an exported file: source, results, and the commands that reproduce them."""
    record = one.record
    found = [f"{record.description[:1].upper()}{record.description[1:]}. Found by: {one.commands[0]}"]
    found += [f"{one.headline} {method(one)} The numbers are test losses with {CONFIDENCE:.0%} intervals"]
    for result in record.held_out.results:
        others = [f"{row.baseline} {interval(row.loss, row.failed)}" for row in result.against]
        found.append(f"{result.task}: {interval(result.loss, result.failed)}; {'; '.join(others)}")
    return found


def method(one: Discovery) -> str:
    """Describes the comparison method in two sentences."""
    held = one.record.held_out
    first = f" after the first {held.skipped_seeds}" if held.skipped_seeds else ""
    programs = f"{len(held.programs)} program{'s' * (len(held.programs) > 1)}"
    return (
        f"Every contender was tuned {held.replicates} times with {held.trials} trials"
        f"{', constants too' if held.constants else ''}{', to one setting for all tasks' if held.shared else ''}, "
        f"each time followed by {held.seeds} fresh seeds{first}. "
        f"Intervals and p-values compare tunings; p-values are corrected for {held.comparisons} comparisons of "
        f"{programs}."
    )


def mean(loss: Estimate, failed: int) -> str:
    """Formats a mean loss with the number of failed seeds."""
    value = "-" if loss[0] is None else f"{loss[0]:.4f}"
    return f"{value} ({failed} failed)" if failed else value


def interval(loss: Estimate, failed: int) -> str:
    """Formats a mean loss with its interval and the number of failed seeds."""
    value, low, high = loss
    ends = "" if low is None or high is None else f" ({low:.4f} to {high:.4f})"
    return ("no loss" if value is None else f"{value:.4f}{ends}") + (f", {failed} seeds failed" if failed else "")
