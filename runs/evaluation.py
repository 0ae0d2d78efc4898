"""Programs against tuned baselines on a task: what ``evaluate`` runs, and its result as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from runs.programs import load_program
from runs.terminal import errors
from selection.contender import Contender, baseline
from selection.evaluation import Evaluation, evaluate
from selection.evaluation import Progress as Ended
from selection.tuning import fresh_seeds


def run_evaluation(
    programs: Sequence[str], task: str, seeds: int, baselines: Sequence[str], *, quiet: bool = False
) -> Evaluation:
    """Tunes programs and baselines alike and runs all of them on the same fresh seeds.

    Args:
        programs: programs as users name them.
        task: name of the task.
        seeds: number of fresh seeds.
        baselines: names of baselines.
        quiet: whether to show no progress.

    Raises:
        ProgramError, RunError, TaskError, BaselineError: something of that name does not exist.
    """
    contenders: list[Contender] = []
    for named in map(load_program, programs):
        name = f"{named.name} (program)" if named.name in baselines else named.name
        contenders.append(Contender(name, named.program))
    contenders += [baseline(name) for name in dict.fromkeys(baselines)]
    if quiet:
        return evaluate(contenders, task, fresh_seeds(seeds))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, disable=not errors.is_terminal) as view:
        bar = view.add_task("starting")

        def show(ended: Ended) -> None:
            words = f"{ended.stage}: {ended.job.contender.name}"
            view.update(bar, completed=ended.done, total=ended.total, description=words)
            if not errors.is_terminal and (ended.done % 25 == 0 or ended.done == ended.total):
                errors.print(f"{ended.done} of {ended.total} training runs done", markup=False)

        return evaluate(contenders, task, fresh_seeds(seeds), progress=show)


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
