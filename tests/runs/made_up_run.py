"""Complete runs with synthetic fitness: finished campaigns of any size within seconds, without training."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from stored_search import QuickEvaluator

from optsearch.dsl.cost import cost
from optsearch.dsl.dataflow import prune
from optsearch.proxy_tasks.registry import get_task
from optsearch.runs.commands.search import load_named
from optsearch.runs.store.ledger import SearchLedger
from optsearch.runs.store.reader import Final
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.finalists import best, finalist_seeds, finalists
from optsearch.runs.summary.searches import make_evolution, planned_searches
from optsearch.search.evolution import WARM_START
from optsearch.search.meta_validation import MetaValidation
from optsearch.search.scoring.fitness import Fitness, Job
from optsearch.search.session import Session


class MadeUpEvaluator(QuickEvaluator):
    """Fitness from the program's text: some luck, a price for size, and a sixth that fail.

    Args:
        tasks: how many the fitness has; with several, a loss is known for each.
    """

    def __init__(self, tasks: int = 1):
        super().__init__()
        self._tasks = tasks

    def collect(self, timeout_s: float) -> list[tuple[Job, Fitness]]:
        done, self.jobs = self.jobs, []
        return [(job, self._fitness(job)) for job in done]

    def _fitness(self, job: Job) -> Fitness:
        program = prune(job.program)
        luck = zlib.crc32(str(program).encode()) % 1000 / 1000
        if luck > 0.84 and job.ticket:
            return Fitness(None, "hurdle" if luck > 0.9 else "non_finite", 60, 0.01)
        curves = ((3.0, 1.0),) if job.keep_curves else ()
        value = 0.5 + 0.1 * luck + 0.001 * cost(program).arithmetic
        losses = tuple(value * place for place in range(1, self._tasks + 1)) if self._tasks > 1 else ()
        return Fitness(value, "ok", 300, 0.02, curves, losses)


def made_up_run(folder: Path, *settings: str, programs: int = 200) -> Path:
    """A finished run of the quickstart campaign in a folder, with controls, finals and meta-validation.

    With several tasks, finals are on the first alone: so older versions left such a run.

    Args:
        folder: where.
        settings: further ``key=value``.
        programs: the search's budget.
    """
    small = ("population.size=20", "population.tournament=4", "look_ahead=16", "fresh_seeds=4", "finalists.count=2")
    small += ("first_stage=~", "training_seeds=[0]", "controls=[constants]")
    meta = "meta_validation={task: X_ae, every_evaluations: 10, seeds: [0]}"
    config, text = load_named(
        "quickstart", [f"budget.programs={programs}", "finalists.seeds=2", *small, meta, *settings]
    )
    about = {"python": "3.11", "machine": "made up"}
    tasks = {name: get_task(name).version for name in config.tasks}
    recorded = config.model_dump(mode="json")
    with RunStore.create(folder, campaign=text, settings=recorded, about=about, tasks=tasks) as store:
        for planned in planned_searches(store, config):
            Session(
                make_evolution(store, config, planned.search, planned.budget),
                MadeUpEvaluator(len(config.setting.tasks)),
                SearchLedger(store, planned.search),
                validation=MetaValidation(10) if planned.search.name == "search" else None,
            ).run()
        searches = [search for search in store.searches() if search.settings.get("stage") != "first"]
        for search in searches:
            for entry in finalists(store, search):
                store.add_final(list(_trained(search.program_id(entry.ticket), finalist_seeds(store), config.task)))
        finals = store.finals()
        chosen = [search.program_id(best(store, search, finals).ticket) for search in searches]
        for name in dict.fromkeys([*chosen, searches[0].program_id(WARM_START)]):
            store.add_final(list(_trained(name, config.fresh_seed_values, config.task)))
        store.set_meta("status", "finished")
    return folder


def _trained(name: str, seeds: Sequence[int], task: str) -> Iterator[Final]:
    for seed in seeds:
        loss = 0.5 + zlib.crc32(f"{name} {seed}".encode()) % 1000 / 10_000 + 0.05 * (not name.isdigit() or name == "0")
        yield Final(name, task, seed, "ok", loss, loss, None, 300)
