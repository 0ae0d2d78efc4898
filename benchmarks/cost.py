"""Cost of a search compared with the published search, and the savings of each component.

    python benchmarks/cost.py optsearch-runs/study-seed*          half a minute

The cost is the total worker time of all evaluations in the run files, including controls. The savings are computed from
the same records, each factor with the others unchanged:

- *fingerprint*: generated programs per evaluation in the search; without deduplication, every program is trained.
- *hurdle*: maximum number of steps of the stopped programs without a hurdle, relative to the steps they ran. Programs
  that diverge stop early without a hurdle.
- *no compilation*: time to compile AdamW's training loop without cache and run it, relative to interpreting it;
  measured by this script.
- *smaller proxies*: time of one evaluation, relative to the published twenty minutes on a TPU v2. This is one of the
  four chips of a board; the published cost counts it as one device, and this script does the same.

A CPU core and a TPU v2 are not equivalent hardware: the comparison is between costs, not between machines. Batching of
candidates is for accelerators (`benchmarks/accelerator.py`); on a CPU, sequential evaluation is fastest.
Source of the published figures: Chen et al. 2023, sections 2.1 and 2.2. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from optsearch.dsl.library import LIBRARY
from optsearch.proxy_tasks.outcome import Outcome
from optsearch.proxy_tasks.registry import get_task
from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.searches import first_stage
from optsearch.search.scoring.evaluate import use_one_cpu_thread

PUBLISHED_DAYS = 3000.0
"""Cost of the published search, in TPU v2 days."""

PUBLISHED_EVALUATION_S = 20 * 60.0
"""Maximum time of one evaluation in the published search."""


def bill(store: RunReader) -> dict[str, float]:
    """Computes counts and worker seconds of a run, for all of its searches and for the main search alone."""
    config = store.config
    full = sum(get_task(name).steps for name in config.fitness_task_names) * len(config.training_seeds)
    total = {"evaluations": 0.0, "seconds": 0.0, "generated": 0.0, "searched": 0.0, "ran": 0.0, "stopped": 0.0}
    searched = [store.search("search"), *first_stage(store)]
    for search in store.searches():
        for result in store.evaluations(search):
            total["evaluations"] += 1
            total["seconds"] += result.fitness.seconds
            total["ran"] += result.fitness.steps
            if result.fitness.outcome == Outcome.HURDLE.value:
                total["stopped"] += full - result.fitness.steps
        if search in searched:
            total["generated"] += store.progress(search).generated
            total["searched"] += store.count_evaluations(search)
    return total


def compilation(task: str) -> dict[str, float]:
    """Measures the seconds to compile and run AdamW's training loop, and to interpret it."""
    import jax

    from optsearch.proxy_tasks.trainer import Trainer

    jax.config.update("jax_enable_compilation_cache", False)
    times: dict[str, float] = {}
    for method in ("compile", "interpret"):
        trainer = Trainer(get_task(task), method=method)
        begin = time.perf_counter()
        trainer.run(LIBRARY["adamw"], 0)
        times[f"{method}_first"] = time.perf_counter() - begin
        again: list[float] = []
        for seed in range(1, 8):
            begin = time.perf_counter()
            trainer.run(LIBRARY["adamw"], seed)
            again.append(time.perf_counter() - begin)
        times[method] = sorted(again)[len(again) // 2]
    return times


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    options = parser.parse_args()
    use_one_cpu_thread()
    totals: dict[str, float] = {}
    task = ""
    for folder in options.runs:
        with RunStore.read(folder) as store:
            task = store.config.task
            for key, value in bill(store).items():
                totals[key] = totals.get(key, 0.0) + value
    times = compilation(task)
    mean = totals["seconds"] / max(totals["evaluations"], 1.0)
    factors = {
        "fingerprint": totals["generated"] / max(totals["searched"], 1.0),
        "hurdle": (totals["ran"] + totals["stopped"]) / max(totals["ran"], 1.0),
        "no_compilation": times["compile_first"] / times["interpret"],
        "smaller_proxies": PUBLISHED_EVALUATION_S / mean,
    }
    hours = totals["seconds"] / 3600
    print(f"{totals['evaluations']:,.0f} evaluations, {mean * 1e3:.1f} ms each: {hours:.2f} core-hours")
    print(
        f"published: {PUBLISHED_DAYS:,.0f} TPU v2 days, {PUBLISHED_DAYS * 24 / hours:,.0f} times as many device hours\n"
    )
    print("| saved by | factor |\n|---|---|")
    for name, factor in factors.items():
        print(f"| {name.replace('_', ' ')} | {factor:,.4g} |")
    result: dict[str, Any] = {"core_hours": round(hours, 3), "evaluations": int(totals["evaluations"])}
    result |= {"ms_per_evaluation": round(mean * 1e3, 2), "factors": {k: round(v, 2) for k, v in factors.items()}}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
