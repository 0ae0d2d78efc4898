"""Predictive power of proxies, from known optimizers with tuned learning rates; AdamW's loss and noise on all tasks.

    python benchmarks/tasks.py adamw [TASK...]                      writes proxy_tasks/data/measured.json
    python benchmarks/tasks.py ranks [FAMILY...] --rungs x10        rank correlation between proxy and rung
    python benchmarks/tasks.py headroom [FAMILY...]                 gains over AdamW with all its constants tuned
    python benchmarks/tasks.py sweep [FAMILY...]                    effect of a sweep of three learning rates
    python benchmarks/tasks.py search-set                           contribution of each task to a set of several

Every training run is saved to the file given by ``--runs`` on completion, together with the version of its task. An
interrupted command therefore resumes, and no run is repeated. An optimizer is compiled once per task: learning rate and
seed are traced arguments. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from recorded_runs import RecordedRuns, mean_loss

from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program
from optsearch.dsl.syntax import parse
from optsearch.proxy_tasks.registry import TASKS, get_task
from optsearch.proxy_tasks.task import RUNGS, Task
from optsearch.search.budget import Budget
from optsearch.search.evolution import Evolution
from optsearch.search.population.population import PopulationConfig
from optsearch.search.scoring.evaluate import use_one_cpu_thread
from optsearch.search.scoring.fitness import OK, Fitness
from optsearch.search.variation.mutate import Mutator
from optsearch.search.variation.mutation_config import MutationWeights
from optsearch.selection.baselines.table import BASELINES
from optsearch.selection.statistics.ranks import kendall_tau
from optsearch.selection.tuning.tuner import TuningBudget, fresh_seeds

OPTIMIZERS = (
    *("adamw", "lion", "sgd", "momentum", "rmsprop", "adagrad"),
    *("nadamw", "adabelief", "radam", "lamb", "signum", "adafactor"),
)
"""Twelve baselines of `optsearch.selection.baselines.table`."""

SEEDS = {"proxy": (2, 8), "x10": (1, 4), "x43": (1, 4), "x100": (1, 2)}
"""Number of tuning seeds and of fresh seeds for each rung."""

STEP = 10.0**0.5
"""Ratio of neighbouring learning rates of the grid: half a decade."""

FARTHEST = 6
"""Maximum distance from the first learning rate, in half-decades."""

DRAWS = 500
"""Number of samples of perturbed learning rates."""

WIDER = """def train(w, g, m, v, lr):
  m = interp(g, m, 0.9)
  mixed = interp(g, m, 0.9)
  g2 = square(g)
  v = interp(g2, v, 0.999)
  scale = power(v, 0.5)
  update = mixed / scale
  wd = w * 0.01
  update = update + wd
  lr = power(lr, 1.0)
  lr = lr * 0.001
  update = update * lr
  return update, m, v
"""
"""A family of programs that contains AdamW: the gradient is mixed in a second time, as in Lion and NAdam, and the
powers of the second moment and of the schedule are free. Its gain over AdamW, with equal tuning, is within reach of a
search."""

MEASURED = Path(__file__).parent.parent / "proxy_tasks" / "data" / "measured.json"


def tuned_rate(losses: Callable[[float], float], first: float) -> float:
    """Finds the best learning rate on a grid of half-decades, by descent from the first.

    Args:
        losses: maps a learning rate to the mean loss.
        first: initial learning rate.
    """
    known: dict[int, float] = {}

    def loss(place: int) -> float:
        if place not in known:
            known[place] = losses(first * STEP**place)
        return known[place]

    best = 0
    while abs(best) < FARTHEST:
        place = min((best, best - 1, best + 1), key=loss)
        if place == best and math.isfinite(loss(best)):
            break
        best = best - 1 if place == best else place  # if all fail, smaller rates may still train
    return first * STEP**best


def tuned(recorded: RecordedRuns, task: Task, name: str, first: float) -> tuple[float, list[list[float | None]]]:
    """Tunes the learning rate of a baseline; returns it and the runs on fresh seeds."""
    tuning, fresh = SEEDS[task.rung]
    rate = tuned_rate(
        lambda rate: mean_loss(
            [recorded.baseline(task, name, rate, seed) for seed in TuningBudget(seeds=tuning).seeds_of(0)]
        ),
        first,
    )
    return rate, [recorded.baseline(task, name, rate, seed) for seed in fresh_seeds(fresh)]


def ladder(
    recorded: RecordedRuns, family: str, rungs: Sequence[str], names: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Computes the loss of each baseline on each rung; tuning starts at the best rate of the previous rung."""
    losses: dict[str, dict[str, float]] = {}
    first = {name: BASELINES[name].reference for name in names}
    for rung in rungs:
        task = get_task(family if rung == RUNGS[0] else f"{family}-{rung}")
        losses[rung] = {}
        for name in names:
            rate, runs = tuned(recorded, task, name, first[name])
            first[name], losses[rung][name] = rate, mean_loss(runs)
            print(f"{task.name:<16} {name:<10} rate {rate:<10.3g} loss {losses[rung][name]:.5g}", flush=True)
    return losses


