"""Text output of the commands. This module only formats; it computes no results.

Text from files is printed verbatim; markup in it is never interpreted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from optsearch.dsl.program import Program
from optsearch.runs.text.highlight import terminal_text
from optsearch.runs.text.phrasing import bounds, control_name, listed, number, study_differences, verdict
from optsearch.runs.text.plain import printable

if TYPE_CHECKING:
    from optsearch.simplify.distil import Distilled


class PlainConsole(Console):
    """A console that emits its own styles and cursor movements, but sanitises text.

    Markup, emoji codes and control characters in text have no effect.
    """

    def __init__(self, **options: Any):
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yields the sanitised segments of a renderable."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text), style, control)


console = PlainConsole()
"""Console for results."""

errors = PlainConsole(stderr=True)
"""Console for errors and remarks, so that piped results stay clean."""


META_ROWS = 12
"""Number of the latest meta-validations that are printed."""


def warn_of_open_cluster(address: str | None) -> None:
    """Warns if the Ray cluster to join accepts connections without authentication.

    Args:
        address: address of the cluster; None if no cluster is joined.
    """
    from optsearch.search.cluster import unauthenticated

    if address is not None and unauthenticated():
        errors.print(
            "Warning: this Ray cluster is joined without token authentication, so anybody who can reach it can "
            "run code on it: start it and this command with RAY_AUTH_MODE=token (docs/cluster.md).",
            markup=False,
        )


def say(text: str = "", style: str | None = None) -> None:
    """Prints one line or paragraph of text, without markup."""
    console.print(Text(text, style=style or ""), soft_wrap=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[str] = ()) -> None:
    """Prints a plain table.

    Args:
        columns: headings.
        rows: cells; None prints as a dash.
        right: headings of right-aligned columns.
    """
    view = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        view.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        view.add_row(*(Text("-" if cell is None else str(cell)) for cell in row))
    if console.is_terminal:
        console.print(view)
    else:  # a pipe has no width limit
        PlainConsole(file=console.file, width=200).print(view)


def tasks(rows: Sequence[dict[str, Any]]) -> None:
    """Prints tasks by family, one line each, in 80 columns."""
    for family in dict.fromkeys(row["family"] for row in rows):
        members = [row for row in rows if row["family"] == family]
        say(f"{family}: {members[0]['description']}")
        table(
            ["  task", "use", "parameters", "steps", "batch", "AdamW", "noise"],
            [
                [
                    f"  {row['name']:<16}",
                    f"{row['use']:<8}",
                    f"{row['parameters']:,}",
                    f"{row['steps']:,}",
                    row["batch"],
                    *(["-", "-"] if row["adamw"] is None else [f"{row['adamw'][k]:.4g}" for k in ("loss", "noise")]),
                ]
                for row in members
            ],
            right=["parameters", "steps", "batch", "AdamW", "noise"],
        )
        say()
    say("AdamW: mean validation loss at its best learning rate. Noise: its standard deviation over seeds.")
    say("--json says everything; docs/tasks.md explains.")


def program(shown: Program) -> None:
    """Prints a program, indented and highlighted."""
    console.print(terminal_text(shown), soft_wrap=True)


def run_summary(view: dict[str, Any], rows: Sequence[dict[str, Any]] = ()) -> None:
    """Prints a run: best program, comparisons with controls, and the leaderboard if rows are given."""
    say(f"{view['name']} on {listed(view['tasks'])}, seed {view['seed']}: {view['status']}", "bold")
    if view["status"] == "incomplete":
        from optsearch.runs.summary.run import INCOMPLETE

        say(INCOMPLETE)
    hits = view["cache_hits"] / view["generated"] if view["generated"] else 0.0
    outcomes = ", ".join(f"{name} {count:,}" for name, count in view["outcomes"].items()) or "none"
    redundant = "" if view["redundant_share"] is None else f"{view['redundant_share']:.0%} redundant statements, "
    say(
        f"{view['generated']:,} programs generated, {view['evaluated']:,} evaluated, {hits:.0%} cache hits, "
        f"{redundant}{view['seconds']:,.0f} s; outcomes: {outcomes}"
    )
    for stage in view["first_stage"]:
        best = "nothing has trained" if stage["best"] is None else f"best {stage['best']['id']}"
        fitness = "" if stage["best"] is None else f", fitness {number(stage['best']['fitness'])}"
        say(f"  {stage['name']}: {stage['generated']:,} programs, {stage['evaluated']:,} evaluated, {best}{fitness}")
    if rows:
        say()
        table(
            ["program", "fitness", "statements", "live", "state"],
            [
                [r["id"], number(r["fitness"]), r["statements"], r["live_statements"], ", ".join(r["state"]) or "none"]
                for r in rows
            ],
            right=["fitness", "statements", "live"],
        )
    if view["best"]:
        best = view["best"]
        say()
        words = f"dead statements pruned{_at_rate(best['rate'])}"
        say(f"Best program {best['id']} (fitness {number(best['fitness'])}), {words}:", "bold")
        program(best["pruned"])
    if view["meta_validation"]:
        meta_validation(view["meta_validation"])
    comparison(view)


def meta_validation(view: dict[str, Any]) -> None:
    """Prints the meta-validations of successive best programs, and marks the selected one."""
    rows = view["programs"]
    if not rows:
        return
    say()
    say(f"Meta-validation on {view['task']}, which is not part of the fitness:", "bold")
    table(
        ["after evaluations", "program", "fitness", view["task"]],
        [
            [f"{row['evaluations']:,}", row["id"], number(row["fitness"]), number(row["loss"])]
            for row in rows[-META_ROWS:]
        ],
        right=["after evaluations", "fitness", view["task"]],
    )
    if view["carry_forward"] is None:
        say(f"None of them trains on {view['task']}.")
    elif view["carry_forward"] == rows[-1]["id"]:
        say(f"Carry forward program {view['carry_forward']}: the latest is the best on {view['task']} too.")
    else:
        worse = "" if view["overfitting"] is None else f" by {view['overfitting']:.5f}"
        say(
            f"Carry forward program {view['carry_forward']}: the latest is worse on {view['task']}{worse}, so the "
            "search has begun to overfit its proxy."
        )


def study(view: dict[str, Any]) -> None:
    """Prints the statistics over the runs of a study."""
    say()
    say(f"Study of {len(view['seeds'])} seeds (mean over runs, 95 % interval):", "bold")
    names = ("best_fitness", "best_fresh_loss", "best_fresh_score", "cache_hit_rate", "redundant_share")
    known = [(name.replace("_", " "), view[name]) for name in names if view[name] is not None]
    losses = [(f"best fresh loss on {on['task']}", on["best_fresh_loss"]) for on in view["tasks"]]
    known += [(name, value) for name, value in losses if value is not None]
    rows = [[name, number(value["mean"]), bounds(value["interval"]), value["runs"]] for name, value in known]
    table(["", "mean", "interval", "runs"], rows, right=["mean", "runs"])
    for sentence in study_differences(view):
        say(sentence)


def comparison(view: dict[str, Any]) -> None:
    """Prints the comparisons of the best program with its controls on fresh seeds."""
    entries = [(f"best program {view['best']['id']}", view["best"])] if view["best"] else []
    for control in view["controls"]:
        if control["best"]:
            words = control_name(control["name"], view["warm_start"]["name"])
            entries.append((f"{words} ({control['best']['id']})", control["best"]))
    if view["warm_start"]:
        entries.append((f"{view['warm_start']['name']} as given", view["warm_start"]))
    measured = [(name, entry) for name, entry in entries if entry["fresh"]]
    if not measured:
        return
    seeds = f"{len(measured[0][1]['fresh']['seeds'])} fresh seeds that the search never used"
    several = len(view["tasks"]) > 1
    say()
    if several:
        over = f"Mean score over {listed(view['tasks'])} on {seeds}"
        say(
            f"{over} (mean, 95 % interval; lower is better, 0 is the warm start in the search at its own rate):", "bold"
        )
    else:
        say(f"Validation loss on {seeds} (mean, 95 % interval):", "bold")
    table(
        ["", "search fitness", "mean", "interval", "outcomes"],
        [
            [
                name,
                number(entry["fitness"]),
                number(entry["fresh"]["mean"]),
                bounds(entry["fresh"]["interval"]),
                ", ".join(f"{k} {v}" for k, v in entry["fresh"]["outcomes"].items()),
            ]
            for name, entry in measured
        ],
        right=["search fitness", "mean"],
    )
    if several:
        say()
        say("Validation loss on each task, on the same seeds:", "bold")
        rows = [
            [on["task"], name, number(on["mean"]), bounds(on["interval"])]
            for place in range(len(view["tasks"]))
            for name, entry in measured
            for on in [entry["fresh"]["tasks"][place]]
        ]
        table(["task", "", "mean", "interval"], rows, right=["mean"])
        say()
    for row in view["comparison"]:
        say(verdict(row, view["warm_start"]["name"]))


def program_view(view: dict[str, Any]) -> None:
    """Prints one program, of a run or standalone."""
    if "fitness" not in view:
        say(f"Program {view['id']}", "bold")
    else:
        say(f"Program {view['id']}: fitness {number(view['fitness'])}, outcome {view['outcome']}", "bold")
        if view["evaluated_as"] != view["id"]:
            say(f"It means the same as program {view['evaluated_as']}, whose evaluation it shares.")
    say()
    program(view["text"])
    if view["pruned"] != view["text"]:
        say()
        say(f"Dead statements pruned{_at_rate(view['rate'])}:", "bold")
        program(view["pruned"])
    say()
    say("What it does:", "bold")
    for sentence in view["behaviour"]["says"]:
        say(f"  - {sentence}")
    if "fitness" in view:
        _history(view)


def _at_rate(rate: float) -> str:
    """Describes the factor on a program's learning rate."""
    return "" if rate == 1.0 else f", at the learning rate that it was scored at, {rate:g} times its own"


