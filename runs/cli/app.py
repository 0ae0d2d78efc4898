"""The command line: parses arguments, calls another module, and prints text or JSON.

Modules that are slow to import (jax, ray) are imported by the commands that need them, so that help is instant.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from optsearch.dsl.errors import UserError
from optsearch.runs.cli import comparing, diagnosing, listing, proposing
from optsearch.runs.cli.exit_codes import exit_code_lines
from optsearch.runs.cli.help import Commands
from optsearch.runs.cli.options import (
    Address,
    AsJson,
    GpusPerWorker,
    Imports,
    Kept,
    ProgramArgument,
    RunArgument,
    Workers,
    check_workers,
    print_json,
)
from optsearch.runs.store.errors import RunError
from optsearch.runs.text.plain import printable

if TYPE_CHECKING:
    from optsearch.runs.trackers.tracking import Tracking

app = Commands(
    help="Discovers optimizers: evolves small programs and scores each by training tiny models.",
    epilog=exit_code_lines(),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"optsearch {version('optsearch')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options of `optsearch` itself, before a command."""


@app.command()
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


@app.command()
def watch(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's folder, its name in optsearch-runs/, or a name of `runs`.")
    ],
    plain: Annotated[bool, typer.Option("--plain", help="Print a line every few seconds, also in a terminal.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON after every change.")] = False,
    kept: Kept = None,
) -> None:
    """Follow a run from another shell until it ends; exit code 1 if it failed or crashed, or is an incomplete copy.

    If `evaluate`, `select` or `simplify` is working on a program of the run, that work is followed.
    """
    from optsearch.runs.cli.following import follow_work
    from optsearch.runs.cli.json_values import snapshot_json
    from optsearch.runs.library.references import RUNS_FOLDER, existing_run, run_folder
    from optsearch.runs.terminal.listing_view import work_of
    from optsearch.runs.terminal.watch import snapshots
    from optsearch.runs.terminal.watch import watch as follow

    places = [kept] if kept is not None else [RUNS_FOLDER, *(path.parent for path in existing_run(run))]
    names = [run, *(str(path.resolve()) for path in existing_run(run))]
    work = work_of(names, places)
    try:
        if work:
            follow_work([each.name for each in work], places, as_json)
            return
        folder, status, last = run_folder(run), "", ""
        if not as_json:
            status = follow(folder, live=not plain)
        for seen in snapshots(folder) if as_json else ():
            status, line = seen.status, json.dumps(snapshot_json(seen), allow_nan=False)
            if line != last:
                sys.stdout.write(f"{line}\n")
                sys.stdout.flush()
            last = line
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if status in ("failed", "crashed", "incomplete"):
        raise typer.Exit(1)


@app.command()
def verify(
    run: RunArgument,
    sample: Annotated[
        int, typer.Option(help="Training runs of each kind to repeat; those of the best programs always are.", min=0)
    ] = 20,
    imports: Imports = None,
    as_json: AsJson = False,
) -> None:
    """Verify a run: all checksums and programs, the complete history, and a sample of the training runs.

    Exit code 0 only if all records agree. The sample includes the training runs of the best programs; the others are
    drawn at random. The last line lists what was not checked.
    """
    from optsearch.runs.cli.json_values import check_json
    from optsearch.runs.commands.verify import Check, verify_run
    from optsearch.runs.library.references import run_folder
    from optsearch.runs.terminal.tables import say

    checks: list[Check] = []
    marks = {True: "ok  ", False: "FAIL", None: "--  "}
    for check in verify_run(run_folder(run), sample, imports or ()):
        checks.append(check)
        if not as_json:
            say(f"{marks[check.agrees]} {check.name}: {check.says}")
    if as_json:
        print_json([check_json(check) for check in checks])
    if any(check.agrees is False for check in checks):
        raise typer.Exit(1)


