"""Meta-validation: results of successive best programs on a larger task, which is not part of the fitness.

The program with the lowest loss on the larger task is carried forward. The excess loss of the last program measures how
far the search has overfitted its proxy.
"""

from __future__ import annotations

from dataclasses import dataclass

from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.records import Search


@dataclass(frozen=True, slots=True)
class ValidatedProgram:
    """Result of one best program on the larger task.

    Attributes:
        id: id of the program within the run.
        evaluations: number of evaluations of the search when the program was the best.
        fitness: fitness of the program in the search; None if it did not train.
        outcome: name of the outcome on the larger task.
        loss: mean validation loss on the larger task; None if the program does not train there.
    """

    id: str
    evaluations: int
    fitness: float | None
    outcome: str
    loss: float | None


@dataclass(frozen=True, slots=True)
class MetaValidationSummary:
    """Meta-validation of a search.

    Attributes:
        task: name of the larger task.
        seeds: training seeds on the larger task.
        programs: results of the best programs, in the order in which the search found them.
        carry_forward: id of the program with the lowest loss; None if no program trains on the larger task.
        overfitting: loss of the last program minus the lowest loss; None if the last program does not train.
    """

    task: str
    seeds: tuple[int, ...]
    programs: tuple[ValidatedProgram, ...]
    carry_forward: str | None
    overfitting: float | None


def meta_validation(store: RunReader, search: Search) -> MetaValidationSummary | None:
    """Meta-validation of a search; None if the campaign has none.

    Args:
        store: the run.
        search: the main search.
    """
    config = store.config.meta_validation
    if config is None:
        return None
    programs = tuple(
        ValidatedProgram(
            id=search.program_id(item.ticket),
            evaluations=item.evaluations,
            fitness=store.evaluation(search, item.ticket).fitness.value,
            outcome=item.fitness.outcome,
            loss=item.fitness.value,
        )
        for item in store.validations(search)
    )
    trained = [(item.loss, item.evaluations, item.id) for item in programs if item.loss is not None]
    if not trained:
        return MetaValidationSummary(config.task, tuple(config.seeds), programs, None, None)
    loss, _, carry_forward = min(trained, key=lambda found: found[:2])
    last = programs[-1].loss
    overfitting = None if last is None else last - loss
    return MetaValidationSummary(config.task, tuple(config.seeds), programs, carry_forward, overfitting)
