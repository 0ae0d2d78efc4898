"""Does evolution with functions of matrices find better optimizers than tuning known ones does? Searches over seeds.

    python benchmarks/discovery_study.py --out FOLDER            10 searches, 3 of each control, 2 processes
    python benchmarks/discovery_study.py --out FOLDER --kinds evolution adamw random --seeds 20 --outcomes FILE
    python benchmarks/discovery_study.py --out FOLDER --seeds 2 --set budget.evaluations=60      a smaller version

``evolution`` is the shipped campaign `mixture`, from tuned AdamW. The controls have as many evaluations on the same
tasks: constants of AdamW (``adamw``); constants and the shape of the schedule of AdamW, of Muon and of orthogonalised
AdamW (``adamw-schedule``, ``muon-schedule``, ``orthogonal-schedule``); and independent random programs (``random``).
The outcome of a search is the loss of its best program on each task of the campaign, on fresh seeds.

The score of a search is the mean over tasks of its loss minus the mean loss of the searches ``adamw``, divided by the
task's scale in the campaign and limited to 2 either way; a program that fails on a fresh seed has 2 there. Differences
of kinds are over searches, with the interval and the p-value of Welch's test.

Searches are runs in FOLDER. The same command continues an interrupted study. With ``--outcomes FILE`` the outcomes,
with the programs of each search's Pareto front, are kept there too and searches in FILE are not repeated.
``--programs FOLDER2`` writes the best program of each search of evolution as a file for `optsearch select` and
`evaluate`. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from outcomes import Outcomes
from processes import processes
from scipy import stats

from optsearch.runs.commands.search import Campaign, load_named
from optsearch.runs.store.environment import about_machine
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.finalists import best_ticket
from optsearch.runs.summary.front import front
from optsearch.runs.summary.run import summary
from optsearch.runs.summary.searches import SEARCH
from optsearch.search.config import CampaignConfig

CAMPAIGN = "mixture"
"""The campaign of all searches."""

REFERENCE = "adamw"
"""The kind whose losses have the score 0."""

KINDS: Mapping[str, tuple[str, ...]] = {
    "evolution": (),
    REFERENCE: ("algorithm=constants",),
    "adamw-schedule": ("algorithm=schedule",),
    "muon-schedule": ("algorithm=schedule", "warm_start=muon"),
    "orthogonal-schedule": ("algorithm=schedule", "warm_start=orthogonal-adamw"),
    "random": ("algorithm=random",),
}
"""Each kind of search with what it changes in the campaign."""

LIMIT = 2.0
"""Largest and smallest score on a task, as in a campaign with several tasks."""


@dataclass(frozen=True, slots=True)
class Found:
    """A program of a search.

    Attributes:
        program: its text, with the learning rate at which it was scored.
        fitness: its fitness.
        state: number of its state arrays as large as the parameters.
        statements: number of its live statements.
    """

    program: str
    fitness: float
    state: int
    statements: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one search.

    Attributes:
        best: its best program by finalists' seeds, with the learning rate at which it was scored.
        fresh: mean loss of that program on fresh seeds, by task; None where a run failed.
        fitness: its fitness.
        evaluations: evaluations of the main search.
        steps: training steps of the main search.
        front: programs of the Pareto front, the best first.
    """

    best: str
    fresh: Mapping[str, float | None]
    fitness: float | None
    evaluations: int
    steps: int
    front: tuple[Found, ...]


def run_search(folder: Path, settings: Sequence[str]) -> Outcome:
    """Runs or continues one search in this process."""
    config, text = load_named(CAMPAIGN, [*settings, "controls=[]"])
    Campaign(config, text, folder).run(workers=0, quiet=True)
    with RunStore.read(folder) as store:
        view = summary(store)
        if view.best is None or view.best.fresh is None:
            raise RuntimeError(f"{folder}: the search has no best program on fresh seeds")
        members = tuple(
            Found(str(store.ticket(*store.find(row.id)).scored), row.fitness, row.size.state, row.size.statements)
            for row in front(store)
        )
        found = store.search(SEARCH)
        return Outcome(
            best=str(store.ticket(*best_ticket(store)).scored),
            fresh={task: view.best.fresh.on(task).mean for task in view.tasks},
            fitness=view.best.fitness,
            evaluations=view.counts.evaluated,
            steps=sum(result.fitness.steps for result in store.evaluations(found)),
            front=members,
        )


def score(fresh: Mapping[str, float | None], reference: Mapping[str, float], scales: Mapping[str, float]) -> float:
    """Mean over tasks of the loss minus the reference's, in units of the task's scale, each within ``LIMIT``."""
    return fmean(
        LIMIT if loss is None else min(max((loss - reference[task]) / scales[task], -LIMIT), LIMIT)
        for task, loss in fresh.items()
    )


