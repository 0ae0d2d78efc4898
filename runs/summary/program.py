"""Summary of one program of a run: text, evaluations, and lineage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from optsearch.dsl.dataflow import prune
from optsearch.dsl.program import Program
from optsearch.dsl.rate import at_rate
from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.records import Search
from optsearch.runs.summary.finalists import best_ticket, finalist_seeds
from optsearch.search.events import Settled


@dataclass(frozen=True, slots=True)
class ProgramForms:
    """A program as recorded, and as it was evaluated.

    Attributes:
        recorded: the program as recorded.
        rate: factor on the learning rate that the search found best; 1 for a program that belongs to no run.
        pruned: the program at this learning rate, without dead statements.
    """

    recorded: Program
    rate: float
    pruned: Program


@dataclass(frozen=True, slots=True)
class ProgramEvaluation:
    """An evaluation of a program: that of the search, or one run on a further seed.

    Attributes:
        of: id of the evaluated program, which is equivalent.
        purpose: ``search``, ``finalist`` or ``fresh seed``.
        tasks: names of the tasks that were reached.
        seeds: training seeds.
        outcome: name of the outcome.
        rate: factor on the program's learning rate.
        loss: mean validation loss; for a search with several tasks, the score over the reached tasks. None unless the
            outcome is ``ok``.
        loss_so_far: for a stopped program, mean training loss since the last checkpoint; None if there is none.
        steps: number of optimizer steps.
        losses: mean validation loss on each reached task of a search with several tasks; empty otherwise.
    """

    of: str
    purpose: str
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    outcome: str
    rate: float
    loss: float | None
    loss_so_far: float | None
    steps: int
    losses: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A program, or an ancestor of it, in the lineage of one search.

    Attributes:
        id: id of the program within the run.
        mutation: description of the mutation of its parent.
        fitness: fitness; None if the program did not train.
        outcome: name of the outcome of its evaluation.
    """

    id: str
    mutation: str
    fitness: float | None
    outcome: str


@dataclass(frozen=True, slots=True)
class ProgramSummary:
    """A program of a run.

    Attributes:
        id: id of the program within the run.
        search: name of its search.
        forms: the program as recorded and as evaluated.
        fitness: fitness; None if the program did not train.
        outcome: name of the outcome of its evaluation.
        fingerprint: semantic fingerprint.
        evaluated_as: id of the equivalent program whose evaluation applies, possibly its own.
        evaluations: evaluation by the search, followed by the runs on further seeds.
        lineage: the program and its ancestors in its search, ending with the warm start.
    """

    id: str
    search: str
    forms: ProgramForms
    fitness: float | None
    outcome: str
    fingerprint: str
    evaluated_as: str
    evaluations: tuple[ProgramEvaluation, ...]
    lineage: tuple[Ancestor, ...]


def program_forms(program: Program, rate: float = 1.0) -> ProgramForms:
    """Forms of a program.

    Args:
        program: the recorded program.
        rate: factor on the learning rate.
    """
    return ProgramForms(program, rate, prune(at_rate(program, rate)))


def program_summary(store: RunReader, program_id: str) -> ProgramSummary:
    """Reads one program of a run.

    Args:
        store: the run.
        program_id: id within the run, or ``best``.

    Raises:
        RunError: the run has no such program, or no program has trained yet.
    """
    search, ticket = best_ticket(store) if program_id == "best" else store.find(program_id)
    line = store.lineage(search, ticket)
    settled = line[0]
    return ProgramSummary(
        id=search.program_id(ticket),
        search=search.name,
        forms=program_forms(settled.candidate.program, settled.fitness.rate),
        fitness=settled.fitness.value,
        outcome=settled.fitness.outcome,
        fingerprint=settled.candidate.fingerprint,
        evaluated_as=search.program_id(settled.candidate.owner),
        evaluations=_evaluations(store, search, settled),
        lineage=tuple(
            Ancestor(
                search.program_id(item.candidate.ticket),
                item.candidate.mutation,
                item.fitness.value,
                item.fitness.outcome,
            )
            for item in line
        ),
    )


def _evaluations(store: RunReader, search: Search, settled: Settled) -> tuple[ProgramEvaluation, ...]:
    """Evaluation by the search, and runs on further seeds, of the program or its equivalents."""
    config, fitness = store.config, settled.fitness
    owner, chosen_on = search.program_id(settled.candidate.owner), finalist_seeds(store)
    losses = dict(zip(config.fitness_task_names, fitness.losses, strict=False))
    by_search = ProgramEvaluation(
        of=owner,
        purpose="search",
        tasks=tuple(losses or config.fitness_task_names),
        seeds=tuple(config.training_seeds),
        outcome=fitness.outcome,
        rate=fitness.rate,
        loss=fitness.value,
        loss_so_far=fitness.loss_so_far,
        steps=fitness.steps,
        losses=losses,
    )
    further = (
        ProgramEvaluation(
            of=owner,
            purpose="finalist" if final.seed in chosen_on else "fresh seed",
            tasks=(final.task,),
            seeds=(final.seed,),
            outcome=final.outcome,
            rate=fitness.rate,
            loss=final.loss,
            loss_so_far=None,
            steps=final.steps,
        )
        for final in store.finals()
        if final.contender == owner
    )
    return (by_search, *further)
