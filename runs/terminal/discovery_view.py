"""Discovered programs in the terminal: a list, and a detailed view."""

from __future__ import annotations

from collections.abc import Sequence

from optsearch.runs.library.description import mean, method
from optsearch.runs.library.discovery import Discovery, Result, Spent
from optsearch.runs.summary.held_out import warnings
from optsearch.runs.terminal.tables import say, table
from optsearch.runs.text.phrasing import listed


def listing(found: Sequence[Discovery]) -> None:
    """Prints discovered programs, one line each."""
    say()
    say("Discovered by searches; `optsearch show NAME` says how, and what each is worth:", "bold")
    rows: list[list[object]] = []
    for one in found:
        origin, live = one.record.origin, one.program
        where = f"{origin.run}:{origin.program} on {listed(origin.tasks)}"
        rows.append([one.name, where, len(live.body), ", ".join(live.state) or "none", one.headline])
    table(["name", "found in", "statements", "state", "result"], rows, right=["statements"])


def shown(one: Discovery) -> None:
    """Prints a discovered program's provenance, held-out results, and the commands that reproduce it."""
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
    say("Test loss on held-out tasks; beside a baseline's the difference of the program's, ? where undecided:", "bold")
    table(
        ["task", one.name, *held.baselines],
        [[result.task, mean(result.loss, result.failed), *_cells(result)] for result in held.results],
    )
    say(method(one))
    say(one.headline)
    for further in record.further:
        data = "data that selected it" if warnings(one.name, record.chosen_on, further.tasks) else "held-out data"
        say(f"Further, on {data}, with {further.trials} trials a tuning {further.comparisons_over_tasks}.")
    say()
    say("What finds it again, in the same versions on the same kind of machine, and compares it again:", "bold")
    for command in one.commands:
        say(f"  {command}", whole=True)


def _cells(result: Result) -> list[str]:
    cells: list[str] = []
    for row in result.against:
        difference = row.difference[0]
        gap = "" if difference is None else f" {difference:+.4f}{'?' * (row.verdict == 'undecided')}"
        cells.append(f"{mean(row.loss, row.failed)}{gap}")
    return cells


def _versions(made_with: dict[str, str]) -> str:
    named = [f"{key} {value}" for key, value in made_with.items() if key != "processor"]
    return f"{', '.join(named)} on {made_with.get('processor', 'an unknown processor')}"


def _spent(spent: Spent) -> str:
    counts = {"programs": spent.programs, "evaluations": spent.evaluations, "training runs": spent.runs}
    named = [f"{count:,} {name}" for name, count in counts.items() if count is not None]
    return ", ".join([*named, f"{spent.seconds / 3600:.2f} core-hours"])
