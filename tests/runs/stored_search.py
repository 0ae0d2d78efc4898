"""Small searches with synthetic fitness, recorded in a run file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.library import LIBRARY
from optsearch.runs.store.ledger import SearchLedger
from optsearch.runs.store.reader import Search
from optsearch.runs.store.writer import RunStore
from optsearch.search.budget import Budget
from optsearch.search.config import load_campaign
from optsearch.search.evolution import Evolution, History
from optsearch.search.population.population import PopulationConfig
from optsearch.search.scoring.evaluate import EvaluatorStatistics
from optsearch.search.scoring.fitness import Fitness, Job
from optsearch.search.session import Session
from optsearch.search.variation.mutate import Mutator
from optsearch.search.variation.mutation_config import MutationWeights

SETTINGS = load_campaign(
    "{name: x, task: ae, population: {size: 10, tournament: 3}, budget: {programs: 100}, seed: 1}", "x.yaml"
).model_dump(mode="json")
ABOUT = {"python": "3.11"}
TASKS = {"ae": "0" * 16}
TAIL = 10 + 8


class QuickEvaluator:
    """Fitness from the fingerprint."""

    workers = 1
    statistics = EvaluatorStatistics()

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def submit(self, jobs: Sequence[Job]) -> None:
        self.jobs += jobs

    def collect(self, timeout_s: float) -> list[tuple[Job, Fitness]]:
        job = self.jobs.pop(0)
        number = int(fingerprint(job.program)[:6], 16)
        curves = ((1.5, 0.1),) if job.keep_curves else ()
        value = (number % 997) / 997
        return [(job, Fitness(None, "hurdle", 3, 0.1) if number % 5 == 2 else Fitness(value, "ok", 9, 0.2, curves))]

    def close(self) -> None:
        self.jobs.clear()


def make_evolution(history: History | None = None, programs: int = 100) -> Evolution:
    return Evolution(
        LIBRARY["adamw"],
        name="search",
        seed=1,
        population=PopulationConfig(size=10, tournament=3),
        look_ahead=8,
        variation=Mutator(MutationWeights()),
        budget=Budget(programs=programs),
        history=history,
    )


def create(folder: Path, **changes: Any) -> RunStore:
    what = {"campaign": "name: x\n", "settings": SETTINGS, "about": ABOUT, "tasks": TASKS}
    return RunStore.create(folder, **(what | changes))


def resume(folder: Path, **changes: Any) -> RunStore:
    return RunStore.resume(folder, **({"settings": SETTINGS, "about": ABOUT, "tasks": TASKS} | changes))


def run_search(store: RunStore, programs: int = 100, stop_after: int = 10**9) -> tuple[Search, Evolution]:
    search = store.add_search("search", "", {"algorithm": "evolution"})
    ledger = SearchLedger(store, search)
    evolution = make_evolution(ledger.history(TAIL), programs)
    turns = iter(range(stop_after))
    Session(evolution, QuickEvaluator(), ledger).run(should_stop=lambda: next(turns, None) is None)
    return search, evolution


def undisturbed(folder: Path, programs: int) -> str:
    """Digest of the search that nothing interrupts."""
    with create(folder) as store:
        return run_search(store, programs)[1].population_digest()
