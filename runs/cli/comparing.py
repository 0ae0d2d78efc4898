"""The commands that compare optimizers: ``evaluate`` and ``select``."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated

import typer

from optsearch.runs.cli.options import AsJson, Imports, Kept, Workers, check_workers, print_json

Address = Annotated[str | None, typer.Option(help="Join the Ray cluster at this address.")]


def evaluate(
    programs: Annotated[
        list[str], typer.Argument(metavar="PROGRAM...", help="Files, library names such as lion, RUN:ID or RUN:best.")
    ],
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            "--task", help="Task to train on, may be repeated; `optsearch tasks` lists them.", show_default="X_ae"
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option("--seeds", help="Number of fresh seeds of each replicate.", min=2, max=1000)
    ] = 8,
    replicates: Annotated[
        int,
        typer.Option(
            "--replicates",
            help="Independent tunings of each contender; a verdict on optimizers needs at least 2.",
            min=1,
            max=50,
        ),
    ] = 5,
    skip: Annotated[
        int, typer.Option("--skip-seeds", help="Fresh seeds to skip, because an earlier evaluation used them.", min=0)
    ] = 0,
    baselines: Annotated[
        list[str] | None,
        typer.Option(
            "--baseline",
            help="A baseline by name, or your own as module:object; may be repeated.",
            show_default="adamw, lion",
        ),
    ] = None,
    batch: Annotated[
        str | None, typer.Option(help="Batch sizes, such as 16,64,256.", show_default="the default of each task")
    ] = None,
    tune: Annotated[
        int,
        typer.Option("--tune", help="Trials of each tuning; 0 compares settings as they are.", min=0, max=10_000),
    ] = 24,
    constants: Annotated[
        bool, typer.Option("--constants/--no-constants", help="Tune betas and all other constants too.")
    ] = True,
    spaces: Annotated[
        list[str] | None,
        typer.Option(
            "--space",
            metavar="KIND=LOW:HIGH",
            help="Search range of a kind of hyperparameter, such as beta=0:0.999; may be repeated.",
        ),
    ] = None,
    shared: Annotated[
        bool, typer.Option("--shared", help="Tune one setting for all tasks, instead of one for each.")
    ] = False,
    sensitivity: Annotated[
        bool,
        typer.Option("--sensitivity", help="Also train each tuned point at 1/8 to 8 times its rate, all else fixed."),
    ] = False,
    timed: Annotated[
        bool,
        typer.Option(
            "--time",
            help="Then measure the wall-clock time of compiled steps in this process. Off by default: it compiles a "
            "training loop for each contender, and needs an idle machine.",
        ),
    ] = False,
    kept: Kept = None,
    workers: Workers = None,
    imports: Imports = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Compare programs with optax baselines on larger tasks.

    Every contender is tuned several times with the same number of trials, by validation loss. Each tuning is measured
    on fresh seeds, by test loss. Verdicts compare these replicates, because one tuning may be lucky. The same command
    resumes after an interruption.
    """
    from optsearch.runs.commands.evaluate import run_evaluation
    from optsearch.runs.terminal import comparison_view
    from optsearch.selection.comparison.settings import EvaluationSettings

    check_workers(workers, address)
    settings = EvaluationSettings(
        tasks=tuple(tasks or ["X_ae"]),
        seeds=seeds,
        baselines=tuple(baselines or ["adamw", "lion"]),
        skipped=skip,
        batches=None if batch is None else _batches(batch),
        trials=tune,
        replicates=replicates,
        constants=constants,
        spaces=tuple(spaces or ()),
        shared=shared,
        sensitivity=sensitivity,
        timed=timed,
    )
    with _resumable():
        result = run_evaluation(
            programs,
            settings,
            folder=kept,
            workers=workers,
            imports=imports or (),
            address=address,
            quiet=as_json,
        )
    print_json(result.as_values()) if as_json else comparison_view.evaluation(result)


def select(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Run folders, or their names in optsearch-runs/.")
    ],
    funnel: Annotated[str, typer.Option("--funnel", help="A shipped funnel's name, or a YAML file.")] = "ladder",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; may be repeated.")
    ] = None,
    kept: Kept = None,
    workers: Workers = None,
    imports: Imports = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Select the best programs of runs in stages: on fresh seeds, then on larger tasks against tuned baselines.

    Only programs that pass a stage enter the next one. The results of each stage are recorded in the runs. The same
    command resumes an interrupted selection.
    """
    from optsearch.runs.cli.json_selections import selection_json
    from optsearch.runs.commands.select import run_selection
    from optsearch.runs.terminal import comparison_view

    check_workers(workers, address)
    with _resumable():
        result = run_selection(
            runs,
            funnel,
            settings or [],
            folder=kept,
            workers=workers,
            address=address,
            imports=imports or (),
            quiet=as_json,
        )
    print_json(selection_json(result)) if as_json else comparison_view.selection(result)


@contextmanager
def _resumable() -> Generator[None]:
    """Prints how to resume after Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        from optsearch.runs.terminal.tables import errors

        errors.print("Interrupted; finished training runs are saved. The same command resumes.")
        raise typer.Exit(130) from None


def _batches(text: str) -> tuple[int, ...]:
    sizes = [part.strip() for part in text.split(",")]
    if not all(size.isascii() and size.isdigit() and len(size) < 9 and int(size) > 0 for size in sizes):
        raise typer.BadParameter(
            f"'{text}' is not a list of batch sizes: write integers separated by commas, such as 16,64,256",
            param_hint="--batch",
        )
    return tuple(int(size) for size in sizes)
