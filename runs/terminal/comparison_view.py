"""Text output of ``evaluate`` and ``select``. This module only formats; it computes no results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from optsearch.runs.summary.sentences import SIGNS
from optsearch.runs.terminal import tuning_view
from optsearch.runs.terminal.step_times import show_step_times
from optsearch.runs.terminal.tables import say, table
from optsearch.runs.text.phrasing import comparison_verdict, headline_verdict, interval_bounds, number, relative, signed
from optsearch.selection.comparison.comparison import LEVEL, Comparison
from optsearch.selection.statistics.significance import replicates_needed

if TYPE_CHECKING:
    from optsearch.runs.summary.evaluation_result import EvaluationResult
    from optsearch.runs.summary.selections import Double, SelectionRecord, SelectionResult
    from optsearch.runs.summary.stage_record import StageRecord
    from optsearch.selection.comparison.evaluation import Evaluation
    from optsearch.selection.funnel import StageVerdict
    from optsearch.selection.statistics.intervals import Interval


EDGE = " *"
"""Marks a learning rate whose tuning ended at the edge of the search space."""

TRIVIAL = " ="
"""Marks a loss that is no better than that of a predictor that ignores its input."""

MOST_SENTENCES = 4
"""Maximum number of comparisons that are sentences; more are a table."""

NEAR = "within 5 % of the best"
"""Column of the rates of nearly the best trials; `tuning_view.rate_sensitivity` takes its place where it was measured.
"""

LOSSES = ("contender", "", "test loss", "interval", "sd tunings", "sd seeds", "accuracy", "failed")
TUNED = ("contender", "rate", NEAR, "weight decay", "others")
"""Columns of the two tables of a task: results, and tuned values, those of the best replicate but for the rates."""


def evaluation(result: EvaluationResult) -> None:
    """Prints tuned values, losses with intervals, and comparisons with baselines, for each task."""
    found = result.evaluation
    budget, tests = found.budget, len(found.comparisons) + len(found.headlines)
    each = f"{len(found.seeds) // found.replicates} fresh seeds"
    together, loss = ("", "validation loss")
    if found.shared:
        together, loss = " to one setting for all tasks", "validation loss relative to the trivial one, mean over tasks"
    if not budget.trials:
        method = f"No contender was tuned; all ran on {each}."
    else:
        method = (
            f"Every contender was tuned {found.replicates} time{'s' * (found.replicates > 1)}{together}, with "
            f"{budget.trials} trials on {budget.seeds} tuning seeds by {loss}; each tuning was measured on {each}."
        )
    say(
        f"{method} {result.trained} training runs made, {result.known} known before. A rate such as 2 x is a multiple "
        "of the program's own."
    )
    _untuned(found)
    say(SIGNS)
    if budget.trials and not found.rate_sensitivity:
        say(
            f"{NEAR.capitalize()}: the rates of such trials, in which everything else varies too; --sensitivity varies "
            "the rate alone."
        )
    over = "replicates" if found.replicates > 1 else "seeds, for these settings"
    for task in found.tasks:
        say()
        say(f"{task}: test loss (mean, 95 % interval over {over})", "bold")
        _losses(result, task)
        _comparisons([row for row in found.comparisons if row.task == task], tests, found.replicates)
        for failed in found.failed_tuning:
            if failed.task == task:
                say(
                    f"Failed tuning: {failed.contender} ({failed.loss:.5f}) is behind {failed.contained} "
                    f"({failed.contained_loss:.5f}), which it contains. Use more trials (--tune)."
                )
        tuning_view.rate_sensitivity(found, task)
        tuning_view.tuning_curves(found, task)
        _times(found, task)
        show_step_times(found, task)
    if found.headlines and (len(found.tasks) > 1 or found.families):
        say()
        say("Over all tasks; of a family the best member by validation loss counts:", "bold")
        _headlines(found)
    if len(found.tasks) > 1:
        say()
        say(f"All tasks, loss relative to {found.reference}'s (mean over tasks, negative is better):", "bold")
        table(
            ["contender", "relative loss", "interval", f"chance to beat {found.reference}", "failed runs"],
            [
                [
                    row.contender,
                    relative(row.relative_loss and row.relative_loss.mean),
                    _ends(row.relative_loss, percent=True),
                    None if row.improvement is None else f"{row.improvement.mean:.0%}",
                    row.failed,
                ]
                for row in found.overall
            ],
            right=["relative loss", f"chance to beat {found.reference}", "failed runs"],
        )
    _trends(found)
    _profiles(found)
    seen = max((count for tasks in result.looks.values() for count in tasks.values()), default=0)
    if seen:
        say()
        say(
            f"{seen} other comparison{'s' * (seen > 1)} of these programs used some of these fresh seeds. p-values are "
            "not corrected for that: confirm a result on other seeds (--skip-seeds)."
        )


def _comparisons(rows: Sequence[Comparison], tests: int, replicates: int) -> None:
    """Prints the comparisons on a task: one sentence each, or a table and what the replicates can show if many."""
    if len(rows) <= MOST_SENTENCES:
        for row in rows:
            say(comparison_verdict(row, tests))
        return
    table(
        ["program", "against", "difference", "interval", "p", "corrected", "it is", "would show"],
        [
            [
                row.contender,
                row.baseline,
                None if row.difference is None else signed(row.difference.mean),
                _ends(row.difference),
                None if row.p_value is None else f"{row.p_value:.2g}",
                None if row.corrected is None else f"{row.corrected:.2g}",
                row.verdict,
                number(row.detectable),
            ]
            for row in rows
        ],
        right=["difference", "p", "corrected", "would show"],
    )
    if replicates > 1 and all(row.detectable is None for row in rows):
        say(
            f"p-values are corrected for {tests} tests: on single tasks at least {replicates_needed(LEVEL / tests)} "
            "replicates are needed to show anything (--replicates)."
        )


def _headlines(found: Evaluation) -> None:
    if len(found.headlines) <= MOST_SENTENCES:
        for row in found.headlines:
            say(headline_verdict(row))
        return
    table(
        ["program", "against", "lower on", "relative", "these tasks", "tasks like these", "p", "corrected", "it is"],
        [
            [
                row.contender,
                row.opponent,
                f"{row.leads} of {row.tasks}",
                None if row.relative is None else f"{row.relative.mean:+.2%}",
                _ends(row.relative, percent=True),
                _ends(row.over_tasks, percent=True),
                None if row.p_value is None else f"{row.p_value:.2g}",
                None if row.corrected is None else f"{row.corrected:.2g}",
                row.verdict,
            ]
            for row in found.headlines
        ],
        right=["lower on", "relative", "p", "corrected"],
    )


def _trends(found: Evaluation) -> None:
    """Prints the differences at each number of steps, and whether a lead lasts."""
    for task in dict.fromkeys(row.task for row in found.trends):
        rows = [row for row in found.trends if row.task == task]
        say()
        say(f"{task}: difference in test loss against steps (paired by replicate, negative is better):", "bold")
        steps = [f"{count:,} steps" for count in rows[0].steps]
        table(
            ["program", "against", *steps, "each doubling", "interval", "the lead"],
            [
                [
                    row.contender,
                    row.opponent,
                    *(signed(each.mean) for each in row.differences),
                    signed(row.slope.mean),
                    _ends(row.slope),
                    row.verdict,
                ]
                for row in rows
            ],
            right=[*steps, "each doubling"],
        )


def _untuned(found: Evaluation) -> None:
    """Says which numbers were not tuned."""
    if found.budget.trials:
        for name, left in found.untuned:
            if left:
                say(f"Not tuned: {name}'s {', '.join(left)}.")


def _losses(result: EvaluationResult, task: str) -> None:
    from optsearch.selection.tuning.sensitivity import sensitivity

    found = result.evaluation
    estimates = {row.contender: row for row in found.estimates if row.task == task}
    rows: list[tuple[float, dict[str, object]]] = []
    for name in found.contenders:
        mine = [row for row in found.rows if row.task == task and row.contender == name]
        shares = [row.accuracy for row in mine if row.accuracy is not None]
        tunings = [entry.tuned for entry in found.tuning if (entry.task, entry.contender) == (task, name)]
        estimate = estimates[name]
        tuned = min(tunings, key=lambda tuned: math.inf if tuned.loss is None else tuned.loss)
        values, good = dict(tuned.values), sensitivity([t for one in tunings for t in one.trials]).good_rates
        rate, decay = values.pop("rate"), values.pop("weight_decay", None)
        text = "{:.3g}".format if mine[0].baseline else "{:.3g} x".format
        rates = sorted(dict(one.values)["rate"] for one in tunings)
        between = dict.fromkeys([text(rates[0]), text(rates[-1])])
        near = dict.fromkeys([text(min(good[0], rate)), text(max(good[1], rate))] if good else [])
        edge = EDGE if any(one.at_edge for one in tunings) else ""
        cells: dict[str, object] = {
            "contender": name,
            "": "baseline" if mine[0].baseline else "program",
            "test loss": number(estimate.loss and estimate.loss.mean) + (TRIVIAL if estimate.is_trivial else ""),
            "interval": _ends(estimate.loss),
            "sd tunings": _deviation(estimate.between_tunings),
            "sd seeds": _deviation(estimate.between_seeds),
            "accuracy": f"{sum(shares) / len(shares):.2%}" if shares else None,
            "failed": estimate.failed,
            "rate": f"{' to '.join(between)}{edge}",
            NEAR: " to ".join(near) if len(near) > 1 and not found.rate_sensitivity else None,
            "weight decay": None if decay is None else f"{decay:.3g}",
            "others": ", ".join(f"{key} {value:.6g}" for key, value in values.items()) or None,
        }
        rows.append((math.inf if estimate.loss is None or estimate.failed else estimate.loss.mean, cells))
    ordered = [cells for _, cells in sorted(rows, key=lambda row: row[0])]
    numbers = (
        "rate",
        NEAR,
        "weight decay",
        "test loss",
        "sd tunings",
        "sd seeds",
        "accuracy",
        "failed",
    )
    for wanted in (LOSSES, TUNED):
        columns = [name for name in wanted if any(cells[name] is not None for cells in ordered)]
        table(columns, [[cells[name] for name in columns] for cells in ordered], right=numbers)
    if any(estimate.is_trivial for estimate in estimates.values()):
        say(f"{TRIVIAL} not shown to be below {number(dict(found.trivial)[task])}, the loss without the input")
    for family in found.families:
        estimate = estimates[family.name]
        if estimate.loss is not None:
            say(f"{family.name}: {number(estimate.loss.mean)} {_ends(estimate.loss)}")
    if any(EDGE in str(cells["rate"]) for cells in ordered):
        say(f"{EDGE} a tuned value is at an end of its declared range")


def _deviation(value: float | None) -> str | None:
    return None if value is None else f"{value:.2g}"


def _times(found: Evaluation, task: str) -> None:
    """Prints the median time to target on a task, in steps and optimizer cost, and the number of runs that miss it."""
    rows: list[list[object]] = []
    for row in found.times:
        failed, steps = dict(row.failed).get(task), dict(row.median_steps).get(task)
        if failed is not None:
            cost = None if steps is None or row.operations is None else f"{steps * row.operations:,.0f}"
            known = [None if steps is None else f"{steps:.0f}", cost]
            rows.append([row.contender, *known, f"{failed} of {len(found.seeds)}"])
    if rows:
        say(f"Time to the validation loss that {found.reference} has after three quarters of its steps (median):")
        table(["contender", "steps", "cost", "never"], rows, right=["steps", "cost", "never"])


def _profiles(found: Evaluation) -> None:
    """Prints performance profiles over all tasks."""
    from optsearch.selection.statistics.time_to_target import FACTORS

    names, state = [f"{factor:g} x" for factor in FACTORS], dict(found.state_bytes)
    for what, cost in (("steps", False), ("cost: steps times operations per parameter", True)):
        say()
        say(
            f"Share of runs that reach this validation loss within a multiple of the fastest contender's {what}:",
            "bold",
        )
        rows: list[list[object]] = []
        for row in found.times:
            if cost and row.operations is None:
                continue
            profile = row.profile_cost if cost else row.profile_steps
            operations = [f"{row.operations:.0f}", f"{state[row.contender]:.1f}"] if cost else []
            rows.append([row.contender, *operations, *(f"{share:.0%}" for share in profile), f"{1 - row.reached:.0%}"])
        columns = [*(["operations", "state bytes"] if cost else []), *names, "never"]
        table(["contender", *columns], rows, right=columns)


def _ends(interval: Interval | None, *, percent: bool = False) -> str:
    if not percent or interval is None or interval.low is None or interval.high is None:
        return interval_bounds(interval)
    return f"[{interval.low:.1%}, {interval.high:.1%}]"


def selection(result: SelectionResult) -> None:
    """Prints a funnel: for each stage the kept and rejected programs with reasons, and the cost."""
    found = result.selection
    say(f"Funnel '{found.name}' over {', '.join(found.runs)}: {found.status}", "bold")
    say(
        f"{len(found.candidates)} distinct programs of {result.considered} at the top of the runs' leaderboards; "
        f"{result.trained} training runs made, {result.known} known before."
    )
    _doubles(result.doubles)
    for line in result.warnings:
        say(line)
    for stage in found.stages:
        say()
        say(f"Stage '{stage.name}' on {', '.join(stage.tasks)}, {_seeds(stage)}:", "bold")
        _verdicts(stage.verdicts)
        cost = stage.cost
        say(f"{cost.runs} training runs, {cost.steps:,} steps, {cost.seconds:,.1f} s of training.")
        if stage.bias is not None and stage.bias.interval.low is not None:
            mean = stage.bias.interval
            say(
                f"Loss on fresh seeds minus fitness in the search: {signed(mean.mean)} {interval_bounds(mean)} "
                f"over {mean.count} programs: by so much the search flatters its best."
            )
        if stage.rank_correlation is not None:
            tau = stage.rank_correlation
            say(f"Ranking against the stage before: Kendall's tau {tau.tau:+.2f} over {tau.programs} programs.")
    say()
    say(f"Left at the end: {', '.join(found.survivors) or 'none'}.", "bold")


def _doubles(found: Sequence[Double]) -> None:
    """Says which program stands for those that were dropped as doubles."""
    if not found:
        return
    say("A candidate stands for programs of the same meaning (=), or that behave alike (~):")
    for name in dict.fromkeys(double.stands for double in found):
        marked = [f"{'=' if d.same_meaning else '~'} {d.name}" for d in found if d.stands == name]
        say(f"  {name}: {', '.join(marked)}")


def _seeds(stage: StageRecord) -> str:
    """Describes the fresh seeds of each replicate."""
    replicates = stage.evaluation.replicates
    return f"{replicates} tunings, {stage.seeds} fresh seeds each" if replicates > 1 else f"{stage.seeds} fresh seeds"


def _verdicts(verdicts: Sequence[StageVerdict]) -> None:
    table(
        ["contender", "", "loss", "relative", "why"],
        [
            [
                row.contender,
                "baseline" if row.baseline else "passed" if row.passed else "fell",
                ", ".join(map(number, row.losses.values())),
                relative(row.score),
                row.why,
            ]
            for row in verdicts
        ],
        right=["relative"],
    )


def selections(found: Sequence[SelectionRecord]) -> None:
    """Prints a summary of a run's studies; programs appear by id alone if all belong to one run."""
    for study in found:
        own = f"{study.runs[0]}:" if len(study.runs) == 1 else ""
        say()
        what = f"funnel '{study.name}'" if study.funnel else "evaluation"
        status = "finished" if study.status == "finished" else "not finished"
        say(f"Study {study.number}, {what} over {', '.join(study.runs)}: {status}", "bold")
        for stage in study.stages:
            cost = f"{stage.cost.runs} training runs, {stage.cost.seconds:,.0f} s"
            one = ", one setting for all tasks" if stage.evaluation.shared else ""
            say(f"  {stage.name} on {', '.join(stage.tasks)}{one}, {_seeds(stage)}, {cost}:")
            if study.funnel:
                say(f"    passed: {', '.join(name.removeprefix(own) for name in stage.passed) or 'none'}")
                for verdict in stage.programs:
                    if not verdict.passed:
                        say(f"    fell:   {verdict.contender.removeprefix(own)}, {verdict.why}")
                continue
            for row in stage.evaluation.comparisons:
                say(f"    {row.task}: {row.contender.removeprefix(own)} against {row.baseline}: {row.verdict}")
            for row in stage.evaluation.headlines:
                say(f"    all tasks: {row.contender.removeprefix(own)} against {row.opponent}: {row.verdict}")
        if study.missing and study.status != "finished":
            say(f"  still to come: {', '.join(study.missing)}; the same `optsearch select` goes on")
