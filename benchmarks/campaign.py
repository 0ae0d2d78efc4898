"""Speed of a campaign, and a breakdown of its time.

    python benchmarks/campaign.py                                  the shipped paper-size campaign on all cores
    python benchmarks/campaign.py --programs 3000 --workers 2      seconds
    python benchmarks/campaign.py --programs 3000 --compare        also with 1 worker, with none, and a restart

The driver runs in this process. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from optsearch.dsl.program import Program
from optsearch.runs.commands.search import Campaign, load_named
from optsearch.runs.store.environment import about_machine, available_cores
from optsearch.runs.store.reader import RUN_FILE
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.run import summary
from optsearch.search.evolution import WARM_START
from optsearch.search.population.population import redundancy

TENTHS = 10


def measure(campaign: str, overrides: list[str], workers: int, folder: Path) -> dict[str, Any]:
    """Runs a campaign including its final comparison and returns a breakdown of the time.

    Args:
        campaign: name of a shipped campaign, or path of a file.
        overrides: settings that replace those of the campaign.
        workers: number of worker processes.
        folder: folder of the run.
    """
    config, text = load_named(campaign, overrides)
    run = Campaign(config, text, folder)
    began = time.perf_counter()
    run.run(workers=workers)
    seconds = time.perf_counter() - began
    timing = run.timing
    with RunStore.read(folder) as store:
        view, search = summary(store), store.search("search")
        results = {result.ticket: result for result in store.evaluations(search)}
        generated = store.settled(search) - 1
        course: list[dict[str, float]] = []
        for tenth in range(TENTHS):
            first, last = 1 + generated * tenth // TENTHS, generated * (tenth + 1) // TENTHS
            evaluated = sum(1 for ticket in range(first, last + 1) if ticket in results)
            share = redundancy(programs(store, search, max(first, last - config.population.size), last, results))
            course.append(
                {
                    "programs": last,
                    "cache_hit_rate": round(1 - evaluated / max(last - first + 1, 1), 4),
                    "redundant_share": round(share or 0.0, 4),
                }
            )
    evaluation_s = sum(result.fitness.seconds for result in results.values())
    evaluations = [result.fitness.seconds for ticket, result in results.items() if ticket != WARM_START]
    searched = timing.total
    return {
        "programs": generated,
        "seconds": round(seconds, 2),
        "search_seconds": round(searched, 2),
        "evaluations": len(evaluations),
        "programs_per_second": round(generated / searched, 1),
        "evaluations_per_second": round(len(evaluations) / searched, 1),
        "evaluation_ms": round(1000 * evaluation_s / max(len(results), 1), 2),
        "cache_hit_rate": round(view.counts.cache_hits / max(generated, 1), 4),
        "redundant_share": course[-1]["redundant_share"],
        "worker_utilisation": round(evaluation_s / (max(workers, 1) * searched), 4),
        "time_shares": {
            "driver": round(timing.search / searched, 4),
            "store": round(timing.store / searched, 4),
            "ray": round(max(timing.exchange - timing.waiting, 0.0) / searched, 4) if workers else 0.0,
            "waiting": round(timing.waiting / searched, 4),
            "evaluation": round(evaluation_s / (max(workers, 1) * searched), 4),
        },
        "driver_peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "run_file_mb": round((folder / RUN_FILE).stat().st_size / 1e6, 2),
        "workers": workers,
        "best": view.best and view.best.fitness,
        "population_digest": view.population_digest,
        "course": course,
        "timing": {name: round(value, 2) for name, value in asdict(timing).items()},
    }


def programs(store: Any, search: Any, first: int, last: int, results: Any) -> list[Program]:
    """Returns the programs of the tickets from ``first`` to ``last``."""
    return [settled.candidate.program for settled in store.tickets(search, first, results, last)]


def restart(campaign: str, overrides: list[str], workers: int, folder: Path) -> float:
    """Measures the seconds from the call that resumes a run to its first new evaluation, including the start of Ray.

    Args:
        campaign: as in ``measure``.
        overrides: the same settings with a larger budget.
        workers: number of worker processes.
        folder: folder of the run.
    """
    config, text = load_named(campaign, overrides)
    with RunStore.read(folder) as store:
        before = len(list(store.evaluations(store.search("search"))))
    stop, began, took = threading.Event(), time.perf_counter(), 0.0
    runner = threading.Thread(
        target=lambda: Campaign(config, text, folder).run(workers=workers, quiet=True, stop=stop), daemon=True
    )
    runner.start()
    while not took and runner.is_alive():
        time.sleep(0.02)
        with RunStore.read(folder) as store:
            (count,) = [store.count_evaluations(search) for search in store.searches() if search.name == "search"]
        took = time.perf_counter() - began if count > before else 0.0
    stop.set()
    runner.join()
    return took


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--campaign", default="paper-size")
    parser.add_argument("--programs", type=int, help="programs to generate, instead of the campaign's number")
    parser.add_argument("--workers", type=int, default=available_cores())
    parser.add_argument("--compare", action="store_true", help="time 2 workers against 1, and 1 against none")
    parser.add_argument("--restart", action="store_true", help="time the restart of the finished run")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    parser.add_argument("--out", type=Path, help="where to keep the run [default: nowhere]")
    options = parser.parse_args()
    overrides = list(options.settings)
    if options.programs:
        overrides.append(f"budget.programs={options.programs}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.out or Path(scratch) / "run"
        result = measure(options.campaign, overrides, options.workers, folder)
        result["machine"] = about_machine()
        show(result)
        if options.restart:
            longer = [*overrides, f"budget.programs={result['programs'] + 50_000}"]
            result["restart_seconds"] = round(restart(options.campaign, longer, options.workers, folder), 2)
            print(f"first new evaluation after a restart: {result['restart_seconds']} s")
        if options.compare:
            rates = {options.workers: result["programs_per_second"]}
            for workers in (2, 1, 0):
                if workers not in rates:
                    other = measure(options.campaign, overrides, workers, Path(scratch) / str(workers))
                    rates[workers] = other["programs_per_second"]
                    if other["population_digest"] != result["population_digest"]:
                        sys.exit(f"{workers} workers found another population")
            result["programs_per_second_by_workers"] = {str(workers): rates[workers] for workers in sorted(rates)}
            result["speed_2_over_1"] = round(rates[2] / rates[1], 3)
            result["speed_1_over_0"] = round(rates[1] / rates[0], 3)
            print(
                f"2 workers are {result['speed_2_over_1']} times as fast as 1, 1 is {result['speed_1_over_0']} of none"
            )
    print(json.dumps(result))


def show(result: dict[str, Any]) -> None:
    """Prints the figures in readable form."""
    print(f"{'programs':>10} {'cache hits':>11} {'redundant':>10}")
    for row in result["course"]:
        print(f"{row['programs']:>10,} {row['cache_hit_rate']:>11.1%} {row['redundant_share']:>10.1%}")
    for name in ("programs_per_second", "evaluations_per_second", "evaluation_ms", "seconds", "search_seconds"):
        print(f"{name.replace('_', ' ')}: {result[name]:,}")
    for name, share in result["time_shares"].items():
        print(f"share of time, {name}: {share:.1%}")
    print(f"worker utilisation: {result['worker_utilisation']:.1%}")
    print(f"driver's peak memory: {result['driver_peak_mb']} MB; run file: {result['run_file_mb']} MB")


if __name__ == "__main__":
    main()
