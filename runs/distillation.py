"""Distilling a program that a user names: what ``simplify`` runs."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from dsl.fingerprint import fingerprint
from dsl.verify import nearest
from proxy_tasks.registry import get_task, import_tasks
from runs.errors import RunError
from runs.machine import available_cores
from runs.programs import RUNS_FOLDER, load_program
from runs.terminal import errors
from runs.trainings import Trainings
from simplify.distil import STEPS, Distilled, StepName, distil
from simplify.trial import Panel


def run_distillation(
    reference: str,
    steps: Sequence[str],
    tasks: Sequence[str] | None = None,
    *,
    workers: int | None = None,
    out: Path | None = None,
    force: bool = False,
    imports: Sequence[str] = (),
    quiet: bool = False,
) -> Distilled:
    """Takes the steps on the program that the user names.

    Args:
        reference: a program as users name them.
        steps: names of steps.
        tasks: names of the tasks on which ablation tests changes; None for that of the program's run, or ``ae``.
        workers: trainings at a time, on local Ray; 0 for one at a time in this process, None for one for each core.
        out: folder in which trainings are kept; None for one of the program's name and meaning among the runs.
        force: whether to forget trainings that are kept there.
        imports: references of the user's own tasks.
        quiet: whether to show no progress.

    Raises:
        ProgramError, RunError, TaskError: something of that name does not exist, or the folder cannot be used.
        DoesNotTrainError: ablation is asked for and the program does not train.
    """
    for step in steps:
        if step not in STEPS:
            raise RunError(f"unknown step '{step}'{nearest(step, STEPS)}; the steps are {', '.join(STEPS)}")
    import_tasks(imports)
    named, chosen = load_program(reference), cast(Sequence[StepName], steps)
    names = tuple(dict.fromkeys(get_task(task).name for task in tasks or [named.task or "ae"]))

    def show(line: str) -> None:
        errors.print(line, markup=False, style="dim", soft_wrap=True)

    if "ablate" not in chosen:
        return distil(named.program, chosen)
    words = "".join(c if c.isalnum() else "-" for c in named.name)
    folder = out or RUNS_FOLDER / f"simplify-{words}-{fingerprint(named.program)[:8]}"
    with _panel(names, available_cores() if workers is None else workers, imports, folder, force) as panel:
        if panel.results and not quiet:
            show(f"Going on with the {len(panel.results)} trainings in {folder}")
        return distil(named.program, chosen, panel=panel, watch=None if quiet else show)


@contextmanager
def _panel(tasks: tuple[str, ...], workers: int, imports: Sequence[str], folder: Path, force: bool) -> Generator[Panel]:
    """Tasks with trainings kept in a folder, on Ray or in this process."""
    kept = Trainings(folder, force=force)
    try:
        if workers == 0:
            yield Panel(tasks, results=kept)
            return
        from search.workers import RayMap

        pool = RayMap(workers, imports=imports)
        try:
            yield Panel(tasks, pool, workers, kept)
        finally:
            pool.close()
    finally:
        kept.close()
