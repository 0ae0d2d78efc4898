"""The searches of a campaign: which there are, in which order, and what each starts from.

A campaign without a first stage is one search and its controls. With one, several searches come first, and the search
starts from the best program that any of them found; ``schedule`` frees the power of that program's learning rate, as it
does with the warm start's. Controls get as many evaluations as all of these together, or a multiple of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from optsearch.proxy_tasks.registry import get_task
from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.records import Arm
from optsearch.runs.store.writer import RunStore
from optsearch.search.algorithms import ALGORITHMS, CONTROLS
from optsearch.search.config import CampaignConfig
from optsearch.search.events import Evaluated
from optsearch.search.evolution import WARM_START, Budget, Evolution, History
from optsearch.search.fitness import Reference
from optsearch.search.reference import make_reference

SEARCH = "search"
"""Name of the search; ``search.algorithms.CONTROLS`` has those of controls."""

FIRST_STAGE = "first-{}"
"""Names of the searches of a first stage, numbered from 1."""


@dataclass(frozen=True, slots=True)
class PlannedArm:
    """A search that is about to run.

    Attributes:
        arm: its place in the run file.
        budget: when it ends.
    """

    arm: Arm
    budget: Budget


def planned_arms(store: RunStore, config: CampaignConfig) -> Iterator[PlannedArm]:
    """The searches in order; each may be asked for when those before it are done.

    Args:
        store: the run; gets the arms.
        config: the campaign.
    """
    settings: dict[str, str] = {"algorithm": config.algorithm}
    if config.first_stage is not None:
        for number in range(1, config.first_stage.searches + 1):
            first = {"algorithm": config.first_stage.algorithm, "stage": "first"}
            arm = store.add_arm(FIRST_STAGE.format(number), f"f{number}-", first)
            yield PlannedArm(arm, config.first_stage.budget)
        found = best_of_first_stage(store)
        if found is not None:
            settings["start"] = found[0].program_id(found[1].ticket)
    yield PlannedArm(store.add_arm(SEARCH, "", settings), config.budget)
    for algorithm in config.controls:
        evaluations = control_evaluations(store)
        control = ALGORITHMS[algorithm]
        arm = store.add_arm(control.search, control.prefix, {"algorithm": algorithm})
        yield PlannedArm(arm, Budget(evaluations=evaluations))


def make_evolution(
    store: RunReader, config: CampaignConfig, arm: Arm, budget: Budget, history: History | None = None
) -> Evolution:
    """The evolution of a search of a run.

    Args:
        store: the run.
        config: its campaign.
        arm: the search.
        budget: when it ends.
        history: where to go on; None to begin.
    """
    found = None
    if arm.settings.get("start", "0") != "0":
        found = store.ticket(*store.find(str(arm.settings["start"]))).scored
    return Evolution(
        config.start(arm.settings["algorithm"], found),
        name=arm.name,
        seed=config.seed,
        population=config.population,
        look_ahead=config.look_ahead,
        variation=config.variation(arm.settings["algorithm"]),
        budget=budget,
        history=history,
    )


def best_of_first_stage(store: RunReader) -> tuple[Arm, Evaluated] | None:
    """The program of lowest fitness of the first stage, of the earlier search among equals; None without one."""
    boards = [(arm, store.leaderboard(arm, 1)) for arm in first_stage(store)]
    return min(
        ((arm, board[0]) for arm, board in boards if board),
        key=lambda found: (found[1].fitness.key, found[0].number),
        default=None,
    )


def first_stage(store: RunReader) -> list[Arm]:
    """The searches of the first stage."""
    return [arm for arm in store.arms() if arm.settings.get("stage") == "first"]


def searches(store: RunReader) -> list[Arm]:
    """The searches that are no controls."""
    return [arm for arm in store.arms() if arm.name == SEARCH or arm.settings.get("stage") == "first"]


def controls(store: RunReader) -> list[Arm]:
    """The controls."""
    return [arm for arm in store.arms() if arm.name in CONTROLS]


def contenders(store: RunReader) -> list[Arm]:
    """The searches whose best programs are compared in the end: the search and its controls."""
    return [arm for arm in store.arms() if arm.settings.get("stage") != "first"]


def control_evaluations(store: RunReader) -> int:
    """Evaluations that each control gets."""
    spent = sum(evaluations_of(store, arm) for arm in searches(store))
    return max(round(spent * store.config.control_budget), 1)


def spent(store: RunReader, config: CampaignConfig) -> bool:
    """Whether the search has used up its budget, which a resumed run may have extended, and has its controls."""
    names = [arm.settings["algorithm"] for arm in controls(store)]
    if SEARCH not in [arm.name for arm in store.arms()] or names != config.controls:
        return False
    arm, budget = store.arm(SEARCH), config.budget
    if budget.programs is not None and store.settled(arm) - 1 >= budget.programs:
        return True
    return budget.evaluations is not None and evaluations_of(store, arm) >= budget.evaluations


def evaluations_of(store: RunReader, arm: Arm) -> int:
    """Number of evaluations of generated programs."""
    return sum(1 for result in store.evaluations(arm) if result.ticket > WARM_START)


def reference_of(store: RunReader, config: CampaignConfig) -> Reference:
    """The reference of a run's programs: the evaluation of the warm start, which opens the first search.

    Args:
        store: a run whose first search has evaluated its warm start.
        config: its campaign.
    """
    warm_start = store.evaluation(store.arms()[0], WARM_START).fitness
    checkpoints = [get_task(task.task).checkpoints for task in config.setting.tasks]
    return make_reference(config.hurdle, checkpoints, len(config.training_seeds), warm_start, config.rate_sweep)
