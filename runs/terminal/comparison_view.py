"""Text output of ``evaluate`` and ``select``. This module only formats; it computes no results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from optsearch.runs.terminal.tables import say, table
from optsearch.runs.text.phrasing import bounds, comparison_verdict, number, relative

if TYPE_CHECKING:
    from optsearch.runs.summary.evaluation_result import EvaluationResult
    from optsearch.selection.evaluation import Evaluation
    from optsearch.selection.statistics import Interval


EDGE = " *"
"""Marks a learning rate whose tuning ended at the edge of the search space."""

LOSSES = ("contender", "", "test loss", "interval", "accuracy", "failed")
TUNED = ("contender", "rate", "within 5 % of the best", "weight decay", "others")
"""Columns of the two tables of a task: results and tuned values."""


def evaluation(result: EvaluationResult) -> None:
    """Prints tuned values, losses with intervals, and comparisons with baselines, for each task."""
    found = result.evaluation
    budget = found.budget
    tuned = f"Every contender tuned with {budget.trials} trials on {len(budget.seeds)} tuning seeds by validation loss"
    say(
        f"{tuned if budget.trials else 'Nobody tuned'}, then run on {len(found.seeds)} fresh seeds. {result.trained} "
        f"training runs made, {result.known} known before. A rate such as 2 x is a multiple of the program's own."
    )
    for task in found.tasks:
        say()
        say(f"{task}: test loss (mean, 95 % bootstrap interval over seeds)", "bold")
        _losses(result, task)
        for row in found.comparisons:
            if row.task == task:
                say(comparison_verdict(asdict(row), len(found.comparisons)))
        _times(found, task)
    if len(found.tasks) > 1:
        say()
        say(f"All tasks, loss relative to {found.reference}'s mean (interquartile mean, below 0 is better):", "bold")
        table(
            ["contender", "relative loss", "interval", f"chance to beat {found.reference}", "interval", "failed runs"],
            [
                [
                    row.contender,
                    relative(row.relative_loss and row.relative_loss.mean),
                    _ends(row.relative_loss, percent=True),
                    None if row.improvement is None else f"{row.improvement.mean:.0%}",
                    _ends(row.improvement, percent=True),
                    row.failed,
                ]
                for row in found.overall
            ],
            right=["relative loss", f"chance to beat {found.reference}", "failed runs"],
        )
    _profiles(found)


def _losses(result: EvaluationResult, task: str) -> None:
    from optsearch.selection.bootstrap import bootstrap_interval
    from optsearch.selection.sensitivity import sensitivity

    found = result.evaluation
    tuned = {entry.contender: entry.tuned for entry in found.tuning if entry.task == task}
    rows: list[tuple[float, dict[str, object]]] = []
    for name in found.contenders:
        mine = [row for row in found.rows if row.task == task and row.contender == name]
        losses = [row.test_loss for row in mine if row.test_loss is not None]
        shares = [row.accuracy for row in mine if row.accuracy is not None]
        interval = bootstrap_interval(losses) if losses else None
        values, good = dict(tuned[name].values), sensitivity(tuned[name].trials).good_rates
        rate, decay = values.pop("rate"), values.pop("weight_decay", None)
        text = "{:.3g}".format if mine[0].baseline else "{:.3g} x".format
        near = dict.fromkeys([text(min(good[0], rate)), text(max(good[1], rate))] if good else [])
        cells: dict[str, object] = {
            "contender": name,
            "": "baseline" if mine[0].baseline else "program",
            "test loss": number(interval.mean if interval else None),
            "interval": _ends(interval),
            "accuracy": f"{sum(shares) / len(shares):.2%}" if shares else None,
            "failed": len(mine) - len(losses),
            "rate": f"{text(rate)}{EDGE if tuned[name].at_edge else ''}",
            "within 5 % of the best": " to ".join(near) if len(near) > 1 else None,
            "weight decay": None if decay is None else f"{decay:.3g}",
            "others": ", ".join(f"{key} {value:.6g}" for key, value in values.items()) or None,
        }
        rows.append((interval.mean if interval and len(losses) == len(mine) else float("inf"), cells))
    ordered = [cells for _, cells in sorted(rows, key=lambda row: row[0])]
    numbers = ("rate", "within 5 % of the best", "weight decay", "test loss", "accuracy", "failed")
    for wanted in (LOSSES, TUNED):
        columns = [name for name in wanted if any(cells[name] is not None for cells in ordered)]
        table(columns, [[cells[name] for name in columns] for cells in ordered], right=numbers)
    if any(entry.at_edge for entry in tuned.values()):
        say(f"{EDGE} the best was at the edge of what was tried")


def _times(found: Evaluation, task: str) -> None:
    """Prints the median time to target on a task, in steps and optimizer cost, and the number of runs that miss it."""
    rows: list[list[object]] = []
    for row in found.times:
        failed, steps = dict(row.failed).get(task), dict(row.median_steps).get(task)
        if failed is not None:
            known = [None, None] if steps is None else [f"{steps:.0f}", f"{steps * row.operations:,.0f}"]
            rows.append([row.contender, *known, f"{failed} of {len(found.seeds)}"])
    if rows:
        say(f"Time to the training loss that {found.reference} has after three quarters of its steps (median):")
        table(["contender", "steps", "cost", "never"], rows, right=["steps", "cost", "never"])


def _profiles(found: Evaluation) -> None:
    """Prints performance profiles over all tasks."""
    from optsearch.selection.time_to_target import FACTORS

    names = [f"{factor:g} x" for factor in FACTORS]
    for what, cost in (("steps", False), ("cost: steps times operations per parameter", True)):
        say()
        say(f"Share of runs that get to that training loss in at most so many times the quickest's {what}:", "bold")
        rows: list[list[object]] = []
        for row in found.times:
            profile = row.profile_cost if cost else row.profile_steps
            operations = [f"{row.operations:.0f}"] if cost else []
            rows.append([row.contender, *operations, *(f"{share:.0%}" for share in profile), f"{1 - row.reached:.0%}"])
        columns = [*(["operations"] if cost else []), *names, "never"]
        table(["contender", *columns], rows, right=columns)


def _ends(interval: Interval | None, *, percent: bool = False) -> str:
    if interval is None or interval.low is None or interval.high is None:
        return "-"
    return f"[{interval.low:.1%}, {interval.high:.1%}]" if percent else bounds([interval.low, interval.high])


def selection(view: Mapping[str, Any]) -> None:
    """Prints a funnel: for each stage the kept and rejected programs with reasons, and the cost."""
    say(f"Funnel '{view['funnel']}' over {', '.join(view['runs'])}: {view['status']}", "bold")
    say(
        f"{len(view['candidates'])} distinct programs of {view['considered']} at the top of the runs' leaderboards; "
        f"{view['trained_runs']} training runs made, {view['known_runs']} known before."
    )
    for line in view["warnings"]:
        say(line)
    for stage in view["stages"]:
        say()
        say(f"Stage '{stage['name']}' on {', '.join(stage['tasks'])}, {len(stage['seeds'])} fresh seeds:", "bold")
        _stage(stage["verdicts"])
        cost = stage["cost"]
        say(f"{cost['runs']} training runs, {cost['steps']:,} steps, {cost['seconds']:,.1f} s of training.")
        bias = stage["bias"]
        if bias is not None and bias["interval"][0] is not None:
            say(
                f"Loss on fresh seeds minus fitness in the search: {bias['mean']:+.5f} {bounds(bias['interval'])} "
                f"over {bias['count']} programs: by so much the search flatters its best."
            )
        if stage["rank_correlation"] is not None:
            tau = stage["rank_correlation"]
            say(f"Ranking against the stage before: Kendall's tau {tau['tau']:+.2f} over {tau['programs']} programs.")
    say()
    say(f"Left at the end: {', '.join(view['survivors']) or 'none'}.", "bold")


def _stage(verdicts: Sequence[Mapping[str, Any]]) -> None:
    table(
        ["contender", "", "loss", "relative", "why"],
        [
            [
                row["contender"],
                "baseline" if row["baseline"] else "passed" if row["passed"] else "fell",
                ", ".join(number(loss) for loss in row["losses"].values()),
                relative(row["score"]),
                row["why"],
            ]
            for row in verdicts
        ],
        right=["relative"],
    )


def studies(rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints a summary of a run's studies; programs appear by id alone if all belong to one run."""
    for study in rows:
        own = f"{study['runs'][0]}:" if len(study["runs"]) == 1 else ""
        say()
        what = f"funnel '{study['funnel']}'" if study["funnel"] else "evaluation"
        status = "finished" if study["status"] == "finished" else "not finished"
        say(f"Study {study['study']}, {what} over {', '.join(study['runs'])}: {status}", "bold")
        for stage in study["stages"]:
            cost = f"{stage['cost']['runs']} training runs, {stage['cost']['seconds']:,.0f} s"
            say(f"  {stage['name']} on {', '.join(stage['tasks'])}, {stage['seeds']} fresh seeds, {cost}:")
            if study["funnel"]:
                say(f"    passed: {', '.join(name.removeprefix(own) for name in stage['passed']) or 'none'}")
                for row in stage["fell"]:
                    say(f"    fell:   {row['contender'].removeprefix(own)}, {row['why']}")
                continue
            for row in stage["comparisons"]:
                name = row["contender"].removeprefix(own)
                say(f"    {row['task']}: {name} against {row['baseline']}: {row['verdict']}")
        missing = study["planned"][len(study["stages"]) :]
        if missing and study["status"] != "finished":
            say(f"  still to come: {', '.join(missing)}; the same `optsearch select` goes on")
