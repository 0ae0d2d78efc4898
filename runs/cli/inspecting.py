"""The commands ``verify``, ``show`` and ``report``: what a run has done."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from optsearch.runs.cli.options import (
    AsJson,
    Imports,
    RunArgument,
    print_json,
)
from optsearch.runs.store.errors import RunError


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