@app.command()
def show(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN[:ID]",
            help="A run; one of its programs, by ID or as RUN:best; a file; a name of `library`.",
        ),
    ],
    top: Annotated[int, typer.Option(help="Number of programs on the leaderboard.", min=1)] = 10,
    as_json: AsJson = False,
) -> None:
    """Show a run's leaderboard, controls and studies, or one program: text, cost, behaviour, lineage, evaluations."""
    from optsearch.runs.cli.json_selections import studies_json
    from optsearch.runs.cli.json_values import (
        front_json,
        leaderboard_json,
        named_program_json,
        program_json,
        proposals_json,
        run_json,
    )
    from optsearch.runs.library.references import is_program, load_program, program_names, run_folder
    from optsearch.runs.report.explain import explain
    from optsearch.runs.store.writer import RunStore
    from optsearch.runs.summary.front import front
    from optsearch.runs.summary.leaderboard import leaderboard
    from optsearch.runs.summary.program import program_forms, program_summary
    from optsearch.runs.summary.proposals import proposals
    from optsearch.runs.summary.run import summary
    from optsearch.runs.summary.selections import read_selections
    from optsearch.runs.terminal import comparison_view, discovery_view, program_view
    from optsearch.runs.terminal.proposal_view import proposed_programs
    from optsearch.runs.terminal.run_view import run_summary

    if is_program(run):
        named = load_program(run)
        forms, behaviour, found = program_forms(named.program), explain(named.program), named.discovery
        if as_json:
            print_json(named_program_json(named.name, forms, behaviour, found))
            return
        program_view.named_program(named.name, forms, behaviour.sentences)
        if found is not None:
            discovery_view.shown(found)
        return
    path, colon, program_id = (run, "", "") if RunStore.exists(Path(run)) else run.rpartition(":")
    with RunStore.read(run_folder(path if colon else run, program_names())) as store:
        if colon:
            program = program_summary(store, program_id)
            behaviour = explain(program.forms.pruned)
            if as_json:
                print_json(program_json(program, behaviour))
            else:
                program_view.program_of_run(program, behaviour.sentences)
            return
        view, selections = summary(store), read_selections(store)
        ranked = leaderboard(store, top) if view.counts.generated or view.best else []
        pareto, proposed = front(store), proposals(store)
        if as_json:
            lists = {"leaderboard": leaderboard_json(ranked), "front": front_json(pareto)}
            lists["proposals"] = proposals_json(proposed)
            print_json(run_json(view) | lists | {"studies": studies_json(selections)})
        else:
            run_summary(view, ranked, pareto)
            proposed_programs(proposed)
            comparison_view.selections(selections)