def kendall(first: Mapping[str, float], second: Mapping[str, float]) -> float:
    """Computes Kendall's tau-b of two rankings: 1 for equal, -1 for reversed rankings, 0 if all of one are tied."""
    return kendall_tau(list(first.values()), [second[name] for name in first]) or 0.0


def tau_interval(first: Mapping[str, float], second: Mapping[str, float]) -> tuple[float, float, float]:
    """Computes tau with a 95 % jackknife interval over optimizers, not seeds; another study would vary optimizers.

    Source: Efron & Tibshirani 1993, chapter 11.
    """
    names = [name for name in first if name in second]
    tau = kendall({name: first[name] for name in names}, second)
    left_out = [kendall({name: first[name] for name in names if name != out}, second) for out in names]
    count, centre = len(left_out), statistics.fmean(left_out)
    half = 1.96 * math.sqrt((count - 1) / count * sum((value - centre) ** 2 for value in left_out))
    return tau, max(-1.0, tau - half), min(1.0, tau + half)


def measure_adamw(recorded: RecordedRuns, names: Sequence[str]) -> dict[str, Any]:
    """Measures AdamW's loss and the noise of tasks, and writes the file shipped with them."""
    kept = json.loads(MEASURED.read_text()) if MEASURED.exists() else {"tasks": {}}
    for name in names:
        task = get_task(name)
        rate, runs = tuned(recorded, task, "adamw", BASELINES["adamw"].reference)
        losses, tests, accuracies = zip(*runs, strict=True)
        untrained = statistics.fmean(untrained_loss(task, seed) for seed in fresh_seeds(2))
        found = {
            "learning_rate": round(rate, 8),
            "loss": round(mean_loss(runs), 8),
            "noise": round(statistics.stdev(losses), 8),
            "test_loss": round(statistics.fmean(tests), 8),
            "accuracy": round(statistics.fmean(accuracies), 6) if task.objective.has_accuracy else None,
            "untrained": round(untrained, 8),
            "seeds": len(runs),
        }
        kept["tasks"][task.name] = {"version": task.version, "adamw": found}
        ordered = {known: kept["tasks"][known] for known in TASKS if known in kept["tasks"]}
        document = {"command": "python benchmarks/tasks.py adamw TASK...", "tasks": ordered}
        MEASURED.write_text(json.dumps(document, indent=1) + "\n")
        print(f"{name:<16} " + ", ".join(f"{key} {value}" for key, value in found.items()), flush=True)
    return {"measured": list(kept["tasks"])}


def untrained_loss(task: Task, seed: int) -> float:
    """Computes the validation loss of the initial parameters."""
    import jax

    from optsearch.proxy_tasks.execution.batches import prepare

    return float(jax.jit(lambda: task.loss(prepare(task, np.uint32(seed))[0], task.data.validation))())


