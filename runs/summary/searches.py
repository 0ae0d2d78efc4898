"""The searches of a campaign, their order, and their starting points.

A campaign without a first stage consists of one search and its controls. With a first stage, several searches run
first, and the main search starts from their best program. ``schedule`` frees the power of that program's learning rate,
as it does for the warm start. Controls get the total number of evaluations of these searches, or a multiple of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from optsearch.proxy_tasks.registry import get_task
from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.records import Search
from optsearch.runs.store.writer import RunStore
from optsearch.search.algorithms import ALGORITHMS, CONTROLS
from optsearch.search.budget import Budget, StepSum
from optsearch.search.config import CampaignConfig
from optsearch.search.events import Evaluated
from optsearch.search.evolution import WARM_START, Evolution, History
from optsearch.search.proposals import Entries
from optsearch.search.scoring.fitness import Reference
from optsearch.search.scoring.reference import ReferenceRule

SEARCH = "search"
"""Name of the main search; ``search.algorithms.CONTROLS`` has the names of controls."""

FIRST_STAGE = "first-{}"
"""Name prefix of the searches of the first stage, numbered from 1."""


@dataclass(frozen=True, slots=True)
class PlannedSearch:
    """A search that runs next.

    Attributes:
        search: the search in the run file.
        budget: budget of the search.
    """

    search: Search
    budget: Budget


def planned_searches(store: RunStore, config: CampaignConfig) -> Iterator[PlannedSearch]:
    """Yields the searches in order; each is planned once the previous ones are complete.

    Args:
        store: the run, to which the searches are added.
        config: the campaign.
    """
    settings: dict[str, str] = {"algorithm": config.algorithm}
    if config.first_stage is not None:
        for number in range(1, config.first_stage.searches + 1):
            first = {"algorithm": config.first_stage.algorithm, "stage": "first"}
            search = store.add_search(FIRST_STAGE.format(number), f"f{number}-", first)
            yield PlannedSearch(search, config.first_stage.budget)
        found = best_of_first_stage(store)
        if found is not None:
            settings["start"] = found[0].program_id(found[1].ticket)
    yield PlannedSearch(store.add_search(SEARCH, "", settings), config.budget)
    for algorithm in config.controls:
        evaluations = control_evaluations(store)
        control = ALGORITHMS[algorithm]
        search = store.add_search(control.search, control.prefix, {"algorithm": algorithm})
        yield PlannedSearch(search, Budget(evaluations=evaluations))


def make_evolution(
    store: RunReader, config: CampaignConfig, search: Search, budget: Budget, history: History | None = None
) -> Evolution:
    """Creates the evolution of a search of a run.

    Args:
        store: the run.
        config: campaign of the run.
        search: the search.
        budget: budget of the search.
        history: state to resume from; None to start.
    """
    found = None
    if search.settings.get("start", "0") != "0":
        found = store.ticket(*store.find(str(search.settings["start"]))).scored
    return Evolution(
        config.start(search.settings["algorithm"], found),
        name=search.name,
        seed=config.seed,
        population=config.population,
        look_ahead=config.look_ahead,
        variation=config.variation(search.settings["algorithm"]),
        budget=budget,
        methods=config.methods,
        proposals=Entries(config.proposals, store.proposals(search)),
        history=history,
        further=config.further_starts(search.settings["algorithm"]) if found is None else (),
    )


def best_of_first_stage(store: RunReader) -> tuple[Search, Evaluated] | None:
    """Best program of the first stage; ties go to the earlier search. None without a first stage or trained program."""
    boards = [(search, store.leaderboard(search, 1)) for search in first_stage(store)]
    return min(
        ((search, board[0]) for search, board in boards if board),
        key=lambda found: (found[1].fitness.key, found[0].number),
        default=None,
    )


def first_stage(store: RunReader) -> list[Search]:
    """The searches of the first stage."""
    return [search for search in store.searches() if search.settings.get("stage") == "first"]


def without_controls(store: RunReader) -> list[Search]:
    """All searches except controls."""
    return [search for search in store.searches() if search.name == SEARCH or search.settings.get("stage") == "first"]


def controls(store: RunReader) -> list[Search]:
    """The controls."""
    return [search for search in store.searches() if search.name in CONTROLS]


def contenders(store: RunReader) -> list[Search]:
    """The searches in the final comparison: the main search and its controls."""
    return [search for search in store.searches() if search.settings.get("stage") != "first"]


def control_evaluations(store: RunReader) -> int:
    """Evaluation budget of each control."""
    spent = sum(evaluations_of(store, search) for search in without_controls(store))
    return max(round(spent * store.config.control_budget), 1)


def spent(store: RunReader, config: CampaignConfig) -> bool:
    """True if the search has exhausted its budget, which resumption may extend, and its controls exist."""
    names = [search.settings["algorithm"] for search in controls(store)]
    if SEARCH not in [search.name for search in store.searches()] or names != config.controls:
        return False
    return search_spent(store, config)


def search_spent(store: RunReader, config: CampaignConfig) -> bool:
    """True if the main search, which must exist, has exhausted its budget."""
    search, budget = store.search(SEARCH), config.budget
    settled = store.settled(search)
    if budget.programs is not None and settled - 1 >= budget.programs:
        return True
    if budget.steps is not None:
        steps = StepSum(config.look_ahead)
        for result in store.evaluations(search):
            steps.note(result.ticket, result.fitness.steps)
        if steps.before(settled, settled - 1) >= budget.steps:
            return True
    return budget.evaluations is not None and evaluations_of(store, search) >= budget.evaluations


def evaluations_of(store: RunReader, search: Search) -> int:
    """Number of evaluations of generated programs."""
    return sum(1 for result in store.evaluations(search) if result.ticket > WARM_START)


def reference_of(store: RunReader, config: CampaignConfig) -> Reference:
    """The reference of a run's programs: the evaluation of the warm start, which opens the first search.

    Args:
        store: a run whose first search has evaluated its warm start.
        config: its campaign.
    """
    return reference_rule(config).derive(store.evaluation(store.searches()[0], WARM_START).fitness)


def reference_rule(config: CampaignConfig) -> ReferenceRule:
    """The rule by which a campaign derives its reference from the evaluation of the warm start."""
    tasks, seeds = config.setting.tasks, len(config.training_seeds)
    checkpoints = [get_task(task.task).checkpoints for task in tasks]
    ungated = next((number for number, task in enumerate(tasks) if task.if_below is not None), len(tasks))
    return ReferenceRule(config.hurdle, config.rate_sweep, checkpoints, seeds, config.race_held, ungated)
