"""Whether the verdicts on shipped programs depend on the last bit of the learning rate.

    python benchmarks/jitter.py                                  all discovered programs that ship: an hour
    python benchmarks/jitter.py root-scale --tasks digits        a smaller version, in minutes

Another processor rounds differently, and tuning can then end at other settings. To see what this does to a verdict on
one machine, the evaluation of the record is made twice: as it is, and with every learning rate of every training run
raised to the next number of single precision. Programs that were evaluated together are evaluated together. The
comparisons over all tasks decide; those of single tasks are printed as well. The training runs are kept, so that the
command resumes.

The last line is one JSON object. The exit code is 1 if a verdict over all tasks differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from contenders import contender_of

from optsearch.proxy_tasks.run import Trained
from optsearch.runs.library.discovery import DISCOVERED
from optsearch.runs.store.training_cache import training
from optsearch.search.pool import Pool
from optsearch.selection.comparison.evaluate import TrainingProgress, evaluate
from optsearch.selection.comparison.evaluation import Evaluation
from optsearch.selection.contender import TrainingJob, run_job
from optsearch.selection.problem import problems
from optsearch.selection.space import RATE
from optsearch.selection.tuning.tuner import TuningBudget, fresh_seeds


class Jittered:
    """A pool whose training runs have a learning rate that is one unit in the last place higher.

    Args:
        pool: executes the runs.
    """

    def __init__(self, pool: Pool[TrainingJob, Trained]):
        self._pool = pool

    @property
    def room(self) -> int:
        """As for the pool."""
        return self._pool.room

    def submit(self, number: int, value: TrainingJob) -> None:
        """Submits a run with the perturbed rate."""
        self._pool.submit(number, perturbed(value))

    def collect(self) -> tuple[int, Trained]:
        """As for the pool."""
        return self._pool.collect()


def perturbed(job: TrainingJob) -> TrainingJob:
    """The run with the next learning rate above in single precision."""
    rates = {name: float(np.nextafter(np.float32(value), np.float32(np.inf))) for name, value in job.values}
    return replace(job, values=tuple((name, rates[name] if name == RATE else value) for name, value in job.values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="discovered programs [default: all]")
    parser.add_argument("--tasks", nargs="+", help="only these tasks of the record")
    parser.add_argument("--baselines", nargs="+", help="only these baselines of the record")
    parser.add_argument("--trials", type=int, help="trials of each tuning [default: as recorded]")
    parser.add_argument("--seeds", type=int, help="fresh seeds of each replicate [default: as recorded]")
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--kept-in", type=Path, default=Path("optsearch-runs"))
    asked = parser.parse_args()
    together: dict[str, list[str]] = {}
    for name in asked.names or DISCOVERED:
        together.setdefault(DISCOVERED[name].record.held_out.losses, []).append(name)
    rows: list[dict[str, Any]] = []
    for names in together.values():
        rows += verdicts(names, asked)
    changed = [row for row in rows if row["verdict"] != row["perturbed"]]
    decisive = [row for row in changed if row["task"] is None]
    print(f"{len(rows)} verdicts, {len(changed)} differ, {len(decisive)} of them over all tasks")
    print(json.dumps({"rows": rows, "differ": len(changed), "decisive": len(decisive)}))
    raise SystemExit(1 if decisive else 0)


def verdicts(names: Sequence[str], asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Prints and returns every verdict on programs that are evaluated together, without and with the perturbation."""
    held = DISCOVERED[names[0]].record.held_out
    tasks = asked.tasks or [result.task for result in held.results]
    contenders = [contender_of(name) for name in (*names, *(asked.baselines or held.baselines))]
    budget = TuningBudget(asked.trials or held.trials, constants=held.constants)
    count = asked.seeds or held.seeds
    seeds = [fresh_seeds(count, replicate=number, skipped=held.skipped_seeds) for number in range(held.replicates)]
    done = 0

    def progress(_: TrainingProgress) -> None:
        nonlocal done
        done += 1
        if done % 2000 == 0:
            print(f"{done:,} training runs", file=sys.stderr, flush=True)

    with training(run_job, asked.kept_in, asked.workers) as (pool, _):
        first, second = (
            evaluate(contenders, problems(tasks), seeds, budget=budget, pool=each, progress=progress)
            for each in (pool, Jittered(pool))
        )
    return compared(first, second)


def compared(first: Evaluation, second: Evaluation) -> list[dict[str, Any]]:
    """The verdicts of two evaluations side by side."""
    rows: list[dict[str, Any]] = []
    for a, b in zip(first.headlines, second.headlines, strict=True):
        # A family is named after its members in both, whichever of them is best.
        about = {"contender": a.contender, "task": None, "opponent": a.opponent}
        means = {"mean": a.relative and a.relative.mean, "perturbed_mean": b.relative and b.relative.mean}
        rows.append(about | {"verdict": a.verdict, "perturbed": b.verdict} | means)
    for a, b in zip(first.comparisons, second.comparisons, strict=True):
        about = {"contender": a.contender, "task": a.task, "opponent": a.baseline}
        means = {"mean": a.difference and a.difference.mean, "perturbed_mean": b.difference and b.difference.mean}
        rows.append(about | {"verdict": a.verdict, "perturbed": b.verdict} | means)
    for row in rows:
        where = "over all tasks" if row["task"] is None else f"on {row['task']}"
        numbers = f"{row['mean']:+.4g} and {row['perturbed_mean']:+.4g}"
        print(
            f"{row['contender']} against {row['opponent']} {where}: {row['verdict']} and {row['perturbed']} ({numbers})"
        )
    return rows


if __name__ == "__main__":
    main()
