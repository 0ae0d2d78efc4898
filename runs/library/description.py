"""Text descriptions of discovered programs, for the terminal and for exported files."""

from __future__ import annotations

from optsearch.runs.library.discovery import Against, Discovery, Estimate
from optsearch.selection.statistics import CONFIDENCE

BESIDE = {"better": "better than", "worse": "worse than", "undecided": "not told from"}


def lines(one: Discovery) -> list[str]:
    """Lines for an exported file: source, results, and the commands that reproduce them."""
    record = one.record
    found = [f"{record.description[:1].upper()}{record.description[1:]}. Found by: {one.commands[0]}"]
    found += [f"{one.headline} {method(one)} The numbers are test losses with {CONFIDENCE:.0%} intervals"]
    for result in record.held_out.results:
        others = [_against(one, row) for row in result.against]
        found.append(f"{result.task}: {interval(result.loss, result.failed)}; {'; '.join(others)}")
    return found


def method(one: Discovery) -> str:
    """Describes the comparison method in a sentence."""
    held = one.record.held_out
    tuned = (
        f"tuned with {held.trials} trials{', constants too' if held.constants else ''}"
        f"{', to one setting for all tasks' if held.shared else ''}"
        if held.trials
        else "untuned"
    )
    first = f" after the first {held.skipped_seeds}, which an earlier look had used" if held.skipped_seeds else ""
    times, each = (f"{held.replicates} times ", " each") if held.replicates > 1 else ("", "")
    says = f"Every contender {times}{tuned}, then run on {held.seeds} fresh seeds{each}{first}"
    if one.record.withdrawn is not None:
        return f"{says}."
    programs = f"{held.programs} program{'' if held.programs == 1 else 's'}"
    return f"{says}; p-values corrected for {held.comparisons} comparisons of {programs}."


def mean(loss: Estimate, failed: int) -> str:
    """Formats a mean loss with the number of failed seeds."""
    value = "-" if loss[0] is None else f"{loss[0]:.4f}"
    return f"{value} ({failed} failed)" if failed else value


def interval(loss: Estimate, failed: int) -> str:
    """Formats a mean loss with its interval and the number of failed seeds."""
    value, low, high = loss
    ends = "" if low is None or high is None else f" ({low:.4f} to {high:.4f})"
    return ("no loss" if value is None else f"{value:.4f}{ends}") + (f", {failed} seeds failed" if failed else "")


def _against(one: Discovery, row: Against) -> str:
    loss = interval(row.loss, row.failed)
    if one.record.withdrawn is not None:
        return f"{row.baseline} {loss}"
    return f"{BESIDE[row.verdict]} {row.baseline}, {loss}, p = {row.corrected:.2g}"
