"""Which program of a search is its best: the one with the lowest fitness has been lucky too.

Fitness comes from few training seeds, and the lowest of thousands is low partly by chance. So the programs of lowest
fitness, the finalists, are trained on further seeds, and the one with the lowest mean there is the best: the mean loss,
or with several tasks the mean score over all of them. The final comparison uses other seeds again, so that what it
shows is not the result of a choice. Controls are treated alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from optsearch.proxy_tasks.seeds import FINALISTS
from optsearch.runs.store.errors import RunError
from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.records import Arm, Final
from optsearch.runs.summary.finals import measure_of
from optsearch.search.events import Evaluated


def finalist_seeds(store: RunReader) -> range:
    """The seeds on which finalists are compared; neither training nor fresh seeds."""
    return FINALISTS[: store.config.finalists.seeds]


def finalists(store: RunReader, arm: Arm) -> list[Evaluated]:
    """The programs of an arm that are trained on the finalists' seeds, by fitness."""
    return store.leaderboard(arm, store.config.finalists.count)


def best(store: RunReader, arm: Arm, finals: Sequence[Final]) -> Evaluated:
    """The best program of an arm: of the finalists if all have been trained, else the one of lowest fitness.

    Args:
        store: the run.
        arm: one of its searches.
        finals: what the run has of further seeds.

    Raises:
        RunError: nothing has trained yet.
    """
    candidates, seeds = finalists(store, arm), finalist_seeds(store)
    if not candidates:
        raise RunError(f"{store.folder}: no program has been evaluated yet: let the search run on")
    measure = measure_of(store)
    runs: dict[str, list[Final]] = {}
    for final in finals:
        if final.seed in seeds:
            runs.setdefault(final.contender, []).append(final)
    means: list[float] = []
    for candidate in candidates:
        whole = measure.by_seed(runs.get(arm.program_id(candidate.ticket), ()))
        if len(whole) < len(seeds):
            return candidates[0]
        values = map(measure.value, whole.values())
        means.append(sum(math.inf if value is None else value for value in values) / len(whole))
    return candidates[means.index(min(means))]
