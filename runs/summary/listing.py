"""The runs in a folder, and what was done with their programs: the content of ``optsearch runs``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from optsearch.runs.store.errors import RunError
from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.work import Work, read_work
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.searches import SEARCH
from optsearch.runs.summary.selections import SelectionRecord, read_selections
from optsearch.runs.summary.status import status

Kind = Literal["search", "selection", "evaluation", "distillation"]

KINDS: dict[str, Kind] = {"select": "selection", "evaluate": "evaluation", "simplify": "distillation"}
"""Kind of work by command."""


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A line of the listing.

    Attributes:
        kind: what it is.
        name: name within the folder: of a run, ``RUN study N`` for a recorded study, or that of the work in progress.
        status: status of the run, study or work; ``unreadable`` for a damaged run.
        tasks: names of the tasks.
        evaluations: number of evaluated programs of a search, or of training runs of other kinds.
        best: lowest fitness of the main search; None for other kinds, and if no program has trained.
        date: date and time of the start.
        says: further information, such as the reason why a run cannot be read; empty for none.
    """

    kind: Kind
    name: str
    status: str
    tasks: tuple[str, ...]
    evaluations: int
    best: float | None
    date: str
    says: str


def list_runs(folder: Path) -> list[ListedRun]:
    """The runs in a folder and in the folders of studies, with their studies, then unfinished and unrecorded work.

    Args:
        folder: the folder of runs.

    Raises:
        RunError: the folder does not exist.
    """
    if not folder.is_dir():
        raise RunError(f"{folder}: there is no such folder: `optsearch search` creates it, or name another one")
    found: list[ListedRun] = []
    for path in _folders(folder):
        try:
            with RunStore.read(path) as store:
                found += _listed(store, str(path.relative_to(folder)))
        except RunError as error:
            found.append(ListedRun("search", str(path.relative_to(folder)), "unreadable", (), 0, None, "", str(error)))
    return found + [_work(work) for work in read_work(folder) if not _is_recorded(work)]


def _folders(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if RunStore.exists(entry):
            yield entry
        elif entry.is_dir():
            yield from (inner for inner in sorted(entry.iterdir()) if RunStore.exists(inner))


def _listed(store: RunReader, name: str) -> Iterator[ListedRun]:
    searches, sessions = store.searches(), store.sessions()
    counts = [store.progress(search) for search in searches]
    best = next((c.best for s, c in zip(searches, counts, strict=True) if s.name == SEARCH and c.best), None)
    yield ListedRun(
        kind="search",
        name=name,
        status=status(store),
        tasks=tuple(store.config.fitness_task_names),
        evaluations=sum(count.evaluated for count in counts),
        best=None if best is None else best.fitness,
        date=sessions[0].started if sessions else "",
        says="",
    )
    for study in read_selections(store):
        yield _study(name, study)


def _study(run: str, study: SelectionRecord) -> ListedRun:
    tasks = dict.fromkeys(task for stage in study.stages for task in stage.tasks)
    return ListedRun(
        kind="evaluation" if study.funnel is None else "selection",
        name=f"{run} study {study.number}",
        status=study.status if study.status == "finished" else "not finished",
        tasks=tuple(tasks),
        evaluations=sum(stage.cost.runs for stage in study.stages),
        best=None,
        date=study.created,
        says=study.name,
    )


def _is_recorded(work: Work) -> bool:
    """True if a finished study of runs is listed with them."""
    return work.status == "finished" and bool(work.runs) and work.command != "simplify"


def _work(work: Work) -> ListedRun:
    words = ", ".join(work.subjects)
    return ListedRun(KINDS[work.command], work.name, work.status, work.tasks, work.done, None, work.started, words)