def measure_ranks(
    recorded: RecordedRuns, families: Sequence[str], smaller: str, rungs: Sequence[str], names: Sequence[str]
) -> dict[str, Any]:
    """Measures the rank correlation of optimizers between a rung and larger ones."""
    result: dict[str, Any] = {}
    for family in families:
        losses = ladder(recorded, family, [smaller, *rungs], names)
        result[family] = {rung: [round(x, 3) for x in tau_interval(losses[smaller], losses[rung])] for rung in rungs}
    print(f"\n| {smaller} | {' | '.join(f'tau with {rung}' for rung in rungs)} |\n|---|{'---|' * len(rungs)}")
    for family, found in result.items():
        print(f"| {family} | {' | '.join('{:.2f} [{:.2f}, {:.2f}]'.format(*found[rung]) for rung in rungs)} |")
    return result


def tuned_constants(
    recorded: RecordedRuns, task: Task, name: str, program: Program, trials: int
) -> tuple[Program, list[float]]:
    """Tunes the constants of a program by an evolution of constants only, on the tuning seeds.

    Args:
        recorded: recorded runs.
        task: the task.
        name: name of the program in the cache.
        program: initial program.
        trials: number of trials; each sets all constants.

    Returns:
        The tuned program and its losses on fresh seeds.
    """
    tuning, fresh = SEEDS[task.rung]

    def loss(tried: Program, seeds: Sequence[int]) -> list[float]:
        label = f"{name}-{fingerprint(tried)}"
        return [mean_loss([recorded.program(task, label, tried, 1.0, seed)]) for seed in seeds]

    evolution = Evolution(
        program,
        name=f"{task.name} {name}",
        seed=0,
        population=PopulationConfig(size=300, tournament=12),
        look_ahead=1,
        variation=Mutator(MutationWeights().constants_only()),
        budget=Budget(evaluations=trials),
    )
    best: tuple[float, Program] | None = None
    while not evolution.finished:
        candidate = evolution.ask()
        if candidate is None or not candidate.evaluate:
            continue
        value = statistics.fmean(loss(candidate.program, TuningBudget(seeds=tuning).seeds_of(0)))
        finite = math.isfinite(value)
        evolution.tell(candidate.ticket, Fitness(value if finite else None, OK if finite else "non_finite", 0, 0.0))
        best = (value, candidate.program) if best is None or value < best[0] else best
    if best is None:
        raise ValueError("there are no trials")
    return best[1], loss(best[1], fresh_seeds(fresh))


def measure_headroom(
    recorded: RecordedRuns, families: Sequence[str], names: Sequence[str], trials: int
) -> dict[str, Any]:
    """Measures the gain of a wider family and of the best other optimizer over fully tuned AdamW."""
    result: dict[str, Any] = {}
    for family in families:
        task = get_task(family)
        losses = ladder(recorded, family, RUNGS[:1], names)[RUNGS[0]]
        others = {name: loss for name, loss in losses.items() if not name.startswith(("adamw", "nadamw"))}
        tuned_adamw, control = tuned_constants(recorded, task, "adamw-constants", LIBRARY["adamw"], trials)
        tuned_wider, wider = tuned_constants(recorded, task, "wider-constants", parse(WIDER), trials)
        noise, winner = statistics.stdev(control), min(others, key=lambda name: others[name])
        mean = statistics.fmean(control)
        found = {
            "adamw": round(mean, 5),
            "wider": round(statistics.fmean(wider), 5),
            "wider_ahead": round((mean - statistics.fmean(wider)) / noise, 2),
            "best": winner,
            "best_ahead": round((mean - others[winner]) / noise, 2),
        }
        result[family] = found
        print(f"{family}: " + ", ".join(f"{key} {value}" for key, value in found.items()))
        print(tuned_adamw, tuned_wider, sep="\n", flush=True)
    return result


