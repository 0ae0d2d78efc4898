"""Comparisons and verdicts as sentences, identical in the terminal and in the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optsearch.search.algorithms import ALGORITHMS

HUGE = 1e4
"""Threshold above which losses and loss ratios belong to nearly diverged runs, so that their digits carry no
information."""


def number(value: float | None, digits: int = 5) -> str:
    """Formats a loss; a loss of a nearly diverged run has few digits."""
    return "-" if value is None else f"{value:.{digits}f}" if abs(value) < HUGE else f"{value:.2g}"


def relative(value: float | None) -> str | None:
    """Formats a relative difference; None for None."""
    return None if value is None else f"{value:+.2%}" if abs(value) < HUGE else f"{value:+.2g} times"


def bounds(interval: Sequence[float | None] | None, digits: int = 5) -> str:
    """Formats an interval."""
    if interval is None or interval[0] is None or interval[1] is None:
        return "-"
    return f"[{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]"


def control_name(control: str, warm_start: str) -> str:
    """Display name of a control."""
    labels = {"warm start": "{warm_start} as given", **{name: row.label for name, row in ALGORITHMS.items()}}
    return labels[control].format(warm_start=warm_start)


def verdict(row: dict[str, Any], warm_start: str) -> str:
    """States the winner, difference and interval of a comparison on fresh seeds; with several tasks also for each.

    Args:
        row: an entry of ``comparison`` in ``run.summary``.
        warm_start: name of the warm start.
    """
    name, several = control_name(row["control"], warm_start), "tasks" in row
    by_task = f" By task: {'; '.join(map(_on_task, row['tasks']))}." if several else ""
    where = "every task and fresh seed" if several else "every fresh seed"
    if row["winner"] is None:
        return f"Neither the best program nor {name} trains on {where}.{by_task}"
    if row["difference"] is None:
        return f"Only {'the best program' if row['winner'] == 'best' else name} trains on {where}.{by_task}"
    return _verdict(row, name, " in mean score" if several else "") + by_task


def _verdict(row: Mapping[str, Any], name: str, unit: str) -> str:
    gap = f"{abs(row['difference']):.5f}{unit}"
    spread = f"paired difference {row['difference']:+.5f}, 95 % interval {bounds(row['interval'])}"
    if row["winner"] == "best":
        return f"The best program beats {name} by {gap} ({spread})."
    if row["winner"] == "undecided":
        return f"No difference{unit} from {name} is shown ({spread}, which includes 0)."
    return f"The control wins: {name} beats the best program by {gap} ({spread})."


def _on_task(row: Mapping[str, Any]) -> str:
    """States the difference of the best program on one of several tasks."""
    if row["winner"] is None:
        return f"{row['task']} neither trains on every seed"
    what = {"best": "better", "undecided": "undecided"}.get(row["winner"], "worse")
    if row["difference"] is None:
        return f"{row['task']} {what}, as the other does not train on every seed"
    return f"{row['task']} {what}, {row['difference']:+.5f} {bounds(row['interval'])}"


def headline(view: Mapping[str, Any]) -> str:
    """Result of a search in one sentence, relative to the control that is closest to the best program.

    Args:
        view: summary of a run, as returned by `run.summary`.
    """
    if not view["best"]:
        return "Nothing has trained yet."
    best = f"Program {view['best']['id']}"
    if not view["comparison"]:
        return f"{best} is the best so far, and has not been compared on fresh seeds."
    names = {row["control"]: control_name(row["control"], view["warm_start"]["name"]) for row in view["comparison"]}
    decided = [row for row in view["comparison"] if row["winner"] == "best"]
    for row in view["comparison"]:
        if row["winner"] == row["control"]:
            return f"A control wins: {names[row['control']]} beats program {view['best']['id']} on fresh seeds."
        if row not in decided:
            return f"{best} is not shown to beat {names[row['control']]}."
    measured = [row for row in decided if row["difference"] is not None]
    if not measured:
        return f"Only {best[:1].lower()}{best[1:]} trains on every fresh seed."
    nearest = min(measured, key=lambda row: row["difference"])
    if "tasks" in nearest:
        gap = f"{nearest['difference']:.5f} in mean score over {listed(view['tasks'])}"
    else:
        part = nearest["difference"] / abs(nearest["difference"] + view["best"]["fresh"]["mean"] or 1.0)
        gap = f"{100 * part:.1f} % of its loss"
    many = "every control" if len(decided) > 1 else names[nearest["control"]]
    least = f"the nearest, {names[nearest['control']]}, by " if len(decided) > 1 else "by "
    lost = {
        names[row["control"]]: [on["task"] for on in row.get("tasks", ()) if on["winner"] == row["control"]]
        for row in decided
    }
    but = "".join(f" On {listed(tasks)} {name} is better." for name, tasks in lost.items() if tasks)
    return f"{best} beats {many} on fresh seeds{', ' if len(decided) > 1 else ' '}{least}{gap}.{but}"


def listed(names: Sequence[str]) -> str:
    """Joins names to a list in a sentence."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def study_differences(view: Mapping[str, Any]) -> list[str]:
    """Describes the mean differences over the runs of a study, one sentence each.

    Args:
        view: summary of a study, as returned by `replicates.study_summary`.
    """
    parts = [("Mean score" if view["tasks"] else "Loss", view["comparison"])]
    parts += [(f"Loss on {on['task']}", on["comparison"]) for on in view["tasks"]]
    return [
        f"{what} of {row['control']} minus that of the best program, paired by run: {row['difference']:+.5f} "
        f"{bounds(row['interval'])}"
        for what, rows in parts
        for row in rows
        if row["difference"] is not None
    ]


def share(value: float) -> str:
    """Formats a relative change with its sign."""
    return f"{100 * value:+.2f} %"


def gain(value: float | None) -> str:
    """Formats a change of fitness with its sign; empty for None."""
    return "" if not value else f"{value:+.5f}" if abs(value) >= 5e-6 else f"{value:+.0e}"


def comparison_verdict(row: Mapping[str, Any], comparisons: int) -> str:
    """States the verdict of one comparison of an evaluation, with its difference and p-value.

    Args:
        row: an `optsearch.selection.comparison.Comparison` as plain values.
        comparisons: number of comparisons of the evaluation.
    """
    from optsearch.selection.comparison import LEVEL
    from optsearch.selection.significance import pairs_needed

    difference, names = row["difference"], f"{row['contender']} and {row['baseline']}"
    if difference is None:
        return f"{names} have no seed on which both trained: {row['verdict']}."
    ends = bounds([difference["low"], difference["high"]])
    numbers = f"difference {difference['mean']:+.5f} {ends}, p = {row['p_value']:.3g}, {row['corrected']:.3g} corrected"
    if row["failed"]:
        numbers += f", {row['failed']} seeds failed"
    if row["verdict"] != "undecided":
        return f"{row['contender']} is {row['verdict']} than {row['baseline']}: {numbers}."
    if row["detectable"] is not None:
        power = f"these seeds would show {row['detectable']:.5f}"
    else:
        power = f"so few seeds can show nothing, at least {pairs_needed(LEVEL / comparisons)} are needed"
    return f"{row['contender']} shows no difference from {row['baseline']}: {numbers}; {power}."
