"""Would several short searches, of which the best goes on, find more than one long search? Without any training.

    python benchmarks/restarts.py                                  all arms of benchmarks/measured/search_study-ae.jsonl
    python benchmarks/restarts.py --arms published rotate+hurdle --heads 2:100000 3:50000

The kept outcomes of `search_study.py` have the best fitness of each search after any number of training steps. With
``K:STEPS``, K searches run for STEPS training steps; the one with the best fitness then continues until the steps of
all are those of one search. The result is the mean over all sets of K searches of an arm. The steps to the level are as
in `search_study.py`, geometric means; sets that never reach it count as the whole budget. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean, median
from typing import Any

from search_study import Outcome, label, reached

MEASURED = Path(__file__).parent / "measured" / "search_study-ae.jsonl"
"""Outcomes that the documentation quotes."""

Head = tuple[int, int]
"""A number of searches, and the training steps after which one of them goes on."""

HEADS: Sequence[Head] = ((1, 0), (2, 50_000), (2, 100_000), (3, 50_000), (3, 100_000), (4, 50_000))


def head(text: str) -> Head:
    """Parses ``3:50000``."""
    count, steps = text.split(":")
    return int(count), int(steps)


def best_after(outcome: Outcome, steps: int) -> float:
    """The best fitness of a search after a number of training steps; infinity before its first result."""
    return min((best for spent, best in outcome.course if spent <= steps), default=math.inf)


def continued(searches: Sequence[Outcome], steps: int, budget: int, level: float) -> tuple[float, int]:
    """Continues the best of several searches.

    Args:
        searches: the searches.
        steps: training steps of each before one is chosen.
        budget: training steps of all together.
        level: fitness to reach.

    Returns:
        The fitness at the end, and the training steps of all until the level is reached, at most the budget.
    """
    others = (len(searches) - 1) * steps
    chosen = min(searches, key=lambda search: best_after(search, steps))
    return best_after(chosen, budget - others), min(others + reached(chosen, level, budget), budget)


def main() -> None:
    """Prints a table for each arm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outcomes", type=Path, default=MEASURED, metavar="FILE", help="outcomes of search_study.py")
    parser.add_argument("--arms", nargs="+", metavar="ARM", help="arms; all by default")
    parser.add_argument("--heads", nargs="+", type=head, default=list(HEADS), metavar="K:STEPS", help="what to try")
    arguments = parser.parse_args()
    settings, *rows = map(json.loads, arguments.outcomes.read_text(encoding="utf-8").splitlines())
    budget: int = settings["settings"]["steps"]
    arms: dict[str, list[Outcome]] = {}
    for row in rows:
        arm, is_search, _ = row["search"].rpartition("-seed")
        if is_search:
            arms.setdefault(arm, []).append(Outcome.read(row["outcome"]))
    level = median(search.course[-1][1] for search in arms[label(frozenset())])
    found = [result(arm, arms[arm], arguments.heads, budget, level) for arm in arguments.arms or arms]
    print("\n".join(table([row for arm in found for row in arm], level)))
    print(json.dumps({"level": level, "budget": budget, "rows": [row for arm in found for row in arm]}))


def table(rows: Sequence[Mapping[str, Any]], level: float) -> list[str]:
    """The rows of arms as a Markdown table."""
    return [
        f"| arm | searches | steps before the choice | fitness | steps to {level:.4f} |",
        "|---|---|---|---|---|",
        *(
            f"| {row['arm']} | {row['searches']} | {row['head']:,} | {row['fitness']:.4f} | {row['steps']:,.0f} |"
            for row in rows
        ),
    ]


def result(
    arm: str, searches: Sequence[Outcome], heads: Sequence[Head], budget: int, level: float
) -> list[Mapping[str, Any]]:
    """The rows of an arm."""
    rows: list[Mapping[str, Any]] = []
    for count, steps in heads:
        ends = [continued(chosen, steps, budget, level) for chosen in combinations(searches, count)]
        rows.append(
            {
                "arm": arm,
                "searches": count,
                "head": steps,
                "fitness": fmean(fitness for fitness, _ in ends),
                "steps": 2.0 ** fmean(math.log2(spent) for _, spent in ends),
            }
        )
    return rows


if __name__ == "__main__":
    main()