def measure_sweep(recorded: RecordedRuns, families: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """Measures the effect of a learning-rate sweep in the fitness, for rates perturbed by up to half a decade."""
    result: dict[str, Any] = {}
    for family in families:
        task = get_task(family)
        ladders = ladder(recorded, family, RUNGS[:2], names)
        seeds = TuningBudget().seeds_of(0)[:1]
        losses: dict[str, list[float]] = {}
        for name in names:
            rate, _ = tuned(recorded, task, name, BASELINES[name].reference)
            losses[name] = [
                mean_loss([recorded.baseline(task, name, rate * STEP**place, seed) for seed in seeds])
                for place in range(-2, 3)
            ]
        taus: dict[str, list[float]] = {}
        rng = np.random.default_rng(0)
        for _ in range(DRAWS):
            off = {name: int(rng.integers(1, 4)) for name in names}
            alone = {name: losses[name][off[name]] for name in names}
            swept = {name: min(losses[name][off[name] - 1 : off[name] + 2]) for name in names}
            for rung in RUNGS[:2]:
                taus.setdefault(f"one rate, {rung}", []).append(kendall(alone, ladders[rung]))
                taus.setdefault(f"three rates, {rung}", []).append(kendall(swept, ladders[rung]))
        result[family] = {key: round(statistics.fmean(values), 3) for key, values in taus.items()}
        print(
            f"{family}: " + ", ".join(f"tau of {key}: {value:.2f}" for key, value in result[family].items()), flush=True
        )
    return result


def measure_sets(recorded: RecordedRuns, families: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """Computes tau between the mean normalised score over a set of proxies and that over all their x10 rungs."""
    ladders = {family: ladder(recorded, family, RUNGS[:2], names) for family in families}

    def scores(losses: Mapping[str, float]) -> dict[str, float]:
        middle, best = statistics.median(losses.values()), min(losses.values())
        return {name: min(max((loss - middle) / (middle - best), -2.0), 2.0) for name, loss in losses.items()}

    def together(chosen: Sequence[str], rung: str) -> dict[str, float]:
        parts = [scores(ladders[family][rung]) for family in chosen]
        return {name: statistics.fmean(part[name] for part in parts) for name in names}

    target = together(families, RUNGS[1])
    result: dict[str, Any] = {}
    for size in range(1, len(families) + 1):
        for chosen in combinations(families, size):
            found = [round(value, 3) for value in tau_interval(together(chosen, RUNGS[0]), target)]
            result["+".join(chosen)] = found
            print("| {} | {:.2f} [{:.2f}, {:.2f}] |".format(" + ".join(chosen), *found))
    return result


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["adamw", "ranks", "headroom", "sweep", "search-set"])
    parser.add_argument("names", nargs="*", help="tasks, or families; all proxies but targets, or those for search")
    parser.add_argument("--smaller", default=RUNGS[0], choices=RUNGS[:2], help="ranks: the rung that is to predict")
    parser.add_argument("--rungs", nargs="+", default=["x10"], choices=RUNGS[1:])
    parser.add_argument("--optimizers", nargs="+", default=list(OPTIMIZERS), choices=list(BASELINES))
    parser.add_argument("--trials", type=int, default=600, help="headroom: settings of constants for each family")
    parser.add_argument("--runs", type=Path, default=Path("tasks-runs.json"), help="where runs are kept")
    options = parser.parse_args()
    if options.smaller in options.rungs:
        parser.error(f"--rungs {options.smaller}: compare '{options.smaller}' with larger rungs, not with itself")
    use_one_cpu_thread()
    recorded = RecordedRuns(options.runs)
    searchable = [task.family for task in TASKS.values() if task.use != "held out" and task.rung == RUNGS[0]]
    proxies = [task.name for task in TASKS.values() if task.rung == RUNGS[0] and task.packaged is None]
    if options.what == "adamw":
        result = measure_adamw(recorded, options.names or proxies)
    elif options.what == "ranks":
        result = measure_ranks(recorded, options.names or proxies, options.smaller, options.rungs, options.optimizers)
    elif options.what == "headroom":
        result = measure_headroom(recorded, options.names or searchable, options.optimizers, options.trials)
    elif options.what == "sweep":
        result = measure_sweep(recorded, options.names or searchable, options.optimizers)
    else:
        result = measure_sets(recorded, options.names or searchable, options.optimizers)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
