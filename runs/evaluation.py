"""Programs against tuned baselines on a task: what ``evaluate`` runs, and its result as plain values."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from proxy_tasks.registry import get_task, import_tasks
from runs.machine import available_cores
from runs.programs import load_program
from runs.progress import counted_view
from runs.terminal import errors
from selection.contender import Contender, baseline
from selection.evaluation import Evaluation, Map, evaluate
from selection.evaluation import Progress as Ended
from selection.tuning import fresh_seeds


def run_evaluation(
    programs: Sequence[str],
    task: str,
    seeds: int,
    baselines: Sequence[str],
    *,
    workers: int | None = None,
    imports: Sequence[str] = (),
    quiet: bool = False,
) -> Evaluation:
    """Tunes programs and baselines alike and runs all of them on the same fresh seeds.

    Args:
        programs: programs as users name them.
        task: name of the task.
        seeds: number of fresh seeds.
        baselines: names of baselines.
        workers: training runs at a time, on local Ray; 0 for one at a time in this process, None for one for each core.
        imports: references of the user's own tasks.
        quiet: whether to show no progress.

    Raises:
        ProgramError, RunError, TaskError, BaselineError: something of that name does not exist.
    """
    import_tasks(imports)
    contenders: list[Contender] = []
    for named in map(load_program, programs):
        name = f"{named.name} (program)" if named.name in baselines else named.name
        contenders.append(Contender(name, named.program))
    contenders += [baseline(name) for name in dict.fromkeys(baselines)]
    task = get_task(task).name
    count = available_cores() if workers is None else workers
    with _pool(count, imports) as run, counted_view(errors, quiet=quiet) as show:

        def progress(ended: Ended) -> None:
            show(f"{ended.stage}: {ended.job.contender.name}", ended.done, ended.total)

        return evaluate(contenders, task, fresh_seeds(seeds), run=run, progress=progress)


@contextmanager
def _pool(workers: int, imports: Sequence[str]) -> Generator[Map]:
    if workers == 0:
        yield map
        return
    from search.workers import RayMap

    pool = RayMap(workers, imports=imports)
    try:
        yield pool
    finally:
        pool.close()


def as_values(evaluation: Evaluation) -> dict[str, Any]:
    """The evaluation as JSON values; infinite tuning losses (a rate that failed) become None."""
    return _finite(asdict(evaluation))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return None
    return value
