"""Compares evolution with its controls on fresh seeds, as a function of the number of evaluations.

    optsearch search study --seeds 5
    python benchmarks/evidence.py optsearch-runs/study-seed*            a minute; --figures DIR for the chart

For every search of every run, and numbers of evaluations from 50 up, the program with the lowest search fitness so far
is trained on seeds that no search, selection or earlier evaluation has used. The curves are therefore unbiased
estimates of the programs' losses, unlike the search fitness, which is optimistically biased. The evaluations of a first
stage are included in those of the search. Means and 95 % intervals are over runs, with one value per run.

A search *wins* against a control if the interval of the difference, paired by run, excludes 0: at equal evaluations,
and against the full budget of the control. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from optsearch.dsl.program import Program
from optsearch.proxy_tasks.registry import get_task
from optsearch.runs.report.chart import Chart, axis, series, tips
from optsearch.runs.report.render import write_figures
from optsearch.runs.store.reader import RunReader, Search
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.history import over_time, read_history
from optsearch.runs.summary.searches import SEARCH, controls, first_stage
from optsearch.runs.text.phrasing import control_name
from optsearch.search.evolution import WARM_START
from optsearch.search.scoring.evaluate import use_one_cpu_thread
from optsearch.selection.statistics.intervals import Interval, mean_interval, paired_difference

AT = (50, 100, 200, 300, 600, 900, 1200, 1800, 2400, 3000, 4500, 6000, 9000, 12000, 18000, 24000, 40000, 80000)
"""Numbers of evaluations at which the best program is evaluated."""

EVIDENCE_SEED = 6_000_000
"""First of the fresh seeds; the seeds of a run's final comparison are smaller."""

Curve = dict[int, float]
"""Mean loss of the best program so far on fresh seeds, by number of evaluations."""


def incumbents(store: RunReader, searches: Sequence[Search]) -> Iterator[tuple[int, Program, float]]:
    """Yields number of evaluations, best program by search fitness so far, and its learning-rate factor.

    Args:
        store: the run.
        searches: searches that are concatenated, in order.
    """
    count = 0
    best: tuple[float, Search, int, float] | None = None
    for search in searches:
        for result in store.evaluations(search):
            if result.ticket == WARM_START:
                continue
            count += 1
            value = result.fitness.value
            if value is not None and (best is None or value < best[0]):
                best = (value, search, result.ticket, result.fitness.rate)
            if count in AT and best is not None:
                yield count, store.ticket(best[1], best[2]).candidate.program, best[3]
    if count not in AT and best is not None:
        yield count, store.ticket(best[1], best[2]).candidate.program, best[3]


def curves(store: RunReader, trainer: Any, seeds: int) -> dict[str, Curve]:
    """Computes the curve of every search of a run."""
    warm = store.config.warm_start
    found: dict[str, Curve] = {}
    known: dict[tuple[str, float], float] = {}
    groups = {"evolution": [*first_stage(store), store.search(SEARCH)]}
    groups |= {control_name(str(search.settings["algorithm"]), warm): [search] for search in controls(store)}
    for name, searches in groups.items():
        curve: Curve = {}
        for count, program, rate in incumbents(store, searches):
            key = (str(program), rate)
            if key not in known:
                results = [trainer.run(program, EVIDENCE_SEED + seed, rate=rate).loss for seed in range(seeds)]
                known[key] = statistics.fmean(math.inf if loss is None else loss for loss in results)
            curve[count] = known[key]
        found[name] = curve
    return found


def at(curve: Curve, count: int) -> float:
    """Returns the value of a curve at a number of evaluations, from the last point not after it."""
    counts = sorted(curve)
    place = bisect_left(counts, count + 1) - 1
    return curve[counts[place]] if place >= 0 else math.inf


def compare(runs: Sequence[dict[str, Curve]], name: str) -> dict[str, Any]:
    """Compares evolution with one control: at equal evaluations, and against the control's full budget."""
    spent = [max(run["evolution"]) for run in runs]
    mine = {number: at(run["evolution"], spent[number]) for number, run in enumerate(runs)}
    row: dict[str, Any] = {"control": name}
    budgets = {"equal": spent, "all": [max(run[name]) for run in runs]}
    for label, counts in budgets.items():
        theirs = {number: at(run[name], counts[number]) for number, run in enumerate(runs)}
        trained = {number: loss for number, loss in theirs.items() if math.isfinite(loss)}
        row |= {f"{label}_evaluations": counts, f"{label}_loss": estimate(list(trained.values()))}
        gap = paired_difference(trained, mine) if len(trained) > 1 else None
        row[f"{label}_difference"] = gap and [round(x, 5) for x in (gap.mean, gap.low or 0.0, gap.high or 0.0)]
        row[f"{label}_wins"] = gap is not None and gap.low is not None and gap.low > 0.0
    return row


