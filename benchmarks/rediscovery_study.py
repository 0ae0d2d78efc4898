"""How often do searches rediscover known optimizers? Rates over many seeds, with Clopper-Pearson intervals.

    python benchmarks/rediscovery_study.py lion --out FOLDER                20 seeds in 2 processes
    python benchmarks/rediscovery_study.py muon --out FOLDER --set archive={} --set refinement={}
    python benchmarks/rediscovery_study.py momentum --out FOLDER --seeds 2 --set budget.evaluations=60   a minute or two

Targets: ``lion`` from AdamW (campaign `rediscovery`, on `ae-x10`), ``muon`` from AdamW (campaign `matrices`, on `lm`),
``momentum`` and ``rmsprop`` from SGD with one unused state array, on `ae`. A search has arrived if its best program has
the behaviour of the target as `rediscovery.py` defines it. The second rate counts searches of whose Pareto front (loss,
state arrays, statements; the best programs of each size, at least as good as the warm start) some program has it.

``--set`` changes settings of the campaign, such as those that switch extensions of the search on. Runs are in
FOLDER/TARGET-SETTINGS/seedN, so that several settings share a folder. The same command continues an interrupted study,
and more ``--seeds`` extend it. With ``--outcomes FILE`` the outcomes are kept there too and searches in FILE are not
repeated, so that a study goes on without its runs. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from outcomes import Outcomes
from processes import processes
from rediscovery import look
from scipy.stats import binomtest

from optsearch.runs.commands.search import Campaign, load_named
from optsearch.runs.store.environment import about_machine
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.finalists import best_ticket
from optsearch.runs.summary.front import front
from optsearch.runs.summary.searches import SEARCH, evaluations_of

SGD = "def train(w, g, lr):\n  lr = lr * 0.1\n  update = g * lr\n  return update\n"
"""SGD with a learning rate that the first stage tunes."""

FROM_SGD = (
    "task=ae",
    f"warm_start={json.dumps(SGD)}",
    "first_stage={searches: 1, algorithm: constants, budget: {evaluations: 200}}",
    "budget={evaluations: 1500}",
    "population={size: 100, tournament: 10}",
)
"""Settings of the campaign `rediscovery` that searches from SGD change."""


@dataclass(frozen=True, slots=True)
class Target:
    """An optimizer to rediscover.

    Attributes:
        kind: its behaviour, a key of ``rediscovery.KINDS``.
        campaign: shipped campaign.
        settings: changes of its settings.
    """

    kind: str
    campaign: str
    settings: tuple[str, ...] = ()


TARGETS: Mapping[str, Target] = {
    "lion": Target("sign", "rediscovery"),
    "muon": Target("orthogonal", "matrices"),
    "momentum": Target("momentum", "rediscovery", (*FROM_SGD, "extra_state=[m]")),
    "rmsprop": Target("normalised", "rediscovery", (*FROM_SGD, "extra_state=[v]")),
}
"""Each target with its campaign."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one search.

    Attributes:
        seed: its seed.
        best: True if the best program has the behaviour.
        front: number of programs of the front that have it.
        size: number of programs of the front.
        fitness: fitness of the best program.
        evaluations: number of evaluations of the main search.
        program: the best program as it was scored.
    """

    seed: int
    best: bool
    front: int
    size: int
    fitness: float | None
    evaluations: int
    program: str


def folder_of(out: Path, target: str, settings: Sequence[str]) -> Path:
    """Folder of the runs of a target with some settings."""
    digest = hashlib.sha256("\n".join(sorted(settings)).encode()).hexdigest()[:8] if settings else "published"
    return out / f"{target}-{digest}"


def run_search(folder: Path, target: str, settings: Sequence[str], seed: int) -> Outcome:
    """Runs or continues one search in this process, and examines its programs."""
    aim = TARGETS[target]
    config, text = load_named(aim.campaign, [*aim.settings, "controls=[]", *settings, f"seed={seed}"])
    Campaign(config, text, folder).run(workers=0, quiet=True)
    with RunStore.read(folder) as store:
        search, ticket = best_ticket(store)
        best = store.ticket(search, ticket)
        found = look(search.program_id(ticket), best.fitness.value or 0.0, best.scored, aim.kind)
        members = front(store)
        seen = [look(row.id, row.fitness, store.ticket(*store.find(row.id)).scored, aim.kind).found for row in members]
        evaluations = evaluations_of(store, store.search(SEARCH))
        program = str(best.scored)
        return Outcome(seed, found.found, sum(seen), len(seen), best.fitness.value, evaluations, program)


def rate(arrived: int, of: int) -> dict[str, float | int]:
    """A rate with its exact 95 % interval (Clopper & Pearson 1934)."""
    interval = binomtest(arrived, of).proportion_ci(0.95, method="exact")
    return {
        "arrived": arrived,
        "of": of,
        "rate": arrived / of,
        "low": float(interval.low),
        "high": float(interval.high),
    }


def report(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The rates of all searches."""
    return {
        "best": rate(sum(outcome.best for outcome in outcomes), len(outcomes)),
        "front": rate(sum(outcome.front > 0 for outcome in outcomes), len(outcomes)),
    }


def row_of(outcome: Outcome) -> str:
    """A row of the table."""
    value = "-" if outcome.fitness is None else f"{outcome.fitness:.5f}"
    found = f"{'arrived' if outcome.best else '-'} | {outcome.front} of {outcome.size}"
    return f"| {outcome.seed} | {found} | {value} | {outcome.evaluations:,} |"


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=list(TARGETS), help="optimizer to rediscover")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs; continued if it exists")
    parser.add_argument("--seeds", type=int, default=20, help="number of searches")
    parser.add_argument("--first-seed", type=int, default=0, help="lowest seed")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="one setting")
    parser.add_argument("--jobs", type=int, default=2, help="searches at once, each in a process of one core")
    parser.add_argument("--outcomes", type=Path, metavar="FILE", help="file that keeps the outcomes of all searches")
    options = parser.parse_args()
    try:
        kept = Outcomes.open(options.outcomes, {"target": options.target, "settings": options.settings})
    except ValueError as error:
        parser.error(f"--outcomes: {error}")
    folder = folder_of(options.out, options.target, options.settings)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.txt").write_text("\n".join(options.settings) + "\n", encoding="utf-8")
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    print("| seed | best program | front | fitness | evaluations |\n|---|---|---|---|---|")
    for seed in seeds:
        if f"seed{seed}" in kept.found:
            print(row_of(Outcome(**kept.found[f"seed{seed}"])))
    with processes(options.jobs) as pool:
        waiting = [
            pool.submit(run_search, folder / f"seed{seed}", options.target, options.settings, seed)
            for seed in seeds
            if f"seed{seed}" not in kept.found
        ]
        for done in as_completed(waiting):
            one = done.result()
            kept.add(f"seed{one.seed}", asdict(one))
            print(row_of(one), flush=True)
    outcomes = [Outcome(**kept.found[f"seed{seed}"]) for seed in seeds]
    found = report(outcomes)
    for name, title in (("best", "the best program"), ("front", "a program of the front")):
        row = found[name]
        interval = f"{row['rate']:.0%} [{row['low']:.0%}, {row['high']:.0%}]"
        print(f"{options.target}: {title} in {row['arrived']} of {row['of']} searches, {interval}")
    about = {"target": options.target, "settings": options.settings, "machine": dict(about_machine())}
    print(json.dumps({**about, **found, "searches": [asdict(outcome) for outcome in outcomes]}))


if __name__ == "__main__":
    main()
