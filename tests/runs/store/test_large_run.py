"""A synthetic run of the size of a published search, 300,000 programs, without training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.library import LIBRARY
from optsearch.runs.commands.search import load_named
from optsearch.runs.report.html import read_report, to_html
from optsearch.runs.report.render import library
from optsearch.runs.store.writer import RunStore
from optsearch.search.events import Candidate, Evaluated, Settled
from optsearch.search.scoring.fitness import Fitness
from optsearch.search.variation.mutate import Mutator
from optsearch.search.variation.mutation_config import MutationWeights

PROGRAMS, DISTINCT = 300_000, 500


def large_run(folder: Path, programs: int = PROGRAMS) -> Path:
    """A run whose programs are drawn from a few hundred, with a ninth of them evaluated."""
    rng, mutator = np.random.default_rng(0), Mutator(MutationWeights())
    pool = [LIBRARY["adamw"]]
    while len(pool) < DISTINCT:
        pool.append(mutator.mutate(rng, pool[int(rng.integers(len(pool)))])[0])
    names = [fingerprint(program) for program in pool]
    config, text = load_named(
        "quickstart", [f"budget.programs={programs}", "budget.evaluations=~", "first_stage=~", "controls=[]"]
    )
    with RunStore.create(folder, campaign=text, settings=config.model_dump(mode="json"), about={}, tasks={}) as store:
        search = store.add_search("search", "", {"algorithm": "evolution"})
        for first in range(0, programs + 1, 20_000):
            tickets = list(_tickets(rng, pool, names, first, min(first + 20_000, programs + 1)))
            results = [
                Evaluated(s.candidate.ticket, s.candidate.fingerprint, s.fitness)
                for s in tickets
                if not s.candidate.is_hit
            ]
            store.append(search, results, tickets)
        store.set_meta("status", "finished")
    return folder


def _tickets(rng: np.random.Generator, pool: list, names: list[str], first: int, end: int) -> Iterator[Settled]:
    for ticket in range(first, end):
        place = ticket % len(pool)
        parent = None if ticket == 0 else max(ticket - int(rng.integers(1, 300)), 0)
        owner = ticket - ticket % 9
        draw = np.random.default_rng(owner).random() if owner % 9 == 0 else 0.0
        fitness = (
            Fitness(0.4 + 0.3 * draw / (1 + owner / 30_000), "ok", 300, 0.1)
            if draw < 0.8 or owner == 0
            else Fitness(None, "hurdle", 60, 0.1)
        )
        mutation = "" if parent is None else "insert line 3: `v1 = sign(g)`"
        yield Settled(Candidate(ticket, parent, mutation, pool[place], names[place], owner, evaluate=False), fitness)


@pytest.mark.slow
def test_a_report_of_300_000_programs(tmp_path: Path) -> None:
    folder = large_run(tmp_path / "large")
    began = time.process_time()
    report = read_report([folder])
    page = to_html(report)
    print(f"{PROGRAMS} programs: {time.process_time() - began:.1f} s, {len(page) / 1e6:.2f} MB")
    assert len(page) - len(library()) < 2_000_000
    assert f"{PROGRAMS:,}" in page
    progress = report.charts[0]
    assert len(progress.rows) < 2_500
    assert "more are not drawn" in progress.note
    assert report.runs[0].line[0].id == "0"
