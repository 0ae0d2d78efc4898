"""How often the comparison of `evaluate` tells an optimizer from itself, on real tasks.

    python benchmarks/calibration.py                       220 pairs; every training run is kept, so that it resumes
    python benchmarks/calibration.py --tasks digits --contenders sgd --pairs 2 --trials 2 --seeds 2   a small version

A/A: a contender is tuned and measured in many replicates, as `evaluate` does it: other points, other tuning seeds,
other fresh seeds. Disjoint groups of replicates are compared by the same test. Both groups are the same optimizer, so
that every verdict is false. Their share must be at most the level; the interval is Clopper and Pearson's.

A/B: the same groups, after the losses of one are raised by a known multiple of the standard deviation between
replicates. The share of true verdicts is the power, beside that of a t test on normal losses.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from contenders import contender_of
from scipy import stats

from optsearch.proxy_tasks.outcome import Outcome
from optsearch.proxy_tasks.run import Trained
from optsearch.runs.store.training_cache import training
from optsearch.selection.contender import Contender, TrainingJob, run_job
from optsearch.selection.problem import Problem, problems
from optsearch.selection.statistics.intervals import difference_interval
from optsearch.selection.statistics.significance import permutation_test
from optsearch.selection.tuning.schedule import drive
from optsearch.selection.tuning.tuner import TRIALS, TuningBudget, fresh_seeds, tune

TASKS = ("ae", "teach", "digits", "lmmlp")
CONTENDERS = (
    "adamw", "nadamw", "lion", "muon", "sgd", "clipped", "cautious", "adafactor", "signum", "momentum", "rmsprop",
)  # fmt: skip
LEVELS = (0.05, 0.01)
SHIFTS = (1.0, 2.0, 3.0)
"""Known differences, in standard deviations between replicates."""


def replicate(
    contender: Contender, problem: Problem, budget: TuningBudget, number: int, seeds: int
) -> Generator[list[TrainingJob], list[Trained], float]:
    """Tunes and measures a contender once; returns the mean test loss over the runs that trained."""
    (tuned,) = yield from tune(contender, [problem], budget, number)
    results = yield [TrainingJob(contender, problem, tuned.values, s) for s in fresh_seeds(seeds, replicate=number)]
    losses = [r.result.test_loss for r in results if r.result.outcome is Outcome.OK and r.result.test_loss is not None]
    return statistics.fmean(losses) if losses else problem.load().trivial_loss or math.inf


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS))
    parser.add_argument("--pairs", type=int, default=5, help="pairs of groups of each contender on each task, up to 5")
    parser.add_argument("--replicates", type=int, default=5, help="replicates of a group")
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--seeds", type=int, default=8, help="fresh seeds of a replicate")
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--kept-in", type=Path, default=Path("optsearch-runs"))
    asked = parser.parse_args()
    found, contenders = problems(asked.tasks), [contender_of(name) for name in asked.contenders]
    numbers, budget = range(2 * asked.pairs * asked.replicates), TuningBudget(asked.trials)
    plan = [(problem, contender) for problem in found for contender in contenders]
    done = 0

    def ended(job: TrainingJob, trained: Trained) -> None:
        nonlocal done
        done += 1
        if done % 2000 == 0:
            print(f"{done:,} training runs", file=sys.stderr, flush=True)

    entries = [replicate(c, p, budget, number, asked.seeds) for p, c in plan for number in numbers]
    with training(run_job, asked.kept_in, asked.workers) as (pool, _):
        losses = drive(entries, pool, ended)
    groups: list[tuple[str, str, Sequence[float], Sequence[float]]] = []
    for place, (problem, contender) in enumerate(plan):
        mine = losses[place * len(numbers) : (place + 1) * len(numbers)]
        parts = [mine[start : start + asked.replicates] for start in range(0, len(mine), asked.replicates)]
        groups += [(problem.name, contender.name, a, b) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    print(json.dumps(report(groups, asked.replicates)))


def report(groups: Sequence[tuple[str, str, Sequence[float], Sequence[float]]], replicates: int) -> dict[str, Any]:
    """Prints the shares of false and of true verdicts, and returns them."""
    p_values = [permutation_test([(a, b)]) for *_, a, b in groups]
    count, rows = len(groups), list[dict[str, Any]]()
    print(f"A/A: {count} pairs of {replicates} against {replicates} replicates of the same optimizer")
    for level in LEVELS:
        false = sum(p <= level for p in p_values)
        ends = stats.binomtest(false, count).proportion_ci(0.95)
        rows.append({"level": level, "false": false, "share": false / count, "interval": [ends.low, ends.high]})
        print(f"  level {level:g}: {false} false verdicts, {false / count:.1%} [{ends.low:.1%}, {ends.high:.1%}]")
    held = [interval.low <= 0.0 <= interval.high for *_, a, b in groups
            if (interval := difference_interval(a, b)).low is not None and interval.high is not None]  # fmt: skip
    print(f"  95 % intervals of the difference that contain 0: {sum(held) / max(len(held), 1):.1%}")
    power = [_power(groups, replicates, shift) for shift in SHIFTS]
    return {"pairs": count, "replicates": replicates, "false": rows, "coverage": sum(held) / count, "power": power}


def _power(
    groups: Sequence[tuple[str, str, Sequence[float], Sequence[float]]], replicates: int, shift: float
) -> dict[str, Any]:
    """Share of true verdicts at the 5 % level after one side's losses are raised."""
    spreads: dict[tuple[str, str], list[float]] = {}
    for task, name, a, b in groups:
        spreads.setdefault((task, name), []).extend((statistics.variance(a), statistics.variance(b)))
    true = 0
    for task, name, a, b in groups:
        raised = [loss + shift * math.sqrt(statistics.fmean(spreads[task, name])) for loss in b]
        true += permutation_test([(a, raised)]) <= LEVELS[0] and statistics.fmean(a) < statistics.fmean(raised)
    degrees, noncentral = 2 * replicates - 2, shift * math.sqrt(replicates / 2)
    expected = float(stats.nct.sf(stats.t.ppf(1 - LEVELS[0] / 2, degrees), degrees, noncentral))
    print(f"A/B: a difference of {shift:g} standard deviations is found in {true / len(groups):.0%}; "
          f"a t test on normal losses finds it in {expected:.0%}")  # fmt: skip
    return {"shift": shift, "found": true / len(groups), "t_test": expected}


if __name__ == "__main__":
    main()
