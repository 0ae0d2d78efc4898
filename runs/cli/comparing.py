"""The commands that compare optimizers: ``evaluate`` and ``select``."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from optsearch.runs.cli.options import Address, AsJson, GpusPerWorker, Imports, Kept, Workers, check_workers, print_json

if TYPE_CHECKING:
    from optsearch.selection.comparison.settings import EvaluationSettings
    from optsearch.selection.scripts.script import TrainingScript


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
            show_default="adamw, lion; adamw, sgd for a script of torch",
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
    script: Annotated[
        str | None,
        typer.Option(
            "--script",
            metavar="COMMAND",
            help="Compare in your own training script instead of a task, such as 'python train.py --width 64'; "
            "docs/scripts.md has the contract.",
        ),
    ] = None,
    steps: Annotated[
        str | None,
        typer.Option(
            "--steps",
            help="Multiples of each task's number of steps, such as 1x,4x,16x: contenders are tuned again at each. For "
            "a script its numbers of optimizer steps, such as 1000 or 1000,4000.",
            show_default="1x",
        ),
    ] = None,
    framework: Annotated[
        str | None, typer.Option("--framework", help="Framework of the script: torch or jax.", show_default="torch")
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Try the script with few steps and say what is wrong with it; compare nothing."),
    ] = False,
    cpus: Annotated[
        int | None, typer.Option("--cpus-per-run", help="CPU cores for each run of the script.", show_default="1")
    ] = None,
    gpus: Annotated[
        float | None,
        typer.Option(
            "--gpus-per-run",
            help="GPUs for each run of the script, or a fraction; without any it sees none.",
            show_default="0",
        ),
    ] = None,
    time_limit: Annotated[
        float | None,
        typer.Option("--time-limit", help="Seconds after which a run of the script is ended.", show_default="3600"),
    ] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option(
            "--stop",
            metavar="STEP:LOSS",
            help="End tuning runs of the script whose validation loss is above LOSS at STEP; may be repeated.",
        ),
    ] = None,
    join: Annotated[
        list[Path] | None,
        typer.Option(
            "--join",
            metavar="FILE",
            help="Judge together with the results of the same comparison on other tasks, as --json printed them; may "
            "be repeated. Without --task, judge the files alone.",
        ),
    ] = None,
    kept: Kept = None,
    workers: Workers = None,
    imports: Imports = None,
    address: Address = None,
    gpus_per_worker: GpusPerWorker = 0,
    as_json: AsJson = False,
) -> None:
    """Compare programs with tuned baselines on larger tasks, or in your own training script.

    Every contender is tuned several times with the same number of trials, by validation loss. Each tuning is measured
    on fresh seeds, by test loss. Verdicts compare these replicates, because one tuning may be lucky. The same command
    resumes after an interruption.
    """
    from optsearch.runs.commands.evaluate import run_evaluation
    from optsearch.runs.terminal import comparison_view
    from optsearch.selection.comparison.settings import SCRIPT_BASELINES, EvaluationSettings

    check_workers(workers, address, gpus_per_worker)
    if script is not None and gpus_per_worker:
        raise typer.BadParameter("it is an option of tasks: use --gpus-per-run", param_hint="--gpus-per-worker")
    further = {"--framework": framework, "--check": check or None, "--cpus-per-run": cpus}
    further |= {"--gpus-per-run": gpus, "--time-limit": time_limit, "--stop": stop}
    horizons = None if steps is None else _multiples(steps) if script is None else _budgets(steps)
    target = _script(script, kept, further, None if horizons is None else horizons[0])
    if script is not None and horizons is not None:
        horizons = None if len(horizons) == 1 else tuple(each / horizons[0] for each in horizons)
    default = SCRIPT_BASELINES[target.framework] if target else ("adamw", "lion")
    settings = EvaluationSettings(
        tasks=tuple(tasks or ([] if target or join else ["X_ae"])),
        seeds=seeds,
        baselines=tuple(baselines or default),
        skipped=skip,
        batches=None if batch is None else _batches(batch),
        horizons=horizons,
        trials=tune,
        replicates=replicates,
        constants=constants,
        spaces=tuple(spaces or ()),
        shared=shared,
        sensitivity=sensitivity,
        timed=timed,
        script=target,
    )
    if check:
        try:
            _check_script(programs, settings, workers, address, as_json)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        return
    with _resumable():
        result = run_evaluation(
            programs,
            settings,
            folder=kept,
            workers=workers,
            imports=imports or (),
            address=address,
            gpus=gpus_per_worker,
            join=join or (),
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
    gpus: GpusPerWorker = 0,
    as_json: AsJson = False,
) -> None:
    """Select the best programs of runs in stages: on fresh seeds, then on larger tasks against tuned baselines.

    Only programs that pass a stage enter the next one. The results of each stage are recorded in the runs. The same
    command resumes an interrupted selection.
    """
    from optsearch.runs.cli.json_selections import selection_json
    from optsearch.runs.commands.select import run_selection
    from optsearch.runs.terminal import comparison_view

    check_workers(workers, address, gpus)
    with _resumable():
        result = run_selection(
            runs,
            funnel,
            settings or [],
            folder=kept,
            workers=workers,
            address=address,
            gpus=gpus,
            imports=imports or (),
            quiet=as_json,
        )
    print_json(selection_json(result)) if as_json else comparison_view.selection(result)


def _script(
    command: str | None, kept: Path | None, further: Mapping[str, Any], steps: float | None
) -> TrainingScript | None:
    """The training script of the options; None without one.

    Raises:
        BadParameter: an option of scripts is given without a script, or a script without its steps.
        ScriptError: the script cannot be used.
    """
    from optsearch.runs.library.references import RUNS_FOLDER
    from optsearch.selection.scripts.script import TIME_LIMIT_S, load_script

    if command is None:
        for option, value in further.items():
            if value is not None:
                raise typer.BadParameter(
                    "it is an option of training scripts: give one with --script", param_hint=option
                )
        return None
    if steps is None:
        raise typer.BadParameter(
            "a script needs its number of optimizer steps, such as --steps 1000", param_hint="--steps"
        )
    return load_script(
        command,
        steps=int(steps),
        framework=further["--framework"] or "torch",
        cpus=1 if further["--cpus-per-run"] is None else further["--cpus-per-run"],
        gpus=further["--gpus-per-run"] or 0.0,
        time_limit_s=TIME_LIMIT_S if further["--time-limit"] is None else further["--time-limit"],
        stop=further["--stop"] or (),
        logs=kept or RUNS_FOLDER,
    )


def _check_script(
    programs: list[str], settings: EvaluationSettings, workers: int | None, address: str | None, as_json: bool
) -> None:
    """Prints the laws that a script keeps or breaks; exit code 1 if it breaks one."""
    from dataclasses import asdict

    from optsearch.runs.commands.script_check import check_script
    from optsearch.runs.terminal.tables import say

    found: list[bool] = []
    rows: list[dict[str, Any]] = []
    for law in check_script(programs, settings, workers=workers, address=address):
        found.append(not law.fault)
        rows.append(asdict(law))
        if not as_json:
            say(f"{'FAIL' if law.fault else 'ok  '} {law.name}: {law.fault or law.sentence}")
    if as_json:
        print_json(rows)
    if not all(found):
        raise typer.Exit(1)


@contextmanager
def _resumable() -> Generator[None]:
    """Prints how to resume after Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        from optsearch.runs.terminal.tables import errors

        errors.print("Interrupted; finished training runs are saved. The same command resumes.")
        raise typer.Exit(130) from None


def _multiples(text: str) -> tuple[float, ...]:
    parts = [part.strip() for part in text.split(",")]
    try:
        if all(part.isascii() and part.endswith(("x", "X")) for part in parts):
            return tuple(float(part[:-1]) for part in parts)
    except ValueError:
        pass
    raise typer.BadParameter(
        f"'{text}' is not a list of multiples of a task's steps: write numbers that end in x, such as 1x,4x,16x; "
        "plain numbers of steps are for scripts (--script)",
        param_hint="--steps",
    )


def _budgets(text: str) -> tuple[float, ...]:
    numbers = [float(number) for number in _integers(text, "numbers of steps, such as 1000,4000", "--steps")]
    if len(set(numbers)) < len(numbers):
        raise typer.BadParameter(f"duplicate number of steps in {text}", param_hint="--steps")
    return tuple(sorted(numbers))


def _batches(text: str) -> tuple[int, ...]:
    return _integers(text, "batch sizes, such as 16,64,256", "--batch")


def _integers(text: str, what: str, option: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 9 and int(part) > 0 for part in parts):
        raise typer.BadParameter(
            f"'{text}' is not a list of {what}: write integers separated by commas", param_hint=option
        )
    return tuple(map(int, parts))
