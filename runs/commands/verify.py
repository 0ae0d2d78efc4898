"""Verification of a run: intact records, valid programs, and a history that follows from the recorded results.

The checksum of every record is recomputed. Every search is replayed from its seed with the recorded fitness. The replay
verifies and fingerprints each program again, and must reproduce the recorded tickets and the recorded population.
Training is repeated for the best programs, and for a random sample of evaluations, meta-validations and runs on further
seeds. The sample is unpredictable to a forger. Disagreements and unchecked parts are reported.

A checksum proves that a record is intact, not that it is authentic: it can be recomputed for a modified record.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from optsearch.proxy_tasks.registry import get_task
from optsearch.proxy_tasks.run import TrainingRun
from optsearch.runs.commands.final_runs import due, fresh_seeds
from optsearch.runs.commands.own_imports import require_imports
from optsearch.runs.store.compatibility import task_changes, version_fault
from optsearch.runs.store.environment import about_machine, machine_changes
from optsearch.runs.store.errors import DamagedRunError, RunError
from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.records import Final, Search
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.finalists import best, finalist_seeds
from optsearch.runs.summary.finals import measure_of
from optsearch.runs.summary.searches import SEARCH, contenders, make_evolution, reference_of, spent
from optsearch.runs.summary.status import INCOMPLETE, status
from optsearch.search.budget import Budget
from optsearch.search.config import CampaignConfig
from optsearch.search.evolution import WARM_START, ReplayError
from optsearch.search.meta_validation import MetaValidation
from optsearch.search.scoring.evaluate import Trainers, evaluate, import_own_tasks, train_alone, trainers_of_process
from optsearch.search.scoring.fitness import Fitness, Gate, Job, JobKind

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Check:
    """Result of one check.

    Attributes:
        name: name of the check.
        agrees: True if the records agree; None if unchecked.
        says: number of checked items, or the disagreement.
    """

    name: str
    agrees: bool | None
    says: str


def verify_run(folder: Path, sample: int, imports: Sequence[str] = ()) -> Iterator[Check]:
    """Runs all checks in order; stops early if later checks would be meaningless.

    Args:
        folder: the run folder.
        sample: number of repeated evaluations for each search, of meta-validations and of runs on further seeds; runs
            of the compared programs are always repeated.
        imports: references of user-defined tasks that may be imported.

    Raises:
        RunError: the folder is not a run, or requires an import that is not allowed.
    """
    with RunStore.read(folder) as store:
        try:
            counts = store.verify_records()
        except DamagedRunError as error:
            yield Check("checksums", False, str(error))
            return
        yield Check("checksums", True, ", ".join(f"{count:,} {table}" for table, count in counts.items()))
        if status(store) == "incomplete":
            yield Check("completeness", False, INCOMPLETE)
        fault = version_fault(store)
        if fault is not None:
            yield Check("history", False, f"{fault}: only that version can reproduce its programs")
            return
        config = store.config
        require_imports(folder, config, imports, "verify")
        import_own_tasks(config.imports)
        changed = task_changes(store, {name: get_task(name).version for name in config.tasks})
        if changed:
            yield Check("tasks", False, f"{'; '.join(changed)}: only that version can repeat its training runs")
            return
        gates: dict[int, Gates] = {search.number: {} for search in store.searches()}
        for search in store.searches():
            if store.settled(search):
                yield _replay(store, config, search, gates[search.number])
        trainers = trainers_of_process(config.setting.method, config.setting.lanes)
        for search in store.searches():
            yield _sample(store, config, search, sample, trainers, gates[search.number])
        yield from _validations(store, config, sample, trainers)
        yield _finals(store, config, sample)
        yield Check("not checked", None, _unchecked(store))


Gates = dict[int, Gate | None]
"""Gate of the race of each ticket that was evaluated."""


def _replay(store: RunReader, config: CampaignConfig, search: Search, gates: Gates) -> Check:
    """Generates all programs of a search again, and notes their gates."""
    name, settled = f"history of {search.name}", store.settled(search)
    results = {result.ticket: result for result in store.evaluations(search)}
    evolution = make_evolution(store, config, search, Budget(programs=max(settled - 1, 1)))
    try:
        for recorded in store.tickets(search, 0, results):
            drawn, ours = evolution.ask(), recorded.candidate
            if drawn is None:
                return Check(name, False, f"program {search.program_id(ours.ticket)} is recorded, but is not generated")
            for what in ("parent", "mutation", "program", "fingerprint", "owner"):
                if getattr(drawn, what) != getattr(ours, what):
                    return Check(
                        name,
                        False,
                        f"program {search.program_id(ours.ticket)}: its {what} is recorded as {getattr(ours, what)}, "
                        f"but is {getattr(drawn, what)} according to the results",
                    )
            if drawn.evaluate:
                gates[drawn.ticket] = drawn.gate
                evolution.tell(drawn.ticket, results[drawn.ticket].fitness)
    except (ReplayError, RunError) as error:
        return Check(name, False, str(error))
    digest = evolution.population_digest()
    if digest != store.population_digest(search, config.population.size):
        return Check(name, False, f"the reproduced population has the digest {digest}, the recorded one has another")
    return Check(name, True, f"{settled - 1:,} programs reproduced, population digest {digest[:12]}")


def _sample(
    store: RunReader, config: CampaignConfig, search: Search, count: int, trainers: Trainers, gates: Gates
) -> Check:
    """Repeats evaluations: of the warm start, the best programs, and a random sample."""
    name, first = f"evaluations of {search.name}", store.searches()[0]
    results = [result for result in store.evaluations(search) if result.ticket < store.settled(search)]
    leading = {WARM_START, *(entry.ticket for entry in store.leaderboard(search, 1))}
    if leading != {WARM_START}:
        leading.add(best(store, search, store.finals()).ticket)
    chosen = _chosen(results, [result for result in results if result.ticket in leading], count)
    for result in chosen:
        reference = None
        if (search.number, result.ticket) != (first.number, WARM_START):
            reference = reference_of(store, config).gated(gates.get(result.ticket))
        program = store.ticket(search, result.ticket).candidate.program
        job = Job(result.ticket, program, reference, keep_curves=reference is None)
        fitness = evaluate(trainers, config.setting, job)
        if not result.fitness.cases:  # runs of earlier releases do not record them
            fitness = replace(fitness, cases=())
        differences = [_difference(store, of(fitness), of(result.fitness)) for of in (_known, _details)]
        difference = next(filter(None, differences), "")
        if difference:
            return Check(name, False, f"program {search.program_id(result.ticket)} {difference}")
    return Check(name, True, f"{len(chosen):,} of {len(results):,} repeated, all equal")


def _validations(store: RunReader, config: CampaignConfig, count: int, trainers: Trainers) -> Iterator[Check]:
    """Repeats meta-validations: of the selected program, and a random sample."""
    name = "meta-validation"
    if config.meta_validation is None or SEARCH not in [search.name for search in store.searches()]:
        return
    search = store.search(SEARCH)
    known = {validation.ticket: validation.fitness for validation in store.validations(search)}
    if store.meta("status") == "finished":
        results = [result for result in store.evaluations(search) if result.ticket < store.settled(search)]
        watch = MetaValidation(config.meta_validation.every_evaluations, results)
        watch.finish()
        missing = [ticket for ticket in watch.due() if ticket not in known]
        if missing:
            yield Check(name, False, f"the result of program {search.program_id(missing[0])} is missing")
            return
    trained = [(fitness.key, ticket) for ticket, fitness in known.items() if fitness.trained]
    chosen = _chosen(list(known), [min(trained)[1]] if trained else [], count)
    for ticket in chosen:
        try:
            program = store.ticket(search, ticket).candidate.program
        except RunError as error:
            yield Check(name, False, str(error))
            return
        fitness = evaluate(trainers, config.setting, Job(ticket, program, kind=JobKind.META_VALIDATION))
        difference = _difference(store, _known(fitness), _known(known[ticket]))
        if difference:
            yield Check(
                name, False, f"program {search.program_id(ticket)} on {config.meta_validation.task} {difference}"
            )
            return
    yield Check(name, True, f"{len(chosen):,} of {len(known):,} repeated, all equal")


def _finals(store: RunReader, config: CampaignConfig, count: int) -> Check:
    """Repeats training runs on further seeds, separately on selection seeds and on fresh seeds.

    For each kind of seeds, repeats one run per compared program and task, and a random sample of the others.
    """
    name, finals = "finalists and fresh seeds", store.finals()
    if store.meta("status") == "finished":
        if not spent(store, config):
            return Check(name, False, "the run is recorded as finished, but its searches or controls are incomplete")
        missing = due(store)
        if missing is not None:
            contender, task, seed = missing.runs[0]
            return Check(name, False, f"the run of program {contender} on {task} with seed {seed} is missing")
    chooses, compares = finalist_seeds(store), fresh_seeds(store)
    for final in finals:
        if final.seed not in chooses and final.seed not in compares:
            what = f"program {final.contender} has a run with seed {final.seed}"
            return Check(name, False, f"{what}, which the run does not train on")
    searches = [search for search in contenders(store) if store.leaderboard(search, 1)]
    compared = {search.program_id(best(store, search, finals).ticket) for search in searches} | {"0"}
    chosen: list[Final] = []
    for seeds in (chooses, compares):
        runs = [final for final in finals if final.seed in seeds]
        leading: dict[tuple[str, str], Final] = {}
        for final in random.SystemRandom().sample(runs, len(runs)):
            if final.contender in compared:
                leading.setdefault((final.contender, final.task), final)
        chosen += _chosen(runs, list(leading.values()), count)
    for final in chosen:
        what = f"program {final.contender} on {final.task} with seed {final.seed}"
        if final.task not in measure_of(store).names:
            return Check(name, False, f"{what} uses a task that is not part of the fitness")
        try:
            settled = store.ticket(*store.find(final.contender))
        except RunError as error:
            return Check(name, False, str(error))
        made = train_alone((final.task, TrainingRun(settled.candidate.program, final.seed, settled.fitness.rate)))
        now = made.outcome.value, made.loss, made.test_loss, made.accuracy, made.steps
        was = final.outcome, final.loss, final.test_loss, final.accuracy, final.steps
        difference = _difference(store, now, was)
        if difference:
            return Check(name, False, f"{what} {difference}")
    return Check(name, True, f"{len(chosen):,} of {len(finals):,} repeated, all equal")


def _unchecked(store: RunReader) -> str:
    """Describes the unchecked parts of a run."""
    words = ["training runs outside the samples", "times and machines", "author: a checksum is not a signature"]
    if studies := len(store.studies()):
        words.insert(1, f"{studies} selection{'s' if studies > 1 else ''} and evaluations among programs of this run")
    if store.meta("status") != "finished":
        words.insert(0, f"completeness of the last records, since the status of the run is {status(store)}")
    return "; ".join(words)


def _chosen(records: Sequence[T], leading: Sequence[T], count: int) -> list[T]:
    """Returns the leading records and a random sample of the others, unpredictable to a forger."""
    others = [record for record in records if record not in leading]
    return [*leading, *random.SystemRandom().sample(others, min(max(count - len(leading), 0), len(others)))]


def _known(fitness: Fitness) -> tuple[object, ...]:
    return fitness.outcome, fitness.value, fitness.steps


def _details(fitness: Fitness) -> tuple[object, ...]:
    """Further recorded values of an evaluation, except its time; the warm start's are the reference of others."""
    return fitness.rate, fitness.losses, fitness.loss_so_far, fitness.curves, fitness.cases


def _difference(store: RunReader, now: tuple[object, ...], was: tuple[object, ...]) -> str:
    """Describes the difference between a recorded and a repeated result; empty if they are equal."""
    if now == was:
        return ""
    changes = machine_changes(store.sessions()[0].about, about_machine())
    why = f"; the machine differs: {'; '.join(changes)}" if changes else ""
    return f"was {was!s:.200} and is now {now!s:.200}{why}"
