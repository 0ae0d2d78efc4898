"""Status of a run: running, finished, or how it stopped."""

from __future__ import annotations

from optsearch.runs.store.lock import is_locked
from optsearch.runs.store.reader import RUN_FILE, RunReader, has_log
from optsearch.runs.store.records import Search

FINISHED = "finished"
"""Status of a run whose searches and final comparison are complete."""

INCOMPLETE = (
    f"This is a copy of {RUN_FILE} alone, made while the run was in progress: its latest records were in "
    f"{RUN_FILE}-wal and are missing here. Copy the whole folder."
)
"""Message for runs whose status is ``incomplete``."""


def status(store: RunReader) -> str:
    """Status of a run.

    One of ``new``, ``running``, ``finished``, ``interrupted`` (by Ctrl-C), ``failed``, ``crashed`` (the process was
    killed), or ``incomplete`` (a copy of the run file without its write-ahead log). A killed process leaves the log
    behind, whereas a process that closes the file has recorded another status before.
    """
    recorded = str(store.meta("status"))
    if is_locked(store.folder) or not (recorded == "running" or (recorded == "new" and not store.sessions())):
        return recorded
    return "crashed" if has_log(store.folder) else "incomplete"


def current_search(store: RunReader) -> Search | None:
    """The current or last search; None before the first one."""
    return next(reversed(store.searches()), None)
