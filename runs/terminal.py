"""What the commands print for people; nothing here decides or computes.

Text that comes from files is printed as text: no markup in it is ever interpreted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from selection.evaluation import Evaluation
    from simplify.distil import Distilled

console = Console(highlight=False)
"""Where results go."""

errors = Console(stderr=True, highlight=False)
"""Where errors and remarks go, so that piped results stay clean."""


META_ROWS = 12
"""Meta-validations that are printed, the latest ones."""


def say(text: str = "", style: str | None = None) -> None:
    """One line or paragraph of text, without markup."""
    console.print(Text(text, style=style or ""), soft_wrap=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[str] = ()) -> None:
    """A plain table.

    Args:
        columns: headings.
        rows: cells; None prints as a dash.
        right: headings of the columns that are aligned to the right.
    """
    view = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        view.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        view.add_row(*(Text("-" if cell is None else str(cell)) for cell in row))
    if console.is_terminal:
        console.print(view)
    else:  # a pipe has no width to fit into
        Console(file=console.file, width=200, highlight=False).print(view)


def number(value: float | None, digits: int = 5) -> str:
    """A loss as text."""
    return "-" if value is None else f"{value:.{digits}f}"


def bounds(interval: Sequence[float] | None, digits: int = 5) -> str:
    """An interval as text."""
    return "-" if interval is None else f"[{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]"


def program(text: str, indent: str = "  ") -> None:
    """A program's text, indented."""
    say("\n".join(indent + line for line in text.rstrip("\n").split("\n")))


def run_summary(view: dict[str, Any], rows: Sequence[dict[str, Any]] = ()) -> None:
    """A run: what was found, against which controls, and the leaderboard if there are rows."""
    say(f"{view['name']} on {view['task']}, seed {view['seed']}: {view['status']}", "bold")
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
        say(f"Best program {best['id']} (fitness {number(best['fitness'])}), dead statements pruned:", "bold")
        program(best["pruned"])
    if view["meta_validation"]:
        meta_validation(view["meta_validation"])
    comparison(view)


def meta_validation(view: dict[str, Any]) -> None:
    """The best programs of each moment on the larger task, and which to carry forward."""
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
    """The runs of a study together."""
    say()
    say(f"Study of {len(view['seeds'])} seeds (mean over runs, 95 % interval):", "bold")
    names = ("best_fitness", "best_fresh_loss", "cache_hit_rate", "redundant_share")
    known = [(name.replace("_", " "), view[name]) for name in names if view[name] is not None]
    rows = [[name, number(value["mean"]), _interval(value["interval"]), value["runs"]] for name, value in known]
    table(["", "mean", "interval", "runs"], rows, right=["mean", "runs"])
    for row in view["comparison"]:
        if row["difference"] is not None:
            say(
                f"Loss of {row['control']} minus that of the best program, paired by run: {row['difference']:+.5f} "
                f"{_interval(row['interval'])}"
            )


def _interval(interval: Sequence[float | None]) -> str:
    low, high = interval
    return "-" if low is None or high is None else bounds([low, high])


def comparison(view: dict[str, Any]) -> None:
    """The best program and its controls on fresh seeds, and who wins."""
    entries = [(f"best program {view['best']['id']}", view["best"])] if view["best"] else []
    for control in view["controls"]:
        if control["best"]:
            words = "random search" if control["name"] == "random" else f"{view['warm_start']['name']}, constants tuned"
            entries.append((f"{words} ({control['best']['id']})", control["best"]))
    if view["warm_start"]:
        entries.append((f"{view['warm_start']['name']} as given", view["warm_start"]))
    measured = [(name, entry) for name, entry in entries if entry["fresh"]]
    if not measured:
        return
    seeds = len(measured[0][1]["fresh"]["seeds"])
    say()
    say(f"Validation loss on {seeds} fresh seeds that the search never used (mean, 95 % interval):", "bold")
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
    for row in view["comparison"]:
        say(_verdict(row, view["warm_start"]["name"]))


def _verdict(row: dict[str, Any], warm_start: str) -> str:
    names = {"warm start": f"{warm_start} as given", "random": "random search"}
    name = names.get(row["control"], f"{warm_start} with tuned constants")
    if row["winner"] is None:
        return f"Neither the best program nor {name} trains on every fresh seed."
    if row["difference"] is None:
        return f"Only {'the best program' if row['winner'] == 'best' else name} trains on every fresh seed."
    gap = f"{abs(row['difference']):.5f}"
    spread = f"paired difference {row['difference']:+.5f}, 95 % interval {bounds(row['interval'])}"
    if row["winner"] == "best":
        return f"The best program beats {name} by {gap} ({spread})."
    if row["winner"] == "undecided":
        return f"No difference from {name} is shown ({spread}, which includes 0)."
    return f"The control wins: {name} beats the best program by {gap} ({spread})."