def scales_of(config: CampaignConfig) -> dict[str, float]:
    """The scale of each task of the campaign."""
    scales = {config.task: config.task_scale, **{each.task: each.scale for each in config.further_tasks}}
    return {task: scale for task, scale in scales.items() if scale is not None}


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of a mean (Student's t); None for a single value."""
    if len(values) < 2:
        return None
    low, high = stats.t.interval(0.95, len(values) - 1, fmean(values), float(stats.sem(values)))
    return float(low), float(high)


def report(outcomes: Mapping[tuple[str, int], Mapping[str, Any]], scales: Mapping[str, float]) -> dict[str, Any]:
    """Scores of all kinds, and the lead of evolution over each.

    Args:
        outcomes: outcome of each search, by its kind and seed; there is at least one of the kind ``REFERENCE``.
        scales: scale of each task.
    """
    base = [one["fresh"] for (kind, _), one in outcomes.items() if kind == REFERENCE]
    reference = {task: fmean(fresh[task] for fresh in base) for task in scales}
    scores: dict[str, list[float]] = {}
    for (kind, _), one in outcomes.items():
        scores.setdefault(kind, []).append(score(one["fresh"], reference, scales))
    kinds: dict[str, dict[str, Any]] = {}
    for kind, values in scores.items():
        mine = [one for (name, _), one in outcomes.items() if name == kind]
        losses = {task: [one["fresh"][task] for one in mine if one["fresh"][task] is not None] for task in scales}
        kinds[kind] = {
            "searches": len(values),
            "score": fmean(values),
            "interval": interval(values),
            "losses": {task: fmean(each) if each else None for task, each in losses.items()},
            "evaluations": fmean(one["evaluations"] for one in mine),
            "steps": fmean(one["steps"] for one in mine),
        }
        if kind != "evolution" and len(values) > 1 and len(scores.get("evolution", ())) > 1:
            test = stats.ttest_ind(scores["evolution"], values, equal_var=False)
            bounds = test.confidence_interval()
            kinds[kind]["evolution"] = {
                "difference": fmean(scores["evolution"]) - fmean(values),
                "low": float(bounds.low),
                "high": float(bounds.high),
                "p": float(test.pvalue),
            }
    return {"reference": reference, "kinds": kinds}


def rows(found: Mapping[str, Any]) -> list[str]:
    """The kinds as a Markdown table."""
    tasks = list(found["reference"])
    lines = [
        f"| search | seeds | score | {' | '.join(f'`{task}`' for task in tasks)} | evolution against it | p |",
        "|---" * (5 + len(tasks)) + "|",
    ]
    for kind, row in sorted(found["kinds"].items(), key=lambda item: item[1]["score"]):
        between = "" if row["interval"] is None else " [{:+.3f}, {:+.3f}]".format(*row["interval"])
        losses = " | ".join("-" if loss is None else f"{loss:.4f}" for loss in row["losses"].values())
        lead = row.get("evolution")
        against = "|" if lead is None else f"{lead['difference']:+.3f} [{lead['low']:+.3f}, {lead['high']:+.3f}] |"
        p = "" if lead is None else f" {lead['p']:.2g}"
        lines.append(f"| {kind} | {row['searches']} | {row['score']:+.3f}{between} | {losses} | {against}{p} |")
    return lines


def write_programs(folder: Path, outcomes: Mapping[tuple[str, int], Mapping[str, Any]]) -> None:
    """Writes the best program of each search of evolution."""
    folder.mkdir(parents=True, exist_ok=True)
    for (kind, seed), one in outcomes.items():
        if kind == "evolution":
            (folder / f"{CAMPAIGN}-seed{seed}.txt").write_text(one["best"], encoding="utf-8")


def main() -> None:
    """Runs the searches and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs; continued if it exists")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS), help="kinds of searches")
    parser.add_argument("--seeds", type=int, default=10, help="searches of evolution")
    parser.add_argument("--control-seeds", type=int, default=3, help="searches of each control")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="one setting")
    parser.add_argument("--jobs", type=int, default=2, help="searches at once, each in a process of one core")
    parser.add_argument("--outcomes", type=Path, metavar="FILE", help="file that keeps the outcomes of all searches")
    parser.add_argument("--programs", type=Path, metavar="FOLDER", help="write the best programs of evolution here")
    options = parser.parse_args()
    if REFERENCE not in options.kinds:
        parser.error(f"--kinds: name {REFERENCE}, whose losses the score is relative to")
    try:
        kept = Outcomes.open(options.outcomes, {"campaign": CAMPAIGN, "settings": options.settings})
    except ValueError as error:
        parser.error(f"--outcomes: {error}")
    counts = {kind: options.seeds if kind == "evolution" else options.control_seeds for kind in options.kinds}
    searches = {f"{kind}-seed{seed}": (kind, seed) for kind, count in counts.items() for seed in range(count)}
    with processes(options.jobs) as pool:
        waiting = {
            pool.submit(run_search, options.out / name, [*KINDS[kind], *options.settings, f"seed={seed}"]): name
            for name, (kind, seed) in searches.items()
            if name not in kept.found
        }
        for done in as_completed(waiting):
            name, outcome = waiting[done], done.result()
            kept.add(name, asdict(outcome))
            losses = ", ".join(f"{task} {loss:.4f}" if loss else f"{task} -" for task, loss in outcome.fresh.items())
            print(f"{name}: {losses}", flush=True)
    outcomes = {which: kept.found[name] for name, which in searches.items()}
    config, _ = load_named(CAMPAIGN, options.settings)
    found = report(outcomes, scales_of(config))
    if options.programs is not None:
        write_programs(options.programs, outcomes)
    print("\n".join(["", *rows(found), ""]))
    print(json.dumps({"campaign": CAMPAIGN, "settings": options.settings, **found, "machine": about_machine()}))


if __name__ == "__main__":
    main()
