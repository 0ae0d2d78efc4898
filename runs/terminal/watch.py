"""Follows a run from another shell: live in a terminal, plain lines elsewhere, or as snapshots.

The run file is reopened for every poll, so that the writer is never blocked and the end, crash or resumption of a run
is detected. Polling takes longer as the file grows, so the interval grows with it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.records import Search
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.counts import redundant_share
from optsearch.runs.summary.glance import Glance, glance, rivals
from optsearch.runs.summary.history import best_so_far, read_history
from optsearch.runs.summary.run import summary
from optsearch.runs.summary.searches import SEARCH, control_evaluations
from optsearch.runs.summary.sentences import SIGNS, headline, verdict
from optsearch.runs.summary.snapshot import Snapshot, snapshot
from optsearch.runs.summary.status import FINISHED, current_search, status
from optsearch.runs.terminal.search_view import ProgressView
from optsearch.runs.terminal.tables import PlainConsole, console
from optsearch.runs.text.phrasing import number
from optsearch.search.budget import Unit
from optsearch.search.events import Progress

INTERVAL_S = 1.0
"""Minimum number of seconds between two polls."""

SHARE = 0.05
"""Maximum fraction of time spent on polling."""


def snapshots(folder: Path) -> Iterator[Snapshot]:
    """Yields the progress of a run at every poll, until no process writes it.

    Args:
        folder: the run folder.

    Raises:
        RunError: the folder is not a run, or it is damaged.
    """
    while True:
        began = time.monotonic()
        with RunStore.read(folder) as store:
            seen = snapshot(store)
        yield seen
        if seen.status != "running":
            return
        _pause(began)


def watch(folder: Path, *, live: bool) -> str:
    """Follows a run until no process writes it.

    Args:
        folder: the run folder.
        live: if True and the output is a terminal, redraws in place; otherwise prints a line now and then.

    Returns:
        The run's final status, as returned by `status.status`.

    Raises:
        RunError: the folder is not a run, or it is damaged.
    """
    target = console if live else PlainConsole(file=sys.stdout, force_terminal=False, width=200)
    view: ProgressView | None = None
    shown: str | None = None
    best: str | None = None
    try:
        while True:
            began = time.monotonic()
            with RunStore.read(folder) as store:
                state, search = status(store), current_search(store)
                if search is not None and (state != FINISHED or view is not None):
                    progress = store.progress(search)
                    seen = glance(
                        store, search, progress, redundant_share(store.population(search, store.config.population.size))
                    )
                    if view is None or search.name != shown:
                        _leave(view)
                        view, shown = _view(target, store, search), search.name
                        view.__enter__()
                    view.glance = _constant(seen)
                    view.update(progress)
                    best = _best(search, progress) or best
            if state != "running":
                _leave(view)
                view = None
                ending = f"{folder.name}: {state}" + (f"; {best}" if best else "")
                for line in [ending, *(_result(folder) if state == FINISHED else ())]:
                    target.print(line, markup=False, highlight=False, soft_wrap=True)
                return state
            _pause(began)
    finally:
        _leave(view)


def _result(folder: Path) -> list[str]:
    """The result of a finished run: one sentence, and the comparison with each control."""
    with RunStore.read(folder) as store:
        run = summary(store)
    verdicts = [verdict(row, run.warm_start_name) for row in run.comparison]
    return [headline(run), *([SIGNS] if verdicts else []), *verdicts]


def _leave(view: ProgressView | None) -> None:
    if view is not None:
        view.__exit__(None, None, None)


def _view(target: PlainConsole, store: RunReader, search: Search) -> ProgressView:
    """Creates a view with the results of earlier searches and sessions."""
    bests = [(point.programs, point.fitness) for point in best_so_far(read_history(store, search))]
    return ProgressView(
        target,
        search.name,
        _budget(store, search),
        rivals=rivals(store, search),
        bests=bests,
        program_id=search.program_id,
    )


def _constant(seen: Glance) -> Callable[[Progress], Glance]:
    return lambda progress: seen


def _best(search: Search, progress: Progress) -> str | None:
    if search.name != SEARCH or progress.best is None:
        return None
    return f"best program {search.program_id(progress.best.ticket)}, fitness {number(progress.best.fitness)}"


def _budget(store: RunReader, search: Search) -> tuple[Unit, int]:
    """Unit and size of a search's budget; controls are limited by evaluations, derived from the earlier searches."""
    config = store.config
    if search.settings.get("stage") == "first" and config.first_stage is not None:
        return config.first_stage.budget.counted
    return config.budget.counted if search.name == SEARCH else ("evaluations", control_evaluations(store))


def _pause(began: float) -> None:
    took = time.monotonic() - began
    time.sleep(max(INTERVAL_S - took, took / SHARE - took, 0.0) if took > INTERVAL_S * SHARE else INTERVAL_S)
