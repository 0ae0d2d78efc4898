"""Whether this version, with its tasks and given settings, can resume a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optsearch.dsl.fingerprint import FINGERPRINT_VERSION
from optsearch.runs.store.reader import RunReader
from optsearch.search.evolution import SEARCH_VERSION


def version_fault(store: RunReader) -> str | None:
    """Reason why this version of the program cannot resume a run; None if it can."""
    for name, ours in (("fingerprint_version", FINGERPRINT_VERSION), ("search_version", SEARCH_VERSION)):
        theirs = store.meta(name, 1)
        if theirs != ours:
            return f"the run was started by a version with {name} {theirs}, this one has {ours}"
    return None


def task_changes(store: RunReader, tasks: Mapping[str, str]) -> list[str]:
    """Differences between the recorded and the current versions of a run's tasks.

    Args:
        store: the run.
        tasks: current versions by name.
    """
    recorded = store.meta("tasks", {})
    return [
        f"the run was trained on version {recorded.get(name, 'unknown')} of task '{name}', which is now {version}"
        for name, version in tasks.items()
        if recorded.get(name) != version
    ]


def differences(was: Any, now: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Differences between two JSON values.

    Args:
        was: the recorded value.
        now: the current value.
        path: key of the values, for recursion.

    Returns:
        Key with its parents, such as ``budget.programs``, recorded value and current value of each difference; None
        stands for a missing key.
    """
    if isinstance(was, dict) and isinstance(now, dict):
        found: list[tuple[str, Any, Any]] = []
        for key in sorted({*was, *now}):
            found += differences(was.get(key), now.get(key), f"{path}.{key}" if path else key)
        return found
    return [] if was == now else [(path, was, now)]
