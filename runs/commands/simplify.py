"""Distillation of a program: the implementation of ``simplify``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from optsearch.dsl.program import Program
from optsearch.dsl.verify import nearest
from optsearch.proxy_tasks.registry import check_packages, get_task
from optsearch.runs.commands.own_imports import require_imports
from optsearch.runs.library.references import RUNS_FOLDER, load_program
from optsearch.runs.store.errors import RunError
from optsearch.runs.store.training_cache import training
from optsearch.runs.store.work import working
from optsearch.runs.store.writer import RunStore
from optsearch.runs.terminal.tables import errors, say_device, warn_of_open_cluster
from optsearch.search.scoring.evaluate import import_own_tasks
from optsearch.search.workers.crew import ABREAST
from optsearch.simplify.ablation.trial import Panel, train
from optsearch.simplify.distil import STEPS, Distilled, StepName, distil


def run_distillation(
    reference: str | Program,
    steps: Sequence[str],
    tasks: Sequence[str] | None = None,
    *,
    workers: int | None = None,
    address: str | None = None,
    gpus: float = 0.0,
    folder: Path | None = None,
    imports: Sequence[str] = (),
    quiet: bool = False,
) -> Distilled:
    """Applies distillation steps to a program.

    Args:
        reference: reference to a program, or a program as a value.
        steps: names of steps.
        tasks: names of the tasks on which ablation tests changes; None for those of the program's search, or ``ae``.
        workers: number of concurrent training runs; 0 for sequential runs in this process, None for one per core,
            or per share of a GPU.
        address: address of a Ray cluster to join; None starts a local one.
        gpus: share of a GPU of each worker; 0 for none.
        folder: folder of the training cache; None for the folder of runs.
        imports: ``module:object`` references of user-defined tasks.
        quiet: if True, shows no progress.

    Raises:
        ProgramError, RunError, TaskError: a name is unknown, or the folder cannot be used.
        DoesNotTrainError: ablation is requested and the program does not train.
    """
    for step in steps:
        if step not in STEPS:
            raise RunError(f"unknown step '{step}'{nearest(step, STEPS)}; the steps are {', '.join(STEPS)}")
    import_own_tasks(imports)
    named, chosen = load_program(reference), cast(Sequence[StepName], steps)
    if tasks is None and named.run is not None and "ablate" in chosen:
        with RunStore.read(named.run[0]) as store:
            require_imports(named.run[0], store.config, imports, "simplify")
    names = tuple(dict.fromkeys(get_task(task).name for task in tasks or named.tasks or ["ae"]))

    def show(line: str) -> None:
        errors.print(line, markup=False, style="dim", soft_wrap=True)

    if "ablate" not in chosen:
        return distil(named.program, chosen)
    check_packages(names)
    warn_of_open_cluster(address)
    here, runs = folder or RUNS_FOLDER, [] if named.run is None else [named.run[0]]
    opened = training(train, here, workers, address, imports, gpus=gpus)
    with opened as (pool, kept), working(here, "simplify", [named.name], runs, names) as work:
        if gpus:
            say_device(pool.machine, quiet=quiet)
        ahead = max(pool.room // ABREAST if workers is None else workers, 1)

        def follow(line: str) -> None:
            work.update(kept.trained + kept.known, None, lambda: line)
            if not quiet:
                show(line)

        result = distil(named.program, chosen, panel=Panel(names, pool, ahead), watch=follow)
        if not quiet:
            show(f"{kept.trained} training runs executed, {kept.known} read from the cache")
        return result
