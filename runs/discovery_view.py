"""What the commands say of discovered programs: in a list, beside one of them, and in exported files."""

from __future__ import annotations

from collections.abc import Sequence

from runs.discovery import Against, Discovery, Estimate, Result, Spent
from runs.terminal import say, table
from runs.words import listed
from selection.statistics import CONFIDENCE

BESIDE = {"better": "better than", "worse": "worse than", "undecided": "not told from"}


def listing(found: Sequence[Discovery]) -> None:
    """Discovered programs, a line each."""
    say()
    say("Discovered by searches; `optsearch show NAME` says how, and what each is worth:", "bold")
    rows: list[list[object]] = []
    for one in found:
        origin, live = one.record.origin, one.program
        where = f"{origin.run}:{origin.program} on {listed(origin.tasks)}"
        result = one.headline if one.record.withdrawn is None else "no claim: its comparisons are withdrawn"
        rows.append([one.name, where, len(live.body), ", ".join(live.state) or "none", result])
    table(["name", "found in", "statements", "state", "result"], rows, right=["statements"])


def shown(one: Discovery) -> None:
    """Where a discovered program comes from, what it is worth on held-out tasks, and what finds it again."""
    record = one.record
    origin, held = record.origin, record.held_out
    say()
    say(f"Discovered: {record.description}", "bold")
    statements = len(origin.raw.splitlines()) - 2
    say(
        f"{one.source[:1].upper()}{one.source[1:]}; found with {statements} statements and a fitness of "
        f"{origin.fitness:.5f}. Made with {_versions(origin.made_with)}."
    )
    for name, spent in record.cost.items():
        say(f"  {name:<11}{_spent(spent)}")
    say(f"Not held out: {', '.join(f'{task} ({reason})' for task, reason in record.chosen_on.items())}.")
    say()
    beside = "beside a baseline's whether the program is better or worse (? undecided), and p:"
    if record.withdrawn is not None:
        beside = "one tuning of each contender, on one machine, without verdicts:"
    say(f"Test loss on further tasks; {beside}", "bold")
    table(
        ["task", one.name, *held.baselines],
        [[result.task, mean(result.loss, result.failed), *_cells(one, result)] for result in held.results],
    )
    say(method(one))
    say(one.headline)
    say()
    say("What finds it again, in the same versions on the same kind of machine, and compares it again:", "bold")
    for command in one.commands:
        say(f"  {command}")


def lines(one: Discovery) -> list[str]:
    """What an exported file says: where it comes from, what it is worth, and what finds it again."""
    record = one.record
    found = [f"{record.description[:1].upper()}{record.description[1:]}. Found by: {one.commands[0]}"]
    found += [f"{one.headline} {method(one)} The numbers are test losses with {CONFIDENCE:.0%} intervals"]
    for result in record.held_out.results:
        others = [_against(one, row) for row in result.against]
        found.append(f"{result.task}: {interval(result.loss, result.failed)}; {'; '.join(others)}")
    return found


def method(one: Discovery) -> str:
    """How the contenders were compared, in a sentence."""
    held = one.record.held_out
    tuned = (
        f"tuned with {held.trials} trials{', constants too' if held.constants else ''}" if held.trials else "untuned"
    )
    first = f" after the first {held.skipped_seeds}, which an earlier look had used" if held.skipped_seeds else ""
    says = f"Every contender {tuned}, then run on {held.seeds} fresh seeds{first}"
    if one.record.withdrawn is not None:
        return f"{says}."
    programs = f"{held.programs} program{'' if held.programs == 1 else 's'}"
    return f"{says}; p-values corrected for {held.comparisons} comparisons of {programs}."


def mean(loss: Estimate, failed: int) -> str:
    """A mean loss with the seeds that failed."""
    value = "-" if loss[0] is None else f"{loss[0]:.4f}"
    return f"{value} ({failed} failed)" if failed else value


def interval(loss: Estimate, failed: int) -> str:
    """A mean loss with its interval and the seeds that failed."""
    value, low, high = loss
    ends = "" if low is None or high is None else f" ({low:.4f} to {high:.4f})"
    return ("no loss" if value is None else f"{value:.4f}{ends}") + (f", {failed} seeds failed" if failed else "")


def _cells(one: Discovery, result: Result) -> list[str]:
    if one.record.withdrawn is not None:
        return [mean(row.loss, row.failed) for row in result.against]
    words = {"better": "better", "worse": "worse", "undecided": "?"}
    return [f"{mean(row.loss, row.failed)} {words[row.verdict]} {row.corrected:.2g}" for row in result.against]


def _against(one: Discovery, row: Against) -> str:
    loss = interval(row.loss, row.failed)
    if one.record.withdrawn is not None:
        return f"{row.baseline} {loss}"
    return f"{BESIDE[row.verdict]} {row.baseline}, {loss}, p = {row.corrected:.2g}"


def _versions(made_with: dict[str, str]) -> str:
    named = [f"{key} {value}" for key, value in made_with.items() if key != "processor"]
    return f"{', '.join(named)} on {made_with.get('processor', 'an unknown processor')}"


def _spent(spent: Spent) -> str:
    counts = {"programs": spent.programs, "evaluations": spent.evaluations, "training runs": spent.runs}
    named = [f"{count:,} {name}" for name, count in counts.items() if count is not None]
    return ", ".join([*named, f"{spent.seconds / 3600:.2f} core-hours"])
