"""The protocol of a tracker, and what it is told of a run.

A plug-in of the group ``optsearch.trackers`` is a class or function without required arguments that makes one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Protocol

from optsearch.dsl.errors import UserError

Setting = str | int | float | bool
"""Value of a setting; lists and mappings are their JSON."""


class TrackerError(UserError, RuntimeError):
    """A tracker does not exist, or its package is not installed."""


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """What a tracker is told of a run when a session begins.

    Attributes:
        identity: identifies the run over all its sessions: 16 hexadecimal digits.
        name: name of the run folder.
        folder: the run folder. Files of a tracker belong beside it, since ``--force`` replaces its content.
        settings: settings of the campaign by dotted name, such as ``population.size``.
    """

    identity: str
    name: str
    folder: Path
    settings: Mapping[str, Setting]


class Tracker(Protocol):
    """Writes one run at a time: `start`, any number of `log` and `program`, `finish`.

    All calls are made in the thread of the search. An exception ends the tracking with a warning, and the run goes on.
    """

    def start(self, run: TrackedRun) -> None:
        """Begins a session; if the run was tracked before, what follows is appended to the same tracked run."""
        ...

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Writes points of curves.

        Args:
            values: value of each curve, such as ``search/best_fitness``.
            step: position on the horizontal axis: evaluations of the search, or the seed for ``final/...``.
        """
        ...

    def program(self, search: str, text: str, step: int) -> None:
        """Writes a new best program.

        Args:
            search: name of the search.
            text: text of the program.
            step: evaluations of the search so far.
        """
        ...

    def finish(self, status: str, report: str) -> None:
        """Ends the session.

        Args:
            status: ``finished``, ``interrupted`` or ``failed``.
            report: the report of the run, an HTML page without external parts; empty if there is none.
        """
        ...


def require(module: str, extra: str) -> ModuleType:
    """Imports the package of a tracker.

    Args:
        module: name of its module.
        extra: extra of this distribution that installs it.

    Raises:
        TrackerError: it is not installed.
    """
    if find_spec(module) is None:
        raise TrackerError(
            f"the tracker '{extra}' needs the package {module}, which is not installed: "
            f'python -m pip install "optsearch[{extra}]"'
        )
    return import_module(module)