@app.command()
def report(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Folders of runs or studies, or names in optsearch-runs/.")
    ],
    out: Annotated[Path, typer.Option(help="HTML file to write; an existing one is replaced.")] = Path("report.html"),
    figures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write the charts to this folder, as SVG, PDF and CSV.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a report of runs: one self-contained HTML file that needs no network."""
    from optsearch.runs.cli.json_report import report_json
    from optsearch.runs.library.references import run_folders
    from optsearch.runs.report.html import read_report, to_html
    from optsearch.runs.report.render import write_figures
    from optsearch.runs.terminal.tables import say

    found = read_report(list(dict.fromkeys(folder for run in runs for folder in run_folders(run))))
    page = to_html(found)
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise RunError(f"{out}: the report cannot be written: {error.strerror}") from error
    charts = found.all_charts()
    written = [] if figures is None else write_figures(charts, figures)
    if as_json:
        print_json(report_json(found, out, written))
        return
    say(f"{out}: {len(page) / 1e6:.1f} MB, {len(charts)} charts")
    if figures is not None:
        say(f"{figures}: {len(written)} files")


@app.command()
def simplify(
    program: ProgramArgument,
    steps: Annotated[
        str, typer.Option(help="Steps, separated by commas; only ablate trains.")
    ] = "prune,rewrite,ablate",
    tasks: Annotated[
        list[str] | None,
        typer.Option("--task", help="Task for ablation; may be repeated.", show_default="those of its search, or ae"),
    ] = None,
    imports: Imports = None,
    workers: Workers = None,
    address: Address = None,
    gpus: GpusPerWorker = 0,
    kept: Kept = None,
    as_json: AsJson = False,
) -> None:
    """Distil a program to the shortest readable form that trains equally well, with a record of every step.

    Prune removes statements that cannot influence the update (exact); rewrite finds the cheapest program that is equal
    by the laws of the functions; ablate removes statements that training does not need. The same command resumes after
    an interruption.
    """
    from optsearch.runs.commands.simplify import run_distillation
    from optsearch.runs.terminal import tables as terminal

    check_workers(workers, address, gpus)
    try:
        result = run_distillation(
            program,
            steps.split(","),
            tasks,
            workers=workers,
            address=address,
            gpus=gpus,
            folder=kept,
            imports=imports or (),
            quiet=as_json,
        )
    except KeyboardInterrupt:
        terminal.errors.print("Interrupted; finished training runs are saved. The same command resumes.")
        raise typer.Exit(130) from None
    print_json(result.as_values()) if as_json else terminal.distilled(result)


app.command()(proposing.propose)
app.command()(comparing.evaluate)
app.command()(comparing.select)


@app.command()
def export(
    program: ProgramArgument,
    to: Annotated[
        str, typer.Option("--to", help="Format: optax, torch, latex, pseudocode, json or that of a plug-in.")
    ] = "optax",
    out: Annotated[Path | None, typer.Option(help="File to write.", show_default="standard output")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    tuned: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|RUN",
            help="Export the tuned values of an evaluation: a file with the output of `evaluate --json`, or a run.",
        ),
    ] = None,
    task: Annotated[str | None, typer.Option(help="Task of that evaluation, if it has several.")] = None,
    as_json: AsJson = False,
) -> None:
    """Export a program to a file that does not depend on optsearch.

    The learning rate of an optax or torch file is that of optax and torch, and the program's own is its default. Where
    the update is not proportional to a learning rate, the file has a `rate_factor` instead and says so.
    """
    from optsearch.runs.library.export import write_export
    from optsearch.runs.library.references import load_program

    if task is not None and tuned is None:
        raise typer.BadParameter("names a task of an evaluation: give that with --tuned", param_hint="--task")
    named = load_program(program)
    source = write_export(named, to, out, tuned, task, force=force)
    if as_json:
        print_json({"program": named.name, "format": to, "file": None if out is None else str(out), "text": source})
    elif out is None:
        sys.stdout.write(printable(source))


app.command()(listing.runs)
app.command()(listing.tasks)
app.command()(listing.functions)
app.command()(listing.library)
app.command()(listing.campaigns)
app.command()(diagnosing.doctor)


def main() -> None:
    """Entry point: runs a command and reports errors that the user can act on as a single message.

    SIGTERM, by which batch systems end a job, interrupts every command as Ctrl-C does.
    """
    _prepare_standard_streams()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # flush here, so that an error is reported like any other
    except BrokenPipeError:  # the reader of the output, such as `head`, has exited
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except UserError as error:
        _fail(error, error.exit_code)
    except OSError as error:
        _fail(error, 1)


def _prepare_standard_streams() -> None:
    """Opens the null device in place of closed standard streams, and escapes characters that a stream cannot encode,
    such as those of a file name that is not UTF-8.

    Otherwise the next opened file would reuse the descriptor of a closed stream and receive the output of that stream.
    """
    number = os.open(os.devnull, os.O_RDWR)
    while number < 3:
        number = os.dup(number)
    os.close(number)
    for name, stream, mode in (("stdin", sys.stdin, "r"), ("stdout", sys.stdout, "w"), ("stderr", sys.stderr, "w")):
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - open until the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fail(error: Exception, code: int) -> None:
    sys.stderr.write(f"error: {printable(str(error))}\n")
    raise SystemExit(code)
