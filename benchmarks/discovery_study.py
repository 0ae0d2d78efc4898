"""Does evolution with functions of matrices find better optimizers than tuning known ones does? Searches over seeds.

    python benchmarks/discovery_study.py --out FOLDER            10 searches, 3 of each control, 2 processes
    python benchmarks/discovery_study.py --out FOLDER --kinds evolution adamw random --seeds 20 --outcomes FILE
    python benchmarks/discovery_study.py --out FOLDER --seeds 2 --set budget.evaluations=60      a smaller version

``evolution`` is the shipped campaign `mixture`, from tuned AdamW. The controls have as many evaluations on the same
tasks: constants of AdamW (``adamw``); constants and the shape of the schedule of AdamW, of Muon and of orthogonalised
AdamW (``adamw-schedule``, ``muon-schedule``, ``orthogonal-schedule``); and independent random programs (``random``).
The outcome of a search is the loss of its best program on each task of the campaign, on fresh seeds.

The score of a search is that of a campaign with several tasks, relative to the mean loss of the searches ``adamw``; a
program that fails on a fresh seed has the highest score, 2, on that task. Differences of kinds are over searches, with
the interval and the p-value of Welch's test.

Searches are runs in FOLDER. The same command continues an interrupted study. With ``--outcomes FILE`` the outcomes,
with the programs of each search's Pareto front, are kept there too and searches in FILE are not repeated.
``--programs FOLDER2`` writes the best program of each search of evolution as a file for `optsearch select` and
`evaluate`. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
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
from optsearch.search.scoring.fitness import FurtherTask, score
from optsearch.selection.statistics.intervals import difference_interval, mean_interval

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
        return Outcome(
            best=str(store.ticket(*best_ticket(store)).scored),
            fresh={task: view.best.fresh.on(task).mean for task in view.tasks},
            fitness=view.best.fitness,
            evaluations=view.counts.evaluated,
            steps=store.progress(store.search(SEARCH)).steps,
            front=members,
        )


def report(outcomes: Mapping[tuple[str, int], Mapping[str, Any]], tasks: Sequence[FurtherTask]) -> dict[str, Any]:
    """Scores of all kinds, and the lead of evolution over each.

    Args:
        outcomes: outcome of each search, by its kind and seed; there is at least one of the kind ``REFERENCE``.
        tasks: tasks of the campaign.
    """
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for (kind, _), one in outcomes.items():
        kinds.setdefault(kind, []).append(one)

    def mean_losses(kind: str) -> dict[str, float | None]:
        found = {task.task: [one["fresh"][task.task] for one in kinds[kind]] for task in tasks}
        return {task: None if None in losses else fmean(losses) for task, losses in found.items()}

    reference = mean_losses(REFERENCE)
    if None in reference.values():
        raise SystemExit(f"a search '{REFERENCE}' has a best program that fails on a fresh seed: scores need its loss")

    def score_of(fresh: Mapping[str, float | None]) -> float:
        losses = [fresh[task.task] for task in tasks]
        return score([math.inf if loss is None else loss for loss in losses], tasks, list(reference.values()))

    scores = {kind: [score_of(one["fresh"]) for one in found] for kind, found in kinds.items()}
    rows: dict[str, dict[str, Any]] = {}
    for kind, found in kinds.items():
        rows[kind] = {
            "searches": len(found),
            "score": asdict(mean_interval(scores[kind])),
            "losses": mean_losses(kind),
            "evaluations": fmean(one["evaluations"] for one in found),
            "steps": fmean(one["steps"] for one in found),
        }
        if kind != "evolution" and len(found) > 1 and len(scores.get("evolution", ())) > 1:
            lead = difference_interval(scores["evolution"], scores[kind])
            p = stats.ttest_ind(scores["evolution"], scores[kind], equal_var=False).pvalue
            rows[kind]["evolution"] = {**asdict(lead), "p": float(p)}
    return {"reference": reference, "kinds": rows}


def lines(found: Mapping[str, Any]) -> list[str]:
    """The kinds as a Markdown table, the best first."""
    tasks = list(found["reference"])
    head = ["search", "seeds", "score", *(f"`{task}`" for task in tasks), "evolution against it", "p"]
    table = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for kind, row in sorted(found["kinds"].items(), key=lambda item: item[1]["score"]["mean"]):
        losses = ["-" if loss is None else f"{loss:.4f}" for loss in row["losses"].values()]
        lead = row.get("evolution")
        against = ["", ""] if lead is None else [with_bounds(lead), f"{lead['p']:.2g}"]
        table.append(f"| {' | '.join([kind, str(row['searches']), with_bounds(row['score']), *losses, *against])} |")
    return table


def with_bounds(interval: Mapping[str, Any]) -> str:
    """A mean and, if there is one, its interval."""
    bounds = "" if interval["low"] is None else f" [{interval['low']:+.3f}, {interval['high']:+.3f}]"
    return f"{interval['mean']:+.3f}{bounds}"


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
    if min(options.seeds, options.control_seeds) < 1:
        parser.error("--seeds and --control-seeds: give 1 or more")
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
    found = report(outcomes, config.fitness_tasks)
    if options.programs is not None:
        write_programs(options.programs, outcomes)
    print("\n".join(["", *lines(found), ""]))
    print(json.dumps({"campaign": CAMPAIGN, "settings": options.settings, **found, "machine": about_machine()}))


if __name__ == "__main__":
    main()
