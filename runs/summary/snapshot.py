"""Progress of a run at one moment, for ``watch --json``."""

from __future__ import annotations

from dataclasses import dataclass

from optsearch.runs.store.reader import RunReader
from optsearch.runs.summary.counts import Counts, Leader, leader, redundant_share
from optsearch.runs.summary.meta_validation import MetaValidationSummary, meta_validation
from optsearch.runs.summary.run import summary
from optsearch.runs.summary.searches import SEARCH
from optsearch.runs.summary.sentences import headline
from optsearch.runs.summary.status import FINISHED, current_search, status


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Progress of the current search of a run.

    Attributes:
        name: name of the campaign.
        status: status of the run, as returned by `status.status`.
        search: name of the current or last search; None before the first one, the main search of a finished run.
        counts: counts of this search.
        redundant_share: fraction of redundant statements in the population; None if there are no statements.
        best: program of lowest fitness; None if no program has trained yet.
        warm_start: fitness of the warm start; None if it is not known yet, or the warm start does not train.
        meta_validation: meta-validation of the main search; None for controls and without meta-validation.
        seconds: time spent on the run, over all sessions, rounded to 10 ms.
        result: result of a finished run in one sentence; None for other runs.
    """

    name: str
    status: str
    search: str | None
    counts: Counts
    redundant_share: float | None
    best: Leader | None
    warm_start: float | None
    meta_validation: MetaValidationSummary | None
    seconds: float
    result: str | None = None


def snapshot(store: RunReader) -> Snapshot:
    """Reads the progress of a run in any state."""
    name, state, search, seconds = store.config.name, status(store), current_search(store), round(store.seconds(), 2)
    if search is None:
        return Snapshot(name, state, None, Counts(), None, None, None, None, seconds)
    result = None
    if state == FINISHED:
        search, result = store.search(SEARCH), headline(summary(store))
    progress = store.progress(search)
    return Snapshot(
        name=name,
        status=state,
        search=search.name,
        counts=Counts.of(progress),
        redundant_share=redundant_share(store.population(search, store.config.population.size)),
        best=leader(search, progress),
        warm_start=progress.warm_start,
        meta_validation=meta_validation(store, search) if search.name == SEARCH else None,
        seconds=seconds,
        result=result,
    )
