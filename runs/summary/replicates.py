"""A study: one campaign with several seeds, each a separate run, and statistics over the runs.

Two searches that differ only in their seed find different programs. Search methods are therefore compared by means over
seeds, with intervals in which each run is one sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from optsearch.selection.statistics import mean_interval, paired_difference


def study_summary(views: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Statistics over the runs of a study.

    Args:
        views: summary of each run, as returned by ``run.summary``.

    Returns:
        Means over runs with 95 % intervals: of the best program's search fitness and of its mean loss on fresh seeds,
        of cache hits and redundant statements, and of the difference to each control, paired by run. With several
        tasks, the mean score on fresh seeds replaces the loss, and ``tasks`` holds loss and differences on each task.
    """
    names = views[0]["tasks"] if len(views[0]["tasks"]) > 1 else []
    value = _estimate([_value(view["best"]) for view in views])
    return {
        "seeds": [view["seed"] for view in views],
        "best_fitness": _estimate([view["best"] and view["best"]["fitness"] for view in views]),
        "best_fresh_loss": None if names else value,
        "best_fresh_score": value if names else None,
        "cache_hit_rate": _estimate([view["cache_hits"] / max(view["generated"], 1) for view in views]),
        "redundant_share": _estimate([view["redundant_share"] for view in views]),
        "comparison": _comparison(views),
        "tasks": [
            {
                "task": name,
                "best_fresh_loss": _estimate([_value(view["best"], place) for view in views]),
                "comparison": _comparison(views, place),
            }
            for place, name in enumerate(names)
        ],
    }


def _comparison(views: Sequence[dict[str, Any]], task: int | None = None) -> list[dict[str, Any]]:
    """Comparisons of the best programs with each control, by the run's metric or the loss on one of several tasks."""
    rows: list[dict[str, Any]] = []
    for name in ["warm start", *(control["name"] for control in views[0]["controls"])]:
        both = {
            view["seed"]: (other, mine)
            for view in views
            if (other := _value(_control(view, name), task)) is not None
            and (mine := _value(view["best"], task)) is not None
        }
        difference = None
        if len(both) > 1:
            difference = paired_difference(
                {seed: pair[0] for seed, pair in both.items()}, {seed: pair[1] for seed, pair in both.items()}
            )
        row: dict[str, Any] = {"control": name, "runs": len(both), "difference": None, "interval": None}
        if difference is not None:
            row |= {"difference": difference.mean, "interval": [difference.low, difference.high]}
        rows.append(row)
    return rows


def _control(view: dict[str, Any], name: str) -> dict[str, Any] | None:
    if name == "warm start":
        return view["warm_start"]
    return next((control["best"] for control in view["controls"] if control["name"] == name), None)


def _value(entry: dict[str, Any] | None, task: int | None = None) -> float | None:
    """Mean on fresh seeds, of the metric of the run or of the loss on one of several tasks."""
    if not entry or not entry["fresh"]:
        return None
    return (entry["fresh"] if task is None else entry["fresh"]["tasks"][task])["mean"]


def _estimate(values: Sequence[float | None]) -> dict[str, Any] | None:
    """Mean and interval over the runs with a value; None if there are none."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    estimate = mean_interval(known)
    return {"mean": estimate.mean, "interval": [estimate.low, estimate.high], "runs": len(known)}