def estimate(values: Sequence[float]) -> list[float | None] | None:
    """Computes the rounded mean and interval over runs; None without values."""
    if not values:
        return None
    interval: Interval = mean_interval(values)
    return [x if x is None else round(x, 5) for x in (interval.mean, interval.low, interval.high)]


def chart(runs: Sequence[dict[str, Curve]], task: str) -> Chart:
    """Creates a chart of the loss on fresh seeds over evaluations, with mean and interval over runs."""
    rows: list[dict[str, Any]] = []
    for name in runs[0]:
        for count in sorted(set.intersection(*(set(run[name]) for run in runs))):
            losses = [run[name][count] for run in runs if math.isfinite(run[name][count])]
            if len(losses) == len(runs):
                mean, low, high = estimate(losses) or (None, None, None)
                rows.append({"series": name, "evaluations": count, "mean": mean, "low": low, "high": high})
    title = f"validation loss on {task}, fresh seeds"
    shape: dict[str, Any] = {"type": "log"}
    limits = {"zero": False, "nice": True}
    x, color = axis("evaluations", "evaluations", scale=shape), series(domain=list(runs[0]))
    tooltip = tips(("series", "search", None), ("evaluations", "evaluations", ",d"), ("mean", "loss", ".5f"))
    band = {"x": x, "y": axis("low", title, scale=limits), "y2": {"field": "high"}, "color": color}
    line = {"x": x, "y": axis("mean", title, scale=limits), "color": color, "tooltip": tooltip}
    layers = [
        {"mark": {"type": "area", "opacity": 0.18}, "encoding": band},
        {"mark": {"type": "line", "point": True}, "encoding": line},
    ]
    note = f"Best program so far by search fitness, trained on fresh seeds; mean and 95 % interval of {len(runs)} runs."
    return Chart("study", "Evolution beside its controls", note, {"layer": layers, "height": 320}, rows)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="runs of one campaign that differ in their seed")
    parser.add_argument("--seeds", type=int, default=16, help="fresh seeds")
    parser.add_argument("--figures", type=Path, help="folder for the picture, as SVG, PDF and CSV")
    options = parser.parse_args()
    use_one_cpu_thread()
    from optsearch.proxy_tasks.trainer import Trainer

    runs: list[dict[str, Curve]] = []
    shares: dict[str, list[float]] = {"cache_hits": [], "redundant": []}
    trainer = task = None
    for folder in options.runs:
        with RunStore.read(folder) as store:
            task = store.config.task
            trainer = trainer or Trainer(get_task(task))
            runs.append(curves(store, trainer, options.seeds))
            history = read_history(store, store.search(SEARCH))
            shares["cache_hits"].append(float((history.owners[1:] != range(1, len(history))).mean()))
            shares["redundant"].append(over_time(store, history)[-1].redundant or 0.0)
        print(f"{folder.name}: " + ", ".join(f"{name} {at(c, max(c)):.5f}" for name, c in runs[-1].items()), flush=True)
    mine = [at(run["evolution"], max(run["evolution"])) for run in runs]
    table = [compare(runs, name) for name in runs[0] if name != "evolution"]
    print(f"\n| | evaluations | loss on {options.seeds} fresh seeds | evolution is better by |\n|---|---|---|---|")
    print(f"| evolution | {max(map(max, (run['evolution'] for run in runs))):,} | {estimate(mine)} | |")
    for row in table:
        for label in ("equal", "all"):
            print(
                f"| {row['control']} | {max(row[f'{label}_evaluations']):,} | {row[f'{label}_loss']} "
                f"| {row[f'{label}_difference']} |"
            )
    if options.figures:
        write_figures([chart(runs, str(task))], options.figures)
    result = {"task": task, "runs": len(runs), "evolution": estimate(mine), "controls": table}
    print(json.dumps(result | {name: estimate(values) for name, values in shares.items()}))


if __name__ == "__main__":
    main()
