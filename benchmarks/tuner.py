"""How close tuning comes to the best settings, for several samplers and budgets.

    python benchmarks/tuner.py                             curves over the budget; every training run is kept
    python benchmarks/tuner.py --samplers product sobol    only these samplers
    python benchmarks/tuner.py --tasks ae digits --contenders adamw lion --replicates 2 --trials 24   a small version

The regret of a tuning is the loss of the point that it selects, minus the loss of the best point known, relative to the
latter. The best point known is the best of a random search of 512 trials and of all tunings here. Losses are validation
losses on eight seeds that neither the random search nor any tuning has used. A training run that fails counts as the
loss of the random search's median. Each tuning is repeated with other points and other tuning seeds.

Samplers: ``product`` is `tune` of `optsearch.selection.tuning.tuner`; ``random`` and ``sobol`` spend all trials in one
round over the whole space; ``tpe`` is optuna's TPE and ``cmaes`` is CMA-ES from the package of that name, both in
rounds of six (``pip install optuna cmaes``); ``handover`` is CMA-ES from the best of a third of the trials, which cover
the whole space. All use the same halving over the same tuning seeds.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import warnings
from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from contenders import contender_of

from optsearch.proxy_tasks.outcome import Outcome
from optsearch.proxy_tasks.run import Trained
from optsearch.runs.report.chart import Chart, axis, series, tips
from optsearch.runs.report.render import write_figures
from optsearch.runs.store.training_cache import training
from optsearch.selection.contender import Contender, TrainingJob, run_job
from optsearch.selection.problem import Problem, problems
from optsearch.selection.space import Values
from optsearch.selection.tuning.schedule import drive
from optsearch.selection.tuning.tuner import (
    POINTS,
    Trial,
    TuningBudget,
    fresh_seeds,
    halving,
    point,
    spread,
    tune,
)

TASKS = ("ae", "teach", "lmmlp", "digits", "diffusion", "finetune")
CONTENDERS = ("adamw", "nadamw", "lion", "free-schedule", "root-scale", "bounded-root")
TRIALS = (12, 24, 48, 96)
RANDOM = 512
SEEDS = 8
BLOCK = 9_000
"""Block of fresh seeds that no comparison uses."""

Tuning = Generator[list[TrainingJob], list[Trained], list[Trial]]
Sampler = Callable[[Contender, Problem, TuningBudget, int], Tuning]


def product(contender: Contender, problem: Problem, budget: TuningBudget, replicate: int) -> Tuning:
    """The tuner of `evaluate`."""
    (tuned,) = yield from tune(contender, [problem], budget, replicate)
    return list(tuned.trials)


def halved(
    contender: Contender, problem: Problem, budget: TuningBudget, replicate: int, points: Sequence[Values]
) -> Tuning:
    """Successive halving of points on the tuning seeds of a replicate."""
    tried = yield from halving(contender, [problem], budget.seeds_of(replicate), points)
    return [trial for (trial,) in tried]


def one_round(
    draw: Callable[[int, int, int], list[list[float]]],
    contender: Contender,
    problem: Problem,
    budget: TuningBudget,
    replicate: int,
) -> Tuning:
    """All trials in one round: the contender's own settings, and points drawn from the whole space."""
    space = contender.space(constants=budget.constants)
    own: Values = tuple((row.name, row.reference) for row in space)
    points = [own, *(point(space, place) for place in draw(len(space), budget.trials - 1, replicate))]
    return (yield from halved(contender, problem, budget, replicate, points))


def random_places(dimensions: int, count: int, replicate: int) -> list[list[float]]:
    """Independent uniform points."""
    return np.random.default_rng([77, replicate, dimensions]).random((count, dimensions)).tolist()


def sobol_places(dimensions: int, count: int, replicate: int) -> list[list[float]]:
    """A scrambled Sobol sequence."""
    return spread(dimensions, count, replicate, 0)


def tpe(contender: Contender, problem: Problem, budget: TuningBudget, replicate: int) -> Tuning:
    """Optuna's tree-structured Parzen estimator, in rounds of `POINTS`, from the contender's own settings."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    space = contender.space(constants=budget.constants)
    sampler = optuna.samplers.TPESampler(seed=replicate, n_startup_trials=budget.trials // 2, constant_liar=True)
    study = optuna.create_study(sampler=sampler)
    study.enqueue_trial({row.name: row.share(row.reference) for row in space})
    found: list[Trial] = []
    while len(found) < budget.trials:
        asked = [study.ask() for _ in range(min(POINTS, budget.trials - len(found)))]
        places = [[trial.suggest_float(row.name, 0.0, 1.0) for row in space] for trial in asked]
        tried = yield from halved(contender, problem, budget, replicate, [point(space, place) for place in places])
        worst = max((t.mean for t in (*found, *tried) if t.mean < math.inf), default=0.0)
        for trial, result in zip(asked, tried, strict=True):
            study.tell(trial, min(result.mean, worst + abs(worst)))
        found += tried
    return found


def cmaes(contender: Contender, problem: Problem, budget: TuningBudget, replicate: int) -> Tuning:
    """CMA-ES in generations of `POINTS`, from the contender's own settings."""
    own: Values = tuple((row.name, row.reference) for row in contender.space(constants=budget.constants))
    return (yield from evolved(contender, problem, budget, replicate, [], own, 0.3))


