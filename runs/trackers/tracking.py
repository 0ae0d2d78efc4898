"""The callback that passes the events of a run on to a tracker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from optsearch.dsl.errors import UserError
from optsearch.runs.report.html import read_report, to_html
from optsearch.runs.store.records import JsonObject
from optsearch.runs.store.stream import (
    Event,
    FinalsRecorded,
    ResultsRecorded,
    RunEnded,
    RunStarted,
    SearchProgress,
    ValidationRecorded,
)
from optsearch.runs.terminal.tables import errors
from optsearch.runs.trackers.tracker import Setting, TrackedRun, Tracker

POINTS = 200
"""Approximate number of points of a curve; improvements are always points."""


class Tracking:
    """A callback that writes a run with a tracker.

    The run goes on if the tracker fails: a warning is printed, and the tracker gets no further calls in this session.

    Args:
        tracker: the tracker.
        name: name of the tracker in the warning.
    """

    def __init__(self, tracker: Tracker, name: str):
        self._tracker, self._name = tracker, name
        self._curves: dict[str, _Curve] = {}
        self._failed = False

    def __call__(self, event: Event) -> None:
        """Receives an event of the run."""
        if isinstance(event, RunStarted):
            self._curves, self._failed = {}, False
        if self._failed:
            return
        try:
            self._pass_on(event)
        except Exception as error:  # noqa: BLE001 - a fault of a tracker must not stop a run
            self._failed = True
            errors.print(
                f"The tracker {self._name} failed and is left out from now on; the run goes on. "
                f"{type(error).__name__}: {error}",
                markup=False,
                soft_wrap=True,
            )

    def _pass_on(self, event: Event) -> None:
        tracker = self._tracker
        match event:
            case RunStarted():
                name, settings = event.folder.resolve().name, dict(_flat(event.settings))
                tracker.start(TrackedRun(event.identity, name, event.folder, settings))
            case ResultsRecorded():
                self._curve(event.search.name).note(event)
            case ValidationRecorded(search, validation):
                if validation.fitness.value is not None:
                    loss = {f"{search.name}/meta_validation_loss": validation.fitness.value}
                    tracker.log(loss, validation.evaluations)
            case FinalsRecorded():
                for final in event.finals:
                    if final.loss is not None:
                        tracker.log({f"final/{final.task}/{final.contender}": final.loss}, final.seed)
            case SearchProgress():
                self._curve(event.search.name).draw(event, tracker)
            case RunEnded():
                tracker.finish(event.status, _report(event.folder))

    def _curve(self, search: str) -> _Curve:
        return self._curves.setdefault(search, _Curve())


class _Curve:
    """Progress of one search: which points are written, and the best program that is not written yet."""

    def __init__(self) -> None:
        self._last: int | None = None
        self._best = self._drawn = float("inf")
        self._pending: tuple[int, Callable[[], str]] | None = None

    def note(self, event: ResultsRecorded) -> None:
        """Remembers the best of newly settled programs."""
        for item in event.settled:
            if item.fitness.value is not None and item.fitness.value < self._best:
                self._best = item.fitness.value
                self._pending = item.candidate.ticket, lambda item=item: str(item.scored)

    def draw(self, event: SearchProgress, tracker: Tracker) -> None:
        """Writes a point if the best fitness has improved, a part of the budget has passed, or the search has ended."""
        progress, name = event.progress, event.search.name
        best, step = progress.best, progress.evaluated
        if self._pending is not None and best is not None and best.ticket == self._pending[0]:
            tracker.program(name, self._pending[1](), step)
            self._pending = None
        has_improved = best is not None and best.fitness < self._drawn
        done = {"programs": progress.generated, "evaluations": progress.evaluated, "steps": progress.steps}
        place = done[event.budget[0]]
        is_due = self._last is None or place >= self._last + max(event.budget[1] // POINTS, 1)
        if not (has_improved or is_due or progress.finished) or (place == self._last and not has_improved):
            return
        self._last, self._drawn = place, self._drawn if best is None else best.fitness
        values = {"programs": float(progress.generated), "steps": float(progress.steps)}
        values |= {f"outcome_{outcome}": float(count) for outcome, count in progress.outcomes.items()}
        if progress.generated:
            values["cache_hit_share"] = progress.cache_hits / progress.generated
        if best is not None:
            values["best_fitness"] = best.fitness
        if progress.warm_start is not None:
            values["warm_start_fitness"] = progress.warm_start
        tracker.log({f"{name}/{key}": value for key, value in values.items()}, step)


def _report(folder: Path) -> str:
    """The report; empty if the run cannot be reported, such as one that was moved away."""
    try:
        return to_html(read_report([folder]))
    except UserError:
        return ""


def _flat(settings: JsonObject, above: str = "") -> Iterator[tuple[str, Setting]]:
    """Settings by dotted name."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        elif value is not None:
            yield f"{above}{key}", value if isinstance(value, str | int | float | bool) else json.dumps(value)
