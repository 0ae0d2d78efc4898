"""The stream of a campaign's events: each record once it is durable in the run file, and the progress between records.

The terminal's view, callbacks of scripts and trackers receive these values and no others. A search that resumes
continues its stream: records of earlier sessions are not sent again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.records import Final, JsonObject, Search
from optsearch.search.budget import Unit
from optsearch.search.events import Evaluated, Progress, Settled
from optsearch.search.meta_validation import Validation


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A session of a run begins.

    Attributes:
        folder: the run folder.
        identity: identifies the run, over all its sessions; see `identity_of`.
        settings: all settings, as JSON values.
        resumed: True if there were earlier sessions.
    """

    folder: Path
    identity: str
    settings: JsonObject
    resumed: bool


@dataclass(frozen=True, slots=True)
class ResultsRecorded:
    """Results of evaluations and settled programs are recorded.

    Attributes:
        search: the search.
        evaluated: new results.
        settled: newly settled programs, in order.
    """

    search: Search
    evaluated: Sequence[Evaluated]
    settled: Sequence[Settled]


@dataclass(frozen=True, slots=True)
class ValidationRecorded:
    """A meta-validation is recorded.

    Attributes:
        search: the search.
        validation: its result.
    """

    search: Search
    validation: Validation


@dataclass(frozen=True, slots=True)
class FinalsRecorded:
    """Training runs of the final comparison are recorded.

    Attributes:
        finals: the runs.
    """

    finals: Sequence[Final]


@dataclass(frozen=True, slots=True)
class SearchProgress:
    """Progress of a search after a turn of its loop, a few times per second or more often.

    Attributes:
        search: the search.
        budget: unit and size of its budget, such as ``("evaluations", 3000)``.
        progress: counts and best program of the search, over all sessions.
    """

    search: Search
    budget: tuple[Unit, int]
    progress: Progress


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A session of a run has ended; the run file is closed.

    Attributes:
        folder: the run folder.
        status: ``finished``, ``interrupted`` or ``failed``.
    """

    folder: Path
    status: str


Record = ResultsRecorded | ValidationRecorded | FinalsRecorded
"""An event that the run file holds."""

Event = RunStarted | Record | SearchProgress | RunEnded
"""An event of a campaign."""

Callback = Callable[[Event], object]
"""Receives every event, in order, in the process and thread of the search; what it returns is ignored."""


class StopSearch(Exception):  # noqa: N818 - a request, like StopIteration
    """Raised by a callback to stop the run: it is then ``interrupted``, and the same call resumes it."""


def identity_of(store: RunReader) -> str:
    """A text of 16 hexadecimal digits that stays the same over all sessions and copies of a run.

    It is derived from the date of creation and from all settings that cannot change on resumption.
    """
    settings = {key: value for key, value in store.meta("settings").items() if key not in ("budget", "controls")}
    text = json.dumps([store.meta("created"), store.meta("campaign"), settings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
