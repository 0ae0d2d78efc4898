"""The runs of a folder as a table, and work in progress as lines."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from optsearch.runs.store.work import Work, read_work
from optsearch.runs.summary.listing import ListedRun
from optsearch.runs.terminal.tables import console, say, table
from optsearch.runs.text.phrasing import number

INTERVAL_S = 1.0
"""Seconds between two looks at work in progress."""


def listed_runs(found: Sequence[ListedRun]) -> None:
    """Prints the runs of a folder."""
    if not found:
        say("No runs here.")
        return
    rows = [
        [
            row.kind,
            row.name,
            row.status,
            ", ".join(row.tasks),
            f"{row.evaluations:,}",
            number(row.best),
            row.date[:16].replace("T", " "),
            row.says,
        ]
        for row in found
    ]
    table(["kind", "name", "status", "task", "evaluations", "best", "date", ""], rows, right=["evaluations", "best"])


def work_of(names: Sequence[str], folders: Sequence[Path]) -> list[Work]:
    """Work by its name, or work in progress by the folders of its runs.

    Args:
        names: names of work, or resolved folders of runs.
        folders: folders of runs that have work.
    """
    there = [work for folder in dict.fromkeys(folders) for work in read_work(folder)]
    return [work for work in there if work.name in names or (work.status == "running" and set(work.runs) & set(names))]


def versions(names: Sequence[str], folders: Sequence[Path]) -> Iterator[Work]:
    """Yields the versions of work until none of it is running.

    Args:
        names: names of work.
        folders: folders of runs that have work.
    """
    seen: dict[str, Work] = {}
    while True:
        found = work_of(names, folders)
        for work in found:
            if seen.get(work.name) != work:
                seen[work.name] = work
                yield work
        if all(work.status != "running" for work in found):
            return
        time.sleep(INTERVAL_S)


def work_line(work: Work) -> None:
    """Prints a version of work in progress."""
    total = "" if work.total is None else f" of {work.total:,}"
    words = work.line or f"{work.done:,}{total} training runs done"
    subjects = ", ".join(work.subjects)
    console.print(f"{work.name} ({subjects}): {work.status}; {words}", soft_wrap=True)
