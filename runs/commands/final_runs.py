"""Final training runs of a campaign: finalists on selection seeds, then the best of each search on fresh seeds.

Every program is trained on every task of the fitness. Each run is recorded on completion, in any order, and is never
repeated, so an interrupted campaign resumes with the remaining runs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from optsearch.proxy_tasks.outcome import TrainingResult
from optsearch.proxy_tasks.run import TrainingRun
from optsearch.proxy_tasks.seeds import FRESH
from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.records import Final, Search
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.finalists import best, finalist_seeds, finalists
from optsearch.runs.summary.finals import measure_of
from optsearch.runs.summary.searches import contenders
from optsearch.runs.terminal.search_view import counted_view
from optsearch.runs.terminal.tables import errors
from optsearch.search.evolution import WARM_START
from optsearch.search.pool import Pool
from optsearch.search.scoring.evaluate import train_alone

Train = Callable[[tuple[str, TrainingRun]], TrainingResult]
"""Executes a training run on a named task."""


@dataclass(frozen=True, slots=True)
class Due:
    """Remaining training runs of one round.

    Attributes:
        purpose: description of the round, with its total numbers of programs, seeds and tasks.
        places: search and ticket of each program by its id.
        runs: id, task and seed of each run that is not recorded yet, grouped by program.
    """

    purpose: str
    places: Mapping[str, tuple[Search, int]]
    runs: Sequence[tuple[str, str, int]]


def due(store: RunReader) -> Due | None:
    """Returns the next round of a run whose searches have ended; None if no training runs remain.

    Programs of a control have their own ids, so equal programs of two searches are trained twice.
    """
    finals, searches = store.finals(), contenders(store)
    trials = [(search, entry.ticket) for search in searches for entry in finalists(store, search)]
    left = _round(store, finals, trials, finalist_seeds(store), "Choosing among the finalists")
    if left.runs:
        return left
    chosen = [(search, best(store, search, finals).ticket) for search in searches if store.leaderboard(search, 1)]
    chosen.append((store.searches()[0], WARM_START))
    left = _round(store, finals, chosen, fresh_seeds(store), "Comparing on fresh seeds")
    return left if left.runs else None


def fresh_seeds(store: RunReader) -> range:
    """The seeds on which the best programs are compared; they are never used for selection."""
    return FRESH[: store.config.fresh_seeds]


def _round(
    store: RunReader,
    finals: Sequence[Final],
    programs: Sequence[tuple[Search, int]],
    seeds: Sequence[int],
    purpose: str,
) -> Due:
    there = {(final.contender, final.task, final.seed) for final in finals}
    places = {search.program_id(ticket): (search, ticket) for search, ticket in programs}
    tasks = measure_of(store).names
    runs = [(name, task, seed) for name in places for task in tasks for seed in seeds]
    words = f"{purpose}: {len(places)} programs, {len(seeds)} seeds"
    words += f", {len(tasks)} tasks" if len(tasks) > 1 else ""
    return Due(words, places, [run for run in runs if run not in there])


def train_finals(
    store: RunStore, make_pool: Callable[[Train], Pool[tuple[str, TrainingRun], TrainingResult]], *, quiet: bool,
    stop: threading.Event,
) -> bool:  # fmt: skip
    """Executes and records all remaining training runs.

    Args:
        store: the run.
        make_pool: factory of the pool; called only if training runs remain.
        quiet: if True, shows no progress.
        stop: interruption event, checked after every run; runs in flight are discarded.

    Returns:
        True if all runs are complete.
    """
    pool: Pool[tuple[str, TrainingRun], TrainingResult] | None = None
    while (left := due(store)) is not None:
        pool = pool or make_pool(train_alone)
        if not quiet:
            errors.print(left.purpose, markup=False)
        if not _train(store, pool, left, quiet, stop):
            return False
    return True


def _train(
    store: RunStore, pool: Pool[tuple[str, TrainingRun], TrainingResult], left: Due, quiet: bool, stop: threading.Event
) -> bool:
    """Executes the runs of a round; returns True if all are complete."""
    settled = {name: store.ticket(*place) for name, place in left.places.items()}
    submitted, total = 0, len(left.runs)
    with counted_view(errors, quiet=quiet or not errors.is_terminal) as show:
        for done in range(total):
            if stop.is_set():
                return False
            while submitted < total and submitted - done < pool.room:
                name, task, seed = left.runs[submitted]
                run = TrainingRun(settled[name].candidate.program, seed, settled[name].fitness.rate)
                pool.submit(submitted, (task, run))
                submitted += 1
            show("program {} on {}".format(*left.runs[done][:2]), done, total)
            number, result = pool.collect()
            store.add_final([_final(left.runs[number], result)])
    return True


def _final(run: tuple[str, str, int], result: TrainingResult) -> Final:
    name, task, seed = run
    losses = result.loss, result.test_loss, result.accuracy
    return Final(name, task, seed, result.outcome.value, *losses, result.steps)
