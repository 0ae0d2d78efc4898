"""Summary of a run: the content of ``show RUN``.

All values are read from the run file, so that running, finished and crashed runs can be inspected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.records import Final, Search
from optsearch.runs.summary.counts import Counts, Leader, leader, redundant_share
from optsearch.runs.summary.finalists import best, finalist_seeds
from optsearch.runs.summary.finals import ControlComparison, FurtherRuns, compare, measure_of, summarize
from optsearch.runs.summary.meta_validation import MetaValidationSummary, meta_validation
from optsearch.runs.summary.program import ProgramForms, program_forms
from optsearch.runs.summary.searches import SEARCH, controls, first_stage
from optsearch.runs.summary.status import status
from optsearch.search.evolution import WARM_START


@dataclass(frozen=True, slots=True)
class ProgramEntry:
    """A program of the final comparison.

    Attributes:
        id: id of the program within the run.
        fitness: fitness in the search; None if the program did not train.
        finalist: results on the selection seeds; None if there are none.
        fresh: results on fresh seeds; None if there are none.
    """

    id: str
    fitness: float | None
    finalist: FurtherRuns | None
    fresh: FurtherRuns | None


@dataclass(frozen=True, slots=True)
class BestProgram(ProgramEntry):
    """The best program of a search.

    Attributes:
        forms: the program as recorded and as evaluated.
    """

    forms: ProgramForms


@dataclass(frozen=True, slots=True)
class WarmStart(ProgramEntry):
    """The warm start.

    Attributes:
        name: its name in the library, or ``the warm start``.
    """

    name: str


@dataclass(frozen=True, slots=True)
class ControlSummary:
    """A control.

    Attributes:
        name: name of its algorithm.
        counts: its counts.
        best: its best program; None if no program has trained yet.
    """

    name: str
    counts: Counts
    best: BestProgram | None


@dataclass(frozen=True, slots=True)
class FirstStageSummary:
    """A search of the first stage.

    Attributes:
        name: name of the search.
        counts: its counts.
        best: its program of lowest fitness; None if no program has trained yet.
    """

    name: str
    counts: Counts
    best: Leader | None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Summary of a run.

    Attributes:
        name: name of the campaign.
        folder: run folder.
        status: status, as returned by `status.status`.
        tasks: tasks of the fitness, in order.
        seed: seed of the campaign.
        seconds: time spent on the run, over all sessions, rounded to 10 ms.
        counts: counts of the main search; zero before it begins.
        redundant_share: fraction of redundant statements in its population; None if there are no statements.
        best: its best program; None if no program has trained yet.
        warm_start: the warm start; None if it has not been evaluated yet.
        controls: the controls, in order.
        comparison: comparisons of the best program with the warm start and with each control, if run on fresh seeds.
        first_stage: searches of the first stage; empty without.
        meta_validation: meta-validation of the main search; None without, or before the main search begins.
        population_digest: digest of the main search's population; None before the main search begins.
    """

    name: str
    folder: Path
    status: str
    tasks: tuple[str, ...]
    seed: int
    seconds: float
    counts: Counts
    redundant_share: float | None
    best: BestProgram | None
    warm_start: WarmStart | None
    controls: tuple[ControlSummary, ...]
    comparison: tuple[ControlComparison, ...]
    first_stage: tuple[FirstStageSummary, ...]
    meta_validation: MetaValidationSummary | None
    population_digest: str | None

    @property
    def warm_start_name(self) -> str:
        """Name of the warm start; empty if it has not been evaluated yet."""
        return "" if self.warm_start is None else self.warm_start.name


def summary(store: RunReader) -> RunSummary:
    """Summary of a run in any state."""
    searching = SEARCH in [search.name for search in store.searches()]
    return _searched(store) if searching else _not_searched(store)


def _not_searched(store: RunReader) -> RunSummary:
    """Summary of a run whose main search has not begun."""
    config = store.config
    return RunSummary(
        name=config.name,
        folder=store.folder,
        status=status(store),
        tasks=tuple(config.fitness_task_names),
        seed=config.seed,
        seconds=round(store.seconds(), 2),
        counts=Counts(),
        redundant_share=None,
        best=None,
        warm_start=None,
        controls=(),
        comparison=(),
        first_stage=tuple(_first_stage(store, stage) for stage in first_stage(store)),
        meta_validation=None,
        population_digest=None,
    )


def _searched(store: RunReader) -> RunSummary:
    config, search, finals = store.config, store.search(SEARCH), store.finals()
    size = config.population.size
    members, progress = store.population(search, size), store.progress(search)
    winner, start = _best_program(store, search, finals), _warm_start(store, search, finals)
    others = tuple(_control(store, control, finals) for control in controls(store))
    return RunSummary(
        name=config.name,
        folder=store.folder,
        status=status(store),
        tasks=tuple(config.fitness_task_names),
        seed=config.seed,
        seconds=round(store.seconds(), 2),
        counts=Counts.of(progress),
        redundant_share=redundant_share(members),
        best=winner,
        warm_start=start,
        controls=others,
        comparison=_comparison(winner, [("warm start", start), *((other.name, other.best) for other in others)]),
        first_stage=tuple(_first_stage(store, stage) for stage in first_stage(store)),
        meta_validation=meta_validation(store, search),
        population_digest=store.population_digest(search, size, members),
    )


def further_runs(
    store: RunReader, program_id: str, finals: Sequence[Final]
) -> tuple[FurtherRuns | None, FurtherRuns | None]:
    """Results of a program on the selection seeds and on fresh seeds; None if there are none.

    Args:
        store: the run.
        program_id: id of the program within the run.
        finals: all runs on further seeds.
    """
    chosen_on, measure = finalist_seeds(store), measure_of(store)
    mine = [final for final in finals if final.contender == program_id]
    finalist = summarize([final for final in mine if final.seed in chosen_on], measure)
    return finalist, summarize([final for final in mine if final.seed not in chosen_on], measure)


def _first_stage(store: RunReader, search: Search) -> FirstStageSummary:
    progress = store.progress(search)
    return FirstStageSummary(search.name, Counts.of(progress), leader(search, progress))


def _warm_start(store: RunReader, search: Search, finals: Sequence[Final]) -> WarmStart | None:
    if not store.settled(search):
        return None
    first, config = store.searches()[0], store.config
    name = config.warm_start_name
    program_id, fitness = first.program_id(WARM_START), store.evaluation(first, WARM_START).fitness
    return WarmStart(program_id, fitness.value, *further_runs(store, program_id, finals), name)


def _best_program(store: RunReader, search: Search, finals: Sequence[Final]) -> BestProgram | None:
    if store.progress(search).best is None:
        return None
    found = best(store, search, finals)
    program_id, fitness = search.program_id(found.ticket), found.fitness
    forms = program_forms(store.ticket(search, found.ticket).candidate.program, fitness.rate)
    return BestProgram(program_id, fitness.value, *further_runs(store, program_id, finals), forms)


def _control(store: RunReader, search: Search, finals: Sequence[Final]) -> ControlSummary:
    algorithm, counts = str(search.settings["algorithm"]), Counts.of(store.progress(search))
    return ControlSummary(algorithm, counts, _best_program(store, search, finals))


def _comparison(
    winner: BestProgram | None, others: Sequence[tuple[str, ProgramEntry | None]]
) -> tuple[ControlComparison, ...]:
    """Comparisons of the best program with each control on the same fresh seeds."""
    if winner is None or winner.fresh is None:
        return ()
    measured = [(name, other.fresh) for name, other in others if other is not None and other.fresh is not None]
    return tuple(compare(name, winner.fresh, fresh) for name, fresh in measured)
