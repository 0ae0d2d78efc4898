"""Whether a run is what it says: its records are whole, its programs valid, its history follows from its results.

Every record's checksum is computed again. Every search is drawn again from its seed with the recorded fitness, which
verifies and names each program anew and must give the recorded tickets one by one and the recorded population. A sample
of the evaluations is made again. Whatever does not agree is named.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from proxy_tasks.registry import get_task
from runs.arms import make_evolution
from runs.errors import DamagedRunError, RunError
from runs.machine import about_machine, machine_changes
from runs.reader import Arm, RunReader
from runs.store import RunStore, task_changes, version_fault
from search.config import CampaignConfig
from search.evaluate import Trainers, evaluate, import_own_tasks
from search.evolution import WARM_START, Budget, ReplayError
from search.fitness import Job, Reference
from search.reference import make_reference


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what.
        agrees: whether all is as it should be.
        says: how much was looked at, or what disagrees.
    """

    name: str
    agrees: bool
    says: str


def verify_run(folder: Path, sample: int, imports: Sequence[str] = ()) -> Iterator[Check]:
    """Looks at a run, one thing after the other; ends early where the rest would have no meaning.

    Args:
        folder: the run folder.
        sample: number of evaluations of each search that are made again.
        imports: references of the user's own tasks that may be imported.

    Raises:
        RunError: the folder is not a run, or it needs an import that is not among those.
    """
    with RunStore.read(folder) as store:
        try:
            counts = store.verify_records()
        except DamagedRunError as error:
            yield Check("checksums", False, str(error))
            return
        yield Check("checksums", True, ", ".join(f"{count:,} {table}" for table, count in counts.items()))
        fault = version_fault(store)
        if fault is not None:
            yield Check("history", False, f"{fault}: only that version can draw its programs again")
            return
        config = CampaignConfig.model_validate(dict(store.meta("settings")))
        if unsaid := [reference for reference in config.imports if reference not in imports]:
            raise RunError(
                f"{folder}: the run trains on {unsaid[0]}, which is code and no part of the run: if you trust it, "
                f"verify with --import {unsaid[0]}"
            )
        import_own_tasks(config.imports)
        changed = task_changes(store, {name: get_task(name).version for name in config.tasks})
        if changed:
            yield Check("tasks", False, f"{'; '.join(changed)}: only that version can train its programs again")
            return
        for arm in store.arms():
            if store.settled(arm):
                yield _replay(store, config, arm)
        trainers = Trainers.of(config.setting)
        for arm in store.arms():
            yield _sample(store, config, arm, sample, trainers)


def _replay(store: RunReader, config: CampaignConfig, arm: Arm) -> Check:
    name, settled = f"history of {arm.name}", store.settled(arm)
    results = {result.ticket: result for result in store.evaluations(arm)}
    evolution = make_evolution(store, config, arm, Budget(programs=max(settled - 1, 1)))
    try:
        for recorded in store.tickets(arm, 0, results):
            drawn, ours = evolution.ask(), recorded.candidate
            if drawn is None:
                return Check(name, False, f"program {arm.program_id(ours.ticket)} is recorded, but was not drawn")
            for what in ("parent", "mutation", "program", "fingerprint", "owner"):
                if getattr(drawn, what) != getattr(ours, what):
                    return Check(
                        name,
                        False,
                        f"program {arm.program_id(ours.ticket)}: its {what} is recorded as {getattr(ours, what)} and "
                        f"follows from the results as {getattr(drawn, what)}",
                    )
            if drawn.evaluate:
                evolution.tell(drawn.ticket, results[drawn.ticket].fitness)
    except (ReplayError, RunError) as error:
        return Check(name, False, str(error))
    digest = evolution.population_digest()
    if digest != store.population_digest(arm, config.population.size):
        return Check(name, False, f"the population that follows has the digest {digest}, the recorded one another")
    return Check(name, True, f"{settled - 1:,} programs drawn again, population digest {digest[:12]}")


def _sample(store: RunReader, config: CampaignConfig, arm: Arm, count: int, trainers: Trainers) -> Check:
    name, first = f"evaluations of {arm.name}", store.arms()[0]
    results = [result for result in store.evaluations(arm) if result.ticket < store.settled(arm)]
    draws = random.Random(0)  # noqa: S311 - which records are looked at, nothing secret
    chosen = results[:1] + draws.sample(results[1:], min(count, len(results) - 1)) if results else []
    for result in chosen:
        reference = None
        if (arm.number, result.ticket) != (first.number, WARM_START):
            reference = _reference(store, config, first)
        program = store.ticket(arm, result.ticket).candidate.program
        fitness = evaluate(trainers, config.setting, Job(result.ticket, program, reference))
        again, was = [(f.outcome, f.value, f.steps) for f in (fitness, result.fitness)]
        if again != was:
            changes = machine_changes(store.sessions()[0]["about"], about_machine())
            why = f"; the machine differs: {'; '.join(changes)}" if changes else ""
            return Check(name, False, f"program {arm.program_id(result.ticket)} was {was} and is now {again}{why}")
    return Check(name, True, f"{len(chosen)} of {len(results):,} made again, all equal")


def _reference(store: RunReader, config: CampaignConfig, first: Arm) -> Reference:
    checkpoints = [get_task(task.task).checkpoints for task in config.setting.tasks]
    warm_start = store.evaluation(first, WARM_START).fitness
    return make_reference(config.hurdle, checkpoints, len(config.training_seeds), warm_start, config.rate_sweep)
