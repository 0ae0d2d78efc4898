"""Recognises runs that are copies of one another: same settings, same population, by its digest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from optsearch.runs.report.findings import Findings
from optsearch.runs.store.records import JsonObject

NAMES = ("name", "description")
"""Settings that do not influence a run."""


def without_copies(runs: Sequence[Findings]) -> list[Findings]:
    """The runs without copies of earlier ones, whose names and selections the first of them takes over.

    Args:
        runs: the runs, in any state; those without programs are no copies.
    """
    found: list[Findings] = []
    for run in runs:
        same = next((place for place, other in enumerate(found) if _identical(run, other)), None)
        if same is None:
            found.append(run)
        else:
            first = found[same]
            both = [*first.selections, *run.selections]
            found[same] = replace(first, selections=both, copies=(*first.copies, run.name))
    return found


def _identical(one: Findings, other: Findings) -> bool:
    digests = one.view.population_digest, other.view.population_digest
    same = digests[0] is not None and digests[0] == digests[1] and one.view.counts == other.view.counts
    return same and bool(one.view.counts.generated) and _settings(one) == _settings(other)


def _settings(run: Findings) -> JsonObject:
    return {key: value for key, value in run.settings.items() if key not in NAMES}
