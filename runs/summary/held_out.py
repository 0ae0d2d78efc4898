"""Whether a program was chosen on a task: then its result there says less than it seems to.

A run's own records know: the tasks of its fitness, that of its meta-validation, and the stages of every funnel that it
went through.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from optsearch.runs.store.reader import RunReader


def tasks_chosen_on(store: RunReader, before: int | None = None) -> dict[str, str]:
    """For each task on which programs of a run were chosen, what chose them there.

    Args:
        store: the run.
        before: only studies with lower numbers count; None for all.
    """
    config = store.config
    found = dict.fromkeys(config.fitness_task_names, "its search")
    if config.meta_validation:
        found.setdefault(config.meta_validation.task, "its meta-validation")
    for study in store.studies()[: None if before is None else before - 1]:
        for stage in study.stages if "funnel" in study.settings else ():  # an evaluation chooses nobody
            for task in stage.result["tasks"]:
                found.setdefault(task.partition("@")[0], f"stage '{stage.name}' of study {study.number}")
    return found


def warnings(run: str, chosen_on: dict[str, str], tasks: Iterable[str]) -> list[str]:
    """A sentence for each task that is not held out for a run.

    Args:
        run: what to call the run.
        chosen_on: as `tasks_chosen_on` gives it.
        tasks: names of the tasks of the evaluation, batch sizes apart.
    """
    return [
        f"Not held out: {run} was selected on '{task}' by {chosen_on[task]}, so that its results there flatter it."
        for task in dict.fromkeys(tasks)
        if task in chosen_on
    ]


def searched_tasks(stores: Sequence[RunReader]) -> list[str]:
    """The tasks of the runs' fitness, each once."""
    return list(dict.fromkeys(name for store in stores for name in store.config.fitness_task_names))
