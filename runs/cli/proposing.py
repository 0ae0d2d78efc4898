"""The command ``propose``."""

from __future__ import annotations

from typing import Annotated

import typer

from optsearch.runs.cli.options import AsJson, RunArgument, print_json


def propose(
    run: RunArgument,
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Files with one program each; - for standard input.")
    ],
    source: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the person or program that proposes, for the record.")
    ] = "user",
    as_json: AsJson = False,
) -> None:
    """Propose programs to a search as candidates; exit code 2 if any is refused, the others are kept.

    A running search takes them up, at most the share of its evaluations that `proposals.share` of its campaign allows.
    Proposals to a search that does not run wait until it is resumed, those to a finished one until its budget is
    extended. Nothing is trained by this command.
    """
    from optsearch.runs.commands.propose import Draft
    from optsearch.runs.commands.propose import propose as offer
    from optsearch.runs.library.references import run_folder
    from optsearch.runs.terminal.tables import errors, say

    made = offer(run_folder(run), [Draft.from_file(file) for file in files], source)
    if as_json:
        print_json(
            {
                "run": str(made.run),
                "source": made.source,
                "files": [
                    {
                        "file": offered.file,
                        "accepted": offered.refusal is None,
                        "fingerprint": offered.fingerprint,
                        "equals": offered.equals,
                        "error": offered.refusal,
                    }
                    for offered in made.files
                ],
                "waiting": made.waiting,
                "when": made.when,
                "next": made.next,
            }
        )
    for offered in made.files:
        if offered.refusal is not None:
            errors.print(f"{offered.file}: refused: {offered.refusal}", markup=False, soft_wrap=True)
        elif not as_json:
            say(f"{offered.file}: accepted, fingerprint {offered.fingerprint}")
    if made.waiting and not as_json:
        count = "1 proposal waits" if made.waiting == 1 else f"{made.waiting} proposals wait"
        say(f"{count}: {made.next}")
    if made.refused:
        raise typer.Exit(2)