def _history(view: dict[str, Any]) -> None:
    """Prints the evaluations and lineage of a run's program."""
    say()
    say("Evaluations:", "bold")
    table(
        ["purpose", "task", "seeds", "outcome", "loss", "steps"],
        [
            [e["purpose"], e["task"], ", ".join(map(str, e["seeds"])), e["outcome"], number(e["loss"]), e["steps"]]
            for e in view["evaluations"]
        ],
        right=["loss", "steps"],
    )
    losses = view["evaluations"][0].get("losses")
    if losses:
        words = ", ".join(f"{task} {number(loss)}" for task, loss in losses.items())
        say(f"The search's number is the score over the tasks that were reached, with the losses {words}.")
    rate = view["evaluations"][0]["rate"]
    if rate != 1.0:
        say(
            f"The losses are those at {rate:g} times the program's own learning rate, the best of the rates tried; "
            "`export` writes the program with it."
        )
    say(evaluation_ending(view["evaluations"][0]))
    say()
    say("Lineage, from the program back to the warm start:", "bold")
    table(
        ["program", "fitness", "by"],
        [[item["id"], number(item["fitness"]), item["mutation"]] for item in view["lineage"]],
        right=["fitness"],
    )


def evaluation_ending(row: dict[str, Any]) -> str:
    """Describes the outcome of a search evaluation in a sentence; for a stopped one also the task and progress."""
    from optsearch.proxy_tasks.outcome import Outcome

    sentence = Outcome(row["outcome"]).sentence
    if row["outcome"] == Outcome.OK.value:
        return sentence
    if row["loss_so_far"] is None:
        so_far = "no training loss since its last checkpoint was finite"
    else:
        so_far = f"its training loss since the last checkpoint was {row['loss_so_far']:g} on average"
    return f"{sentence} It ended after {row['steps']:,} steps; {so_far}."


def distilled(result: Distilled) -> None:
    """Prints a distilled program on standard output, and the record of its distillation on standard error."""
    say(str(result.program).rstrip("\n"))
    errors.print()
    if result.recognised is not None:
        errors.print(f"It is known: {result.recognised}.", markup=False, soft_wrap=True)
    for step in result.steps:
        errors.print(str(step), markup=False, soft_wrap=True)
