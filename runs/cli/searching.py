"""The command ``search``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from optsearch.runs.cli.options import (
    Address,
    AsJson,
    GpusPerWorker,
    Imports,
    Workers,
    check_workers,
    print_json,
)

if TYPE_CHECKING:
    from optsearch.runs.trackers.tracking import Tracking


def search(
    campaign: Annotated[str, typer.Argument(help="A shipped campaign's name, or a YAML file.")],
    out: Annotated[Path | None, typer.Option(help="Run folder.", show_default="optsearch-runs/NAME-seedS")] = None,
    workers: Workers = None,
    address: Address = None,
    gpus: GpusPerWorker = 0,
    seed: Annotated[int | None, typer.Option(help="Seed of the search; overrides that of the campaign.")] = None,
    seeds: Annotated[
        int,
        typer.Option("--seeds", help="Run a study of this many seeds, a run folder for each.", min=1, max=1000),
    ] = 1,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; may be repeated.")
    ] = None,
    imports: Imports = None,
    track: Annotated[
        list[str] | None,
        typer.Option(
            "--track",
            metavar="TRACKER",
            help="Also write the run with tensorboard, mlflow, wandb or a plug-in; may be repeated.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing run in the folder.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a campaign; the same command resumes an interrupted one.

    The search and its controls run one after another; then their best programs are trained on seeds that no search has
    used. With --seeds, the runs of the study are executed one after another in the folders DIR/seedS, and a summary
    over them is printed at the end.
    """
    from optsearch.runs.cli.json_values import run_json, study_json
    from optsearch.runs.commands.search import Campaign, load_named
    from optsearch.runs.store.writer import RunStore
    from optsearch.runs.summary.replicates import study_summary
    from optsearch.runs.summary.run import RunSummary, summary
    from optsearch.runs.terminal.run_view import run_summary, study
    from optsearch.runs.terminal.tables import errors, say
    from optsearch.search.config import SEEDS

    check_workers(workers, address, gpus)
    callbacks = _trackers(track or ())
    overrides = [*(settings or []), *([f"seed={seed}"] if seed is not None else [])]
    if imports:
        overrides.append(f"imports={json.dumps(imports)}")
    first = out if out is None or seeds == 1 else next(iter(sorted(out.glob("seed*"))), out)
    config, text = load_named(campaign, overrides, first, resume=not force)
    if config.seed + seeds > SEEDS:
        raise typer.BadParameter(
            f"{seeds} seeds from {config.seed} on reach {config.seed + seeds - 1}, but a seed is below {SEEDS}",
            param_hint="--seeds",
        )
    views: list[RunSummary] = []
    for number in range(config.seed, config.seed + seeds):
        folder = out / f"seed{number}" if out and seeds > 1 else out
        one = Campaign(config.model_copy(update={"seed": number}), text, folder, callbacks)
        try:
            finished = one.run(workers=workers, address=address, gpus=gpus, force=force, quiet=as_json)
        except KeyboardInterrupt:
            errors.print(
                f"Stopped immediately; the recorded results in {one.folder} are intact. The same command resumes the "
                "run.",
                markup=False,
            )
            raise typer.Exit(130) from None
        with RunStore.read(finished.folder) as store:
            views.append(summary(store))
        if finished.interrupted:
            if as_json:
                print_json(run_json(views[-1]))
            errors.print(
                f"Interrupted; all results are saved in {finished.folder}. The same command resumes the run.",
                markup=False,
            )
            raise typer.Exit(130)
        if not as_json:
            say()
            run_summary(views[-1])
            say()
            say(f"Details: optsearch show {finished.folder}", whole=True)
            say(f"Report:  optsearch report {finished.folder}", whole=True)
            say(f"Export:  optsearch export {finished.folder}:best --to optax", whole=True)
    if seeds > 1:
        together = study_summary(views)
        both = {"runs": [run_json(view) for view in views], "study": study_json(together)}
        print_json(both) if as_json else study(together)
    elif as_json:
        print_json(run_json(views[0]))


def _trackers(names: Sequence[str]) -> list[Tracking]:
    """The callbacks of trackers; without any, none of their modules is imported."""
    if not names:
        return []
    from optsearch.runs.trackers.by_name import track

    return [track(name) for name in dict.fromkeys(names)]
