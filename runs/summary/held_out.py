"""Tasks that were used to select a program, on which its results are therefore biased.

They follow from the records of a run: the tasks of its fitness, the task of its meta-validation, and the stages of
every funnel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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


def warnings(run: str, chosen_on: dict[str, str], tasks: Iterable[str]) -> list[str]:
    """Returns a message for each task that is not held out for a run.

    Args:
        run: display name of the run.
        chosen_on: result of `tasks_chosen_on`.
        tasks: names of the tasks of the evaluation, without batch sizes.
    """
    return [
        f"Not held out: {run} was selected on '{task}' by {chosen_on[task]}, so that its results there flatter it."
        for task in dict.fromkeys(tasks)
        if task in chosen_on
    ]


def searched_tasks(stores: Sequence[RunReader]) -> list[str]:
    """Tasks of the fitness of several runs, without duplicates."""
    return list(dict.fromkeys(name for store in stores for name in store.config.fitness_task_names))
