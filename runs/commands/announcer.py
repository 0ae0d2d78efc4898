"""Sends the events of a campaign to its callbacks."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from optsearch.runs.store.stream import Callback, Event, StopSearch


class Announcer:
    """Sends every event of a run to its callbacks.

    Args:
        callbacks: the receivers, called in order.
        stop: event that is set when a callback raises `StopSearch`; it interrupts the run.
    """

    def __init__(self, callbacks: Sequence[Callback], stop: threading.Event):
        self._callbacks, self.stop = callbacks, stop

    def __call__(self, event: Event) -> None:
        for callback in self._callbacks:
            try:
                callback(event)
            except StopSearch:
                self.stop.set()
