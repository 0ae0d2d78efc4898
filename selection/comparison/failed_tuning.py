"""Failed tunings: a baseline that is behind a baseline that it contains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optsearch.selection.comparison.comparison import LEVEL
from optsearch.selection.contender import Contender
from optsearch.selection.statistics.significance import permutation_test


@dataclass(frozen=True, slots=True)
class FailedTuning:
    """A baseline that is behind a baseline that it contains: its tuning has failed to find settings that exist.

    Attributes:
        task: name of the task.
        contender: name of the baseline.
        contained: name of the baseline that it contains.
        loss: mean loss of the baseline over replicates, on the validation split.
        contained_loss: that of the contained baseline.
    """

    task: str
    contender: str
    contained: str
    loss: float
    contained_loss: float


def failed_tunings(
    contenders: Sequence[Contender], losses: Mapping[str, Mapping[str, Sequence[Sequence[float]]]]
) -> tuple[FailedTuning, ...]:
    """Baselines whose mean validation loss is significantly above that of a baseline that they contain."""
    found: list[FailedTuning] = []
    for task, rows in losses.items():
        for contender in contenders:
            for contained in contender.contains:
                if contained in rows and (row := _behind(task, contender.name, contained, rows)):
                    found.append(row)
    return tuple(found)


def _behind(task: str, name: str, contained: str, rows: Mapping[str, Sequence[Sequence[float]]]) -> FailedTuning | None:
    mine, theirs = ([sum(row) / len(row) for row in rows[one]] for one in (name, contained))
    if not all(map(math.isfinite, (*mine, *theirs))):
        return None
    loss, other = sum(mine) / len(mine), sum(theirs) / len(theirs)
    if loss <= other or permutation_test([(mine, theirs)]) > LEVEL:
        return None
    return FailedTuning(task, name, contained, loss, other)
