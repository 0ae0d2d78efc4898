"""Selection of the best program of a search, corrected for selection bias.

Fitness is measured on few training seeds, so the minimum over thousands of programs is biased. Therefore the programs
of lowest fitness, the finalists, are trained on further seeds, and the finalist with the lowest mean is selected: the
mean loss, or with several tasks the mean score over all tasks. The final comparison uses a third set of seeds, so it is
free of selection bias. Controls are treated in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from optsearch.proxy_tasks.seeds import FINALISTS
from optsearch.runs.store.errors import RunError
from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.records import Final, Search
from optsearch.runs.summary.finals import measure_of, summarize
from optsearch.runs.summary.searches import SEARCH
from optsearch.search.events import Evaluated


def finalist_seeds(store: RunReader) -> range:
    """The selection seeds, on which finalists are compared; disjoint from training seeds and fresh seeds."""
    return FINALISTS[: store.config.finalists.seeds]


def finalists(store: RunReader, search: Search) -> list[Evaluated]:
    """The finalists of a search, in order of fitness."""
    return store.leaderboard(search, store.config.finalists.count)


def finalist_mean(store: RunReader, program_id: str, finals: Sequence[Final]) -> float | None:
    """Mean of a program on the selection seeds; None if it is no finalist, or a run failed.

    Args:
        store: the run.
        program_id: id of the program within the run.
        finals: recorded runs on further seeds.
    """
    seeds = finalist_seeds(store)
    runs = summarize([one for one in finals if one.contender == program_id and one.seed in seeds], measure_of(store))
    return None if runs is None or len(runs.seeds) < len(seeds) else runs.mean


def best_ticket(store: RunReader) -> tuple[Search, int]:
    """The best program of the main search, selected by `best`.

    Raises:
        RunError: no program has trained yet.
    """
    search = store.search(SEARCH)
    return search, best(store, search, store.finals()).ticket


def best(store: RunReader, search: Search, finals: Sequence[Final]) -> Evaluated:
    """The best program of a search: the best finalist once all are trained, before that the program of lowest fitness.

    Args:
        store: the run.
        search: a search of the run.
        finals: recorded runs on further seeds.

    Raises:
        RunError: no program has trained yet.
    """
    candidates, seeds = finalists(store, search), finalist_seeds(store)
    if not candidates:
        raise RunError(f"{store.folder}: no program has trained yet: continue the search")
    measure = measure_of(store)
    runs: dict[str, list[Final]] = {}
    for final in finals:
        if final.seed in seeds:
            runs.setdefault(final.contender, []).append(final)
    means: list[float] = []
    for candidate in candidates:
        whole = measure.by_seed(runs.get(search.program_id(candidate.ticket), ()))
        if len(whole) < len(seeds):
            return candidates[0]
        values = map(measure.value, whole.values())
        means.append(sum(math.inf if value is None else value for value in values) / len(whole))
    return candidates[means.index(min(means))]
