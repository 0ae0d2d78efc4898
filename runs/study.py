"""A study: one campaign with several seeds, each a run of its own, and what they say together.

Two searches that differ in their seed alone find different programs. So what a search method is worth is said over
seeds, with an interval that has one number for each run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from selection.statistics import mean_interval, paired_difference


def study_summary(views: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the runs of a study say together.

    Args:
        views: each run as ``inspect.summary`` gives it.

    Returns:
        Means over runs with 95 % intervals: of the best program's search fitness and of its mean loss on fresh seeds,
        of cache hits and redundant statements, and of the difference to each control, paired by run.
    """
    fresh = [_fresh(view["best"]) for view in views]
    result: dict[str, Any] = {
        "seeds": [view["seed"] for view in views],
        "best_fitness": _estimate([view["best"] and view["best"]["fitness"] for view in views]),
        "best_fresh_loss": _estimate(fresh),
        "cache_hit_rate": _estimate([view["cache_hits"] / max(view["generated"], 1) for view in views]),
        "redundant_share": _estimate([view["redundant_share"] for view in views]),
        "comparison": [],
    }
    names = [control["name"] for control in views[0]["controls"]]
    for name in ["warm start", *names]:
        others = [_fresh(_control(view, name)) for view in views]
        both = {
            view["seed"]: (other, mine)
            for view, other, mine in zip(views, others, fresh, strict=True)
            if other is not None and mine is not None
        }
        difference = None
        if len(both) > 1:
            difference = paired_difference(
                {seed: pair[0] for seed, pair in both.items()}, {seed: pair[1] for seed, pair in both.items()}
            )
        row: dict[str, Any] = {"control": name, "runs": len(both), "difference": None, "interval": None}
        if difference is not None:
            row |= {"difference": difference.mean, "interval": [difference.low, difference.high]}
        result["comparison"].append(row)
    return result


def _control(view: dict[str, Any], name: str) -> dict[str, Any] | None:
    if name == "warm start":
        return view["warm_start"]
    return next((control["best"] for control in view["controls"] if control["name"] == name), None)


def _fresh(entry: dict[str, Any] | None) -> float | None:
    return entry["fresh"]["mean"] if entry and entry["fresh"] else None


def _estimate(values: Sequence[float | None]) -> dict[str, Any] | None:
    """Mean and interval over the runs that have a value; None when there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    estimate = mean_interval(known)
    return {"mean": estimate.mean, "interval": [estimate.low, estimate.high], "runs": len(known)}
