"""Results of a run as sentences, identical in the terminal, the report and notebooks."""

from __future__ import annotations

from optsearch.runs.summary.finals import ControlComparison, Difference
from optsearch.runs.summary.replicates import StudySummary
from optsearch.runs.summary.run import RunSummary
from optsearch.runs.text.phrasing import control_name, interval_bounds, listed, signed

SIGNS = "Differences are the loss or score of the program minus that of the other one: negative is better."
"""The convention of all differences in the output of commands, in reports and in JSON."""


def verdict(comparison: ControlComparison, warm_start: str) -> str:
    """States the winner, difference and interval of a comparison on fresh seeds; with several tasks also for each.

    Args:
        comparison: the comparison.
        warm_start: name of the warm start.
    """
    name, several = control_name(comparison.control, warm_start), bool(comparison.tasks)
    by_task = "; ".join(_on_task(task, difference) for task, difference in comparison.tasks.items())
    by_task = f" By task: {by_task}." if several else ""
    where = "every task and fresh seed" if several else "every fresh seed"
    overall = comparison.overall
    if overall.winner is None:
        return f"Neither the best program nor {name} trains on {where}.{by_task}"
    if overall.interval is None:
        return f"Only {'the best program' if overall.winner == 'best' else name} trains on {where}.{by_task}"
    unit = " in mean score" if several else ""
    gap = f"{abs(overall.interval.mean):.5f}{unit}"
    spread = f"paired difference {signed(overall.interval.mean)}, 95 % interval {interval_bounds(overall.interval)}"
    if overall.winner == "best":
        return f"The best program beats {name} by {gap} ({spread}).{by_task}"
    if overall.winner == "undecided":
        return f"No difference{unit} from {name} is shown ({spread}, which includes 0).{by_task}"
    return f"The control wins: {name} beats the best program by {gap} ({spread}).{by_task}"


def _on_task(task: str, difference: Difference) -> str:
    """States the difference of the best program on one of several tasks."""
    if difference.winner is None:
        return f"{task} neither trains on every seed"
    what = {"best": "better", "undecided": "undecided", "control": "worse"}[difference.winner]
    if difference.interval is None:
        return f"{task} {what}, as the other does not train on every seed"
    return f"{task} {what}, {signed(difference.interval.mean)} {interval_bounds(difference.interval)}"


def headline(run: RunSummary) -> str:
    """Result of a search in one sentence, relative to the control that is closest to the best program."""
    if run.best is None:
        return "Nothing has trained yet."
    best = f"Program {run.best.id}"
    if not run.comparison:
        return f"{best} is the best so far, and has not been compared on fresh seeds."
    names = {row.control: control_name(row.control, run.warm_start_name) for row in run.comparison}
    for row in run.comparison:
        if row.overall.winner == "control":
            return f"A control wins: {names[row.control]} beats program {run.best.id} on fresh seeds."
        if row.overall.winner != "best":
            return f"{best} is not shown to beat {names[row.control]}."
    gaps = [(row.overall.interval.mean, row) for row in run.comparison if row.overall.interval is not None]
    if not gaps:
        return f"Only {best[:1].lower()}{best[1:]} trains on every fresh seed."
    difference, nearest = max(gaps, key=lambda found: found[0])
    several = len(run.comparison) > 1
    many = "every control" if several else names[nearest.control]
    least = f"the nearest, {names[nearest.control]}, by " if several else "by "
    gap = _gap(run, -difference)
    return f"{best} beats {many} on fresh seeds{', ' if several else ' '}{least}{gap}.{_lost(run, names)}"


def _gap(run: RunSummary, difference: float) -> str:
    """Lead over a control in mean score, or as a fraction of its loss with one task."""
    if len(run.tasks) > 1:
        return f"{difference:.5f} in mean score over {listed(run.tasks)}"
    fresh = None if run.best is None else run.best.fresh
    theirs = difference if fresh is None or fresh.mean is None else difference + fresh.mean
    return f"{100 * difference / abs(theirs or 1.0):.1f} % of its loss"


def _lost(run: RunSummary, names: dict[str, str]) -> str:
    """Sentences that name the tasks on which a control is better, although it loses over all tasks."""
    said = ""
    for row in run.comparison:
        tasks = [task for task, difference in row.tasks.items() if difference.winner == "control"]
        said += f" On {listed(tasks)} {names[row.control]} is better." if tasks else ""
    return said


def study_differences(study: StudySummary) -> list[str]:
    """Describes the mean differences over the runs of a study, one sentence each."""
    parts = [("Mean score" if study.tasks else "Loss", study.comparison)]
    parts += [(f"Loss on {on.task}", on.comparison) for on in study.tasks]
    return [
        f"{what} of the best program minus that of {row.control}, paired by run: {signed(row.difference.mean)} "
        f"{interval_bounds(row.difference)}"
        for what, rows in parts
        for row in rows
        if row.difference is not None
    ]