def program_view(view: dict[str, Any]) -> None:
    """One program of a run."""
    say(f"Program {view['id']}: fitness {number(view['fitness'])}, outcome {view['outcome']}", "bold")
    if view["evaluated_as"] != view["id"]:
        say(f"It means the same as program {view['evaluated_as']}, whose evaluation it shares.")
    say()
    program(view["text"])
    if view["pruned"] != view["text"]:
        say()
        say("Dead statements pruned:", "bold")
        program(view["pruned"])
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
    rate = view["evaluations"][0]["rate"]
    if rate != 1.0:
        say(f"The losses are those at {rate:g} times the program's own learning rate, the best of the rates tried.")
    say(evaluation_ending(view["evaluations"][0]))
    say()
    say("Lineage, from the program back to the warm start:", "bold")
    table(
        ["program", "fitness", "by"],
        [[item["id"], number(item["fitness"]), item["mutation"]] for item in view["lineage"]],
        right=["fitness"],
    )


def evaluation_ending(row: dict[str, Any]) -> str:
    """How a search evaluation ended, in a sentence; for one that was stopped also where, and how far it came."""
    from proxy_tasks.outcome import Outcome

    sentence = Outcome(row["outcome"]).sentence
    if row["outcome"] == Outcome.OK.value:
        return sentence
    if row["loss_so_far"] is None:
        so_far = "no training loss since its last checkpoint was finite"
    else:
        so_far = f"its training loss since the last checkpoint was {row['loss_so_far']:g} on average"
    return f"{sentence} It ended after {row['steps']:,} steps; {so_far}."


def evaluation(result: Evaluation) -> None:
    """Contenders on a task: tuned rates, losses with intervals, and each against every baseline."""
    say(f"{result.task}: test loss on {len(result.seeds)} fresh seeds (mean, 95 % interval)", "bold")
    say(
        f"Learning rates tuned by validation loss on {len(result.tuning_seeds)} other seeds, for every contender on "
        f"the same {len(result.grid)} factors from {result.grid[0]:g} to {result.grid[-1]:g}."
    )
    accuracy = any(summary.accuracy is not None for summary in result.summaries)
    best_first = sorted(result.summaries, key=lambda s: (s.failed > 0, s.test_loss.mean if s.test_loss else 0.0))
    columns = ["contender", "", "learning rate", "test loss", "interval", *(["accuracy"] if accuracy else []), "failed"]
    rows: list[list[object]] = []
    for summary in best_first:
        edge = " (at the grid's edge)" if summary.tuned.at_edge else ""
        loss, share = summary.test_loss, summary.accuracy
        ends = None if loss is None or loss.low is None or loss.high is None else [loss.low, loss.high]
        row: list[object] = [
            summary.contender,
            "baseline" if summary.baseline else "",
            f"{summary.learning_rate:.3g}{edge}",
            number(loss.mean if loss else None),
            bounds(ends),
        ]
        if accuracy:
            row.append("-" if share is None else f"{share.mean:.2%}")
        rows.append([*row, summary.failed])
    table(columns, rows, right=["learning rate", "test loss", "accuracy", "failed"])
    say()
    baselines = {summary.contender for summary in result.summaries if summary.baseline}
    for comparison_ in result.comparisons:
        difference = comparison_.difference
        if comparison_.contender in baselines:
            continue
        if difference is None:
            say(f"{comparison_.contender} and {comparison_.baseline} have no seed on which both trained.")
            continue
        verb = "is better than" if difference.mean < 0 else "is worse than"
        if not difference.excludes_zero:
            verb = "shows no difference from"
        say(f"{comparison_.contender} {verb} {comparison_.baseline}: difference {difference}, paired by seed")


def distilled(result: Distilled) -> None:
    """A distilled program on the standard output, what it is and how it came to be beside it."""
    say(str(result.program).rstrip("\n"))
    errors.print()
    if result.recognised is not None:
        errors.print(f"It is known: {result.recognised}.", markup=False, soft_wrap=True)
    for step in result.steps:
        errors.print(str(step), markup=False, soft_wrap=True)