def evolved(
    contender: Contender,
    problem: Problem,
    budget: TuningBudget,
    replicate: int,
    found: Sequence[Trial],
    start: Values,
    sigma: float,
) -> Tuning:
    """Spends the trials that are left by CMA-ES from a point; returns those found before and its own."""
    from cmaes import CMA

    space, found = contender.space(constants=budget.constants), list(found)
    mean = np.array([row.share(value) for row, (_, value) in zip(space, start, strict=True)]).clip(0.0, 1.0)
    bounds = np.array([[0.0, 1.0]] * len(space))
    search = CMA(mean=mean, sigma=sigma, bounds=bounds, seed=replicate + 1, population_size=POINTS)
    while len(found) < budget.trials:
        places = [search.ask() for _ in range(POINTS)]
        count = min(POINTS, budget.trials - len(found))
        points = [point(space, place.tolist()) for place in places[:count]]
        tried = yield from halved(contender, problem, budget, replicate, points)
        found += tried
        if count == POINTS:
            worst = max((t.mean for t in found if t.mean < math.inf), default=0.0)
            search.tell([(p, min(t.mean, worst + abs(worst))) for p, t in zip(places, tried, strict=True)])
    return found


def handover(contender: Contender, problem: Problem, budget: TuningBudget, replicate: int) -> Tuning:
    """A third of the trials over the whole space as in ``product``, then CMA-ES from the best of them."""
    space = contender.space(constants=budget.constants)
    own: Values = tuple((row.name, row.reference) for row in space)
    points = [own, *(point(space, place) for place in spread(len(space), budget.trials // 3 - 1, replicate, 0))]
    found = yield from halved(contender, problem, budget, replicate, points)
    best = min((t for t in found if len(t.losses) == budget.seeds), key=lambda trial: trial.mean)
    return (yield from evolved(contender, problem, budget, replicate, found, best.values, 0.2))


SAMPLERS: dict[str, Sampler] = {
    "product": product,
    "random": partial(one_round, random_places),
    "sobol": partial(one_round, sobol_places),
    "tpe": tpe,
    "cmaes": cmaes,
    "handover": handover,
}


def measured(
    sampler: Sampler, contender: Contender, problem: Problem, budget: TuningBudget, replicate: int
) -> Generator[list[TrainingJob], list[Trained], tuple[Values, list[float]]]:
    """Tunes, then trains the selected point on seeds that no tuning has used.

    Returns:
        The selected point and its losses, infinite where training failed.
    """
    trials = yield from sampler(contender, problem, budget, replicate)
    best = min((t for t in trials if len(t.losses) == budget.seeds), key=lambda trial: trial.mean)
    jobs = [TrainingJob(contender, problem, best.values, seed) for seed in fresh_seeds(SEEDS, BLOCK)]
    results = yield jobs
    return best.values, [
        math.inf if r.result.outcome is not Outcome.OK or r.result.loss is None else r.result.loss for r in results
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samplers", nargs="+", default=list(SAMPLERS), choices=list(SAMPLERS))
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS))
    parser.add_argument("--trials", nargs="+", type=int, default=list(TRIALS))
    parser.add_argument("--random", type=int, default=RANDOM, help="trials of the random search")
    parser.add_argument("--replicates", type=int, default=4)
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--kept-in", type=Path, default=Path("optsearch-runs"))
    parser.add_argument("--figures", type=Path, help="folder for the picture, as SVG, PDF and CSV")
    asked = parser.parse_args()
    contenders, found = [contender_of(name) for name in asked.contenders], problems(asked.tasks)
    plan: list[tuple[str, int, int, Contender, Problem]] = []
    for problem in found:
        for contender in contenders:
            plan.append(("reference", asked.random, 1000, contender, problem))
            plan += [
                (sampler, trials, replicate, contender, problem)
                for sampler in asked.samplers
                for trials in asked.trials
                for replicate in range(asked.replicates)
            ]
    done = 0

    def ended(job: TrainingJob, trained: Trained) -> None:
        nonlocal done
        done += 1
        if done % 500 == 0:
            print(f"{done:,} training runs", file=sys.stderr, flush=True)

    entries = [
        measured(SAMPLERS["random" if name == "reference" else name], contender, problem, TuningBudget(trials), number)
        for name, trials, number, contender, problem in plan
    ]
    with training(run_job, asked.kept_in, asked.workers) as (pool, _):
        results = drive(entries, pool, ended)
    measurement = report(plan, results)
    if asked.figures:
        write_figures([chart(measurement["rows"])], asked.figures)
    print(json.dumps(measurement))


def report(
    plan: Sequence[tuple[str, int, int, Contender, Problem]],
    results: Sequence[tuple[Values, list[float]]],
) -> dict[str, Any]:
    """Prints the regret of every sampler and budget, and returns it."""
    means: dict[tuple[str, str], list[tuple[str, int, float]]] = {}
    for (name, trials, _, contender, problem), (_, losses) in zip(plan, results, strict=True):
        means.setdefault((problem.name, contender.name), []).append((name, trials, statistics.fmean(losses)))
    regret: dict[tuple[str, int], dict[tuple[str, str], list[float]]] = {}
    for pair, rows in means.items():
        finite = [loss for *_, loss in rows if loss < math.inf]
        best, worst = min(finite), max(finite)
        for name, trials, loss in rows:
            value = (min(loss, worst) - best) / abs(best)
            regret.setdefault((name, trials), {}).setdefault(pair, []).append(value)
    print(f"mean regret over {len(means)} pairs of contender and task (standard error over pairs; worst decile)")
    rows_out: list[dict[str, Any]] = []
    for name in dict.fromkeys(name for name, _ in regret):
        cells: list[str] = []
        for trials in sorted({trials for other, trials in regret if other == name}):
            pairs = [statistics.fmean(values) for values in regret[name, trials].values()]
            single = sorted(value for values in regret[name, trials].values() for value in values)
            error = statistics.stdev(pairs) / math.sqrt(len(pairs)) if len(pairs) > 1 else 0.0
            between = [statistics.stdev(v) for v in regret[name, trials].values() if len(v) > 1]
            row = {
                "sampler": name,
                "trials": trials,
                "regret": statistics.fmean(pairs),
                "error": error,
                "median": statistics.median(single),
                "decile": single[int(0.9 * len(single))],
                "between_tunings": statistics.fmean(between) if between else None,
            }
            rows_out.append(row)
            cells.append(f"{trials}: {row['regret']:.2%} +- {error:.2%} (worst decile {row['decile']:.2%})")
        print(f"{name:10s} {'  '.join(cells)}")
    tasks = {
        f"{name} {trials}": {
            task: statistics.fmean(statistics.fmean(v) for (t, _), v in pairs.items() if t == task)
            for task in dict.fromkeys(t for t, _ in pairs)
        }
        for (name, trials), pairs in regret.items()
    }
    return {"rows": rows_out, "by_task": tasks}


LABELS = {
    "product": "optsearch",
    "random": "random search",
    "sobol": "Sobol sequence",
    "tpe": "TPE",
    "cmaes": "CMA-ES",
    "handover": "Sobol, then CMA-ES",
    "reference": "random search",
}


def chart(measured_rows: Sequence[dict[str, Any]]) -> Chart:
    """Creates a chart of the mean regret over the budget, with standard errors over pairs of contender and task."""
    rows = [
        {"series": LABELS[row["sampler"]], "trials": row["trials"], "regret": row["regret"]}
        | {"low": row["regret"] - row["error"], "high": row["regret"] + row["error"]}
        for row in measured_rows
    ]
    title = "mean regret of the selected settings"
    x = axis(
        "trials", "trials of a tuning", scale={"type": "log"}, axis={"values": sorted({r["trials"] for r in rows})}
    )
    color = series(domain=list(dict.fromkeys(row["series"] for row in rows)))
    tooltip = tips(("series", "sampler", None), ("trials", "trials", "d"), ("regret", "regret", ".1%"))
    percent = {"format": ".0%"}
    bars = {"x": x, "y": axis("low", title, axis=percent), "y2": {"field": "high"}, "color": color}
    line = {"x": x, "y": axis("regret", title, axis=percent), "color": color, "tooltip": tooltip}
    layers = [
        {"mark": {"type": "rule", "opacity": 0.5}, "encoding": bars},
        {"mark": {"type": "line", "point": True}, "encoding": line},
    ]
    note = "Loss on fresh seeds relative to the best point known; bars are standard errors over contenders and tasks."
    return Chart("tuner", "Regret over the tuning budget", note, {"layer": layers, "height": 320}, rows)


if __name__ == "__main__":
    main()
