"""A run seen from another shell: live in a terminal, plain lines elsewhere, JSON lines for machines.

The run file is opened anew for every look, so that the writer is never held up and a run that ends, crashes or goes on
later is seen as it is. Looking takes longer as the file grows, so the pause grows with it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.records import Arm
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary import run as inspect
from optsearch.runs.summary.arms import SEARCH, control_evaluations
from optsearch.runs.summary.history import best_so_far, read_history
from optsearch.runs.summary.run import Glance, glance, redundant_share
from optsearch.runs.terminal.search_view import ProgressView
from optsearch.runs.terminal.tables import PlainConsole, console
from optsearch.runs.text.phrasing import number
from optsearch.search.events import Progress

INTERVAL_S = 1.0
"""Shortest pause between two looks."""

SHARE = 0.05
"""Largest share of the time that is spent looking."""

Form = Literal["live", "plain", "json"]


def watch(folder: Path, form: Form) -> str:
    """Follows a run until nobody writes it any more.

    Args:
        folder: the run folder.
        form: ``live`` draws over what it has drawn where the output is a terminal.

    Returns:
        The run's status at the end, as ``inspect.status`` says it.

    Raises:
        RunError: the folder is not a run, or it is damaged.
    """
    return _watch_json(folder) if form == "json" else _watch_words(folder, live=form == "live")


def _watch_json(folder: Path) -> str:
    last: dict[str, Any] = {}
    while True:
        began = time.monotonic()
        with RunStore.read(folder) as store:
            seen = inspect.snapshot(store)
        if seen != last:
            sys.stdout.write(json.dumps(seen, allow_nan=False) + "\n")
            sys.stdout.flush()
            last = seen
        if seen["status"] != "running":
            return str(seen["status"])
        _pause(began)


def _watch_words(folder: Path, *, live: bool) -> str:
    target = console if live else PlainConsole(file=sys.stdout, force_terminal=False, width=200)
    view: ProgressView | None = None
    shown: str | None = None
    best: str | None = None
    try:
        while True:
            began = time.monotonic()
            with RunStore.read(folder) as store:
                status, arm = inspect.status(store), inspect.current_arm(store)
                if arm is not None:
                    progress = store.progress(arm)
                    seen = glance(
                        store, arm, progress, redundant_share(store.population(arm, store.config.population.size))
                    )
                    if view is None or arm.name != shown:
                        _leave(view)
                        view, shown = _view(target, store, arm), arm.name
                        view.__enter__()
                    view.glance = _constant(seen)
                    view.update(progress)
                    best = _best(arm, progress) or best
            if status != "running":
                _leave(view)
                view = None
                ending = f"{folder.name}: {status}" + (f"; {best}" if best else "")
                target.print(ending, markup=False, highlight=False, soft_wrap=True)
                return status
            _pause(began)
    finally:
        _leave(view)


def _leave(view: ProgressView | None) -> None:
    if view is not None:
        view.__exit__(None, None, None)


def _view(target: PlainConsole, store: RunReader, arm: Arm) -> ProgressView:
    """A view that knows what came before it."""
    bests = [(row["programs"], row["fitness"]) for row in best_so_far(read_history(store, arm))]
    return ProgressView(target, arm.name, _budget(store, arm), rivals=inspect.rivals(store, arm), bests=bests)


def _constant(seen: Glance) -> Callable[[Progress], Glance]:
    return lambda progress: seen


def _best(arm: Arm, progress: Progress) -> str | None:
    if arm.name != SEARCH or progress.best is None:
        return None
    return f"best program {arm.program_id(progress.best.ticket)}, fitness {number(progress.best.fitness)}"


def _budget(store: RunReader, arm: Arm) -> tuple[str, int]:
    """What a search counts towards: controls towards evaluations, as many as follow from the searches before them."""
    config = store.config
    if arm.settings.get("stage") == "first" and config.first_stage is not None:
        return config.first_stage.budget.counted
    return config.budget.counted if arm.name == SEARCH else ("evaluations", control_evaluations(store))


def _pause(began: float) -> None:
    took = time.monotonic() - began
    time.sleep(max(INTERVAL_S - took, took / SHARE - took, 0.0) if took > INTERVAL_S * SHARE else INTERVAL_S)
