"""Tasks on which the results of a program are biased, because its selection used them or their data.

They follow from the records of a run: the tasks of its fitness, the task of its meta-validation, and the stages of
every funnel. Being held out is a property of data: a task that is made from the photographs of a search's task shares
what the search has learned about them, even if its examples differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from optsearch.proxy_tasks.registry import get_task
from optsearch.proxy_tasks.task import TaskError
from optsearch.runs.store.reader import RunReader


def tasks_chosen_on(store: RunReader, before: int | None = None) -> dict[str, str]:
    """Maps each task that was used to select programs of a run to a description of the selection.

    Args:
        store: the run.
        before: considers only studies with lower numbers; None for all.
    """
    config = store.config
    found = dict.fromkeys(config.fitness_task_names, "its search")
    if config.meta_validation:
        found.setdefault(config.meta_validation.task, "its meta-validation")
    for study in store.studies()[: None if before is None else before - 1]:
        for stage in study.stages if "funnel" in study.settings else ():  # an evaluation selects no programs
            for task in stage.result["tasks"]:
                found.setdefault(task.partition("@")[0], f"stage '{stage.name}' of study {study.number}")
    return found


def warnings(run: str, chosen_on: Mapping[str, str], tasks: Iterable[str]) -> list[str]:
    """Returns a message for each task that is not held out for a run.

    Args:
        run: display name of the run.
        chosen_on: result of `tasks_chosen_on`.
        tasks: names of the tasks of the evaluation, without batch sizes.
    """
    found: list[str] = []
    for task in dict.fromkeys(tasks):
        if task in chosen_on:
            found.append(
                f"Not held out: {run} was selected on '{task}' by {chosen_on[task]}, so that its results there are "
                "biased in its favour."
            )
        elif shared := _shared(task, chosen_on):
            other, origins = shared
            found.append(
                f"Not held out: '{task}' is made from the same data ({', '.join(origins)}) as '{other}', on which "
                f"{run} was selected by {chosen_on[other]}."
            )
    return found


def _shared(task: str, chosen_on: Iterable[str]) -> tuple[str, list[str]] | None:
    """The first task of a selection that shares its data with a task, and what they share; None if there is none."""
    mine = _origins(task)
    for other in chosen_on:
        if both := mine & _origins(other):
            return other, sorted(both)
    return None


def _origins(task: str) -> frozenset[str]:
    """Names of a task's data; empty for a task that cannot be loaded here, such as one that was not imported."""
    try:
        return get_task(task).origins
    except TaskError:
        return frozenset()


def searched_tasks(stores: Sequence[RunReader]) -> list[str]:
    """Tasks of the fitness of several runs, without duplicates."""
    return list(dict.fromkeys(name for store in stores for name in store.config.fitness_task_names))
