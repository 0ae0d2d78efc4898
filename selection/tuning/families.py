"""Families of baselines, and the order in which baselines that contain each other are tuned.

The members of a family are variants of one optimizer. A program that is ahead of AdamW but behind AdamW with clipped
gradients is not ahead of what a practitioner would use, so the opponent in the headline is the best member.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optsearch.selection.contender import Contender
from optsearch.selection.space import BETA, Values
from optsearch.selection.tuning.tuner import Tuned


@dataclass(frozen=True, slots=True)
class Family:
    """A family of baselines in an evaluation.

    Attributes:
        name: ``best of adamw, clipped``: the members, in order.
        members: names of at least two baselines.
        best: for each task the member of lowest tuned validation loss, in each replicate; with one setting for all
            tasks, the member of lowest objective over all of them. The choice uses tuning seeds alone, so that the
            member's losses on fresh seeds are not biased by it.
    """

    name: str
    members: tuple[str, ...]
    best: tuple[tuple[str, tuple[str, ...]], ...]


def families(
    contenders: Sequence[Contender],
    tasks: Sequence[str],
    replicates: int,
    tuned: Mapping[tuple[str, str, int], Tuned],
) -> tuple[Family, ...]:
    """Families with at least two members among the contenders; empty without tuning, which selects the members.

    Args:
        contenders: programs and baselines.
        tasks: names of the tasks.
        replicates: number of replicates.
        tuned: tunings by task, contender and replicate.
    """
    members: dict[str, list[str]] = {}
    for contender in contenders:
        if contender.family:
            members.setdefault(contender.family, []).append(contender.name)
    found: list[Family] = []
    for names in members.values():
        if len(names) < 2 or any(row.objective is None for row in tuned.values()):
            continue
        best = [(task, tuple(_best(task, names, number, tuned) for number in range(replicates))) for task in tasks]
        found.append(Family(f"best of {', '.join(names)}", tuple(names), tuple(best)))
    return tuple(found)


def _best(task: str, names: Sequence[str], replicate: int, tuned: Mapping[tuple[str, str, int], Tuned]) -> str:
    objectives = {name: tuned[task, name, replicate].objective for name in names}
    return min(names, key=lambda name: math.inf if (found := objectives[name]) is None else found)


def groups(contenders: Sequence[Contender]) -> list[list[Contender]]:
    """Groups that contain each other, directly or through others; within a group, the contained contenders come first.

    Groups can be tuned concurrently.
    """
    found: list[list[Contender]] = []
    for contender in _ordered(contenders):
        related = [g for g in found if any(o.name in contender.contains for o in g)]
        found = [group for group in found if group not in related]
        found.append([*(other for group in related for other in group), contender])
    return found


def _ordered(contenders: Sequence[Contender]) -> list[Contender]:
    """The contenders such that each comes after those that it contains."""
    left, found = list(contenders), list[Contender]()
    while left:
        names = {contender.name for contender in left}
        ready = [contender for contender in left if not names & set(contender.contains) - {contender.name}]
        found += ready
        left = [contender for contender in left if contender not in ready]
    return found


def starts(contender: Contender, best: Mapping[str, Values], programs: Sequence[Contender]) -> list[Values]:
    """Points that a tuning tries besides the contender's own settings.

    Args:
        contender: the contender to tune.
        best: tuned values of the contenders of its group that are tuned already.
        programs: programs of the evaluation. A baseline with two EMA decays also tries the smallest and the largest
            decay of each program: programs start at constants that a search has tuned, baselines at textbook values.
    """
    found: list[Values] = []
    for name, extra in contender.contains.items():
        if name in best:
            found.append(tuple((dict(best[name]) | dict(extra)).items()))
    if contender.is_baseline and {"b1", "b2"} <= set(contender.arguments):
        for program in programs:
            decays = [row.reference for row in program.space() if row.kind == BETA]
            if decays:
                found.append((("b1", min(decays)), ("b2", max(decays))))
    return found
