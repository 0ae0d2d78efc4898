"""What ``evaluate`` and ``select`` print for people; nothing here decides or computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from runs.terminal import bounds, number, say, table
from runs.words import comparison_verdict

if TYPE_CHECKING:
    from runs.evaluation import Evaluated
    from selection.statistics import Interval


def evaluation(result: Evaluated) -> None:
    """Contenders on each task: what they were tuned to, losses with intervals, and each program against baselines."""
    found = result.evaluation
    budget = found.budget
    tuned = f"Every contender tuned with {budget.trials} trials on {len(budget.seeds)} tuning seeds by validation loss"
    say(
        f"{tuned if budget.trials else 'Nobody tuned'}, then run on {len(found.seeds)} fresh seeds. {result.trained} "
        f"training runs made, {result.known} known before."
    )
    for task in found.tasks:
        say()
        say(f"{task}: test loss (mean, 95 % bootstrap interval over seeds)", "bold")
        _losses(result, task)
        for row in found.comparisons:
            if row.task == task:
                say(comparison_verdict(asdict(row), len(found.comparisons)))
    if len(found.tasks) > 1:
        say()
        say(f"All tasks, loss relative to {found.reference}'s mean (interquartile mean, below 0 is better):", "bold")
        table(
            ["contender", "relative loss", "interval", f"chance to beat {found.reference}", "interval", "failed runs"],
            [
                [
                    row.contender,
                    None if row.relative_loss is None else f"{row.relative_loss.mean:+.2%}",
                    _ends(row.relative_loss, percent=True),
                    None if row.improvement is None else f"{row.improvement.mean:.0%}",
                    _ends(row.improvement, percent=True),
                    row.failed,
                ]
                for row in found.overall
            ],
            right=["relative loss", f"chance to beat {found.reference}", "failed runs"],
        )
    say()
    say(f"Time to the training loss with which {found.reference} ends on average:", "bold")
    table(
        ["contender", "gets there", *(f"steps on {task}" for task in found.tasks), "operations per parameter"],
        [
            [
                row.contender,
                f"{row.reached:.0%}",
                *(f"{steps:.0f}" if (steps := dict(row.median_steps).get(task)) else None for task in found.tasks),
                f"{row.operations:.0f}",
            ]
            for row in found.times
        ],
        right=["gets there", *(f"steps on {task}" for task in found.tasks), "operations per parameter"],
    )


def _losses(result: Evaluated, task: str) -> None:
    from selection.bootstrap import bootstrap_interval
    from selection.sensitivity import sensitivity

    found = result.evaluation
    tuned = {entry.contender: entry.tuned for entry in found.tuning if entry.task == task}
    rows: list[tuple[float, list[object]]] = []
    for name in found.contenders:
        mine = [row for row in found.rows if row.task == task and row.contender == name]
        losses = [row.test_loss for row in mine if row.test_loss is not None]
        shares = [row.accuracy for row in mine if row.accuracy is not None]
        interval = bootstrap_interval(losses) if losses else None
        values, good = dict(tuned[name].values), sensitivity(tuned[name].trials).good_rates
        cells: list[object] = [
            name,
            "baseline" if mine[0].baseline else "",
            f"{values['rate']:.3g}{' (at the edge)' if tuned[name].at_edge else ''}",
            None if good is None else f"{min(good[0], values['rate']):.2g} to {max(good[1], values['rate']):.2g}",
            f"{values['weight_decay']:.3g}" if "weight_decay" in values else None,
            number(interval.mean if interval else None),
            _ends(interval),
            f"{sum(shares) / len(shares):.2%}" if shares else None,
            len(mine) - len(losses),
        ]
        rows.append((interval.mean if interval and len(losses) == len(mine) else float("inf"), cells))
    columns = ["contender", "", "rate", "nearly as good", "weight decay", "test loss", "interval", "accuracy", "failed"]
    table(columns, [cells for _, cells in sorted(rows, key=lambda row: row[0])], right=[*columns[2:6], *columns[7:]])


def _ends(interval: Interval | None, *, percent: bool = False) -> str:
    if interval is None or interval.low is None or interval.high is None:
        return "-"
    return f"[{interval.low:.1%}, {interval.high:.1%}]" if percent else bounds([interval.low, interval.high])


def selection(view: Mapping[str, Any]) -> None:
    """A funnel: stage after stage who passed, who fell and why, and what it cost."""
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
                None if row["score"] is None else f"{row['score']:+.2%}",
                row["why"],
            ]
            for row in verdicts
        ],
        right=["relative"],
    )
