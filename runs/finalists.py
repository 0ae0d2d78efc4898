"""Which program of a search is its best: the one with the lowest fitness has been lucky too.

Fitness comes from few training seeds, and the lowest of thousands is low partly by chance. So the programs of lowest
fitness, the finalists, are trained on further seeds, and the one with the lowest mean there is the best. The final
comparison uses other seeds again, so that what it shows is not the result of a choice. Controls are treated alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from runs.errors import RunError
from runs.reader import Arm, Final, RunReader
from search.config import FINALIST_SEED
from search.events import Evaluated


def finalist_seeds(store: RunReader) -> range:
    """The seeds on which finalists are compared; neither training nor fresh seeds."""
    return range(FINALIST_SEED, FINALIST_SEED + int(store.meta("settings")["finalists"]["seeds"]))


def finalists(store: RunReader, arm: Arm) -> list[Evaluated]:
    """The programs of an arm that are trained on the finalists' seeds, by fitness."""
    return store.leaderboard(arm, int(store.meta("settings")["finalists"]["count"]))


def best(store: RunReader, arm: Arm, finals: Sequence[Final]) -> Evaluated:
    """The best program of an arm: of the finalists if all have been trained, else the one of lowest fitness.

    Args:
        store: the run.
        arm: one of its searches.
        finals: what the run has of further seeds.

    Raises:
        RunError: nothing has trained yet.
    """
    candidates, seeds = finalists(store, arm), set(finalist_seeds(store))
    if not candidates:
        raise RunError(f"{store.folder}: no program has been evaluated yet: let the search run on")
    losses: dict[str, dict[int, float]] = {}
    for final in finals:
        if final.seed in seeds:
            losses.setdefault(final.contender, {})[final.seed] = math.inf if final.loss is None else final.loss
    names = [arm.program_id(candidate.ticket) for candidate in candidates]
    if any(len(losses.get(name, ())) < len(seeds) for name in names):
        return candidates[0]
    means = [_mean(losses[name]) for name in names]
    return candidates[means.index(min(means))]


def _mean(losses: Mapping[int, float]) -> float:
    return sum(losses.values()) / len(losses)
