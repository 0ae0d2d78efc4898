"""Which extensions of the search find more for the same training? A fractional factorial experiment.

    python benchmarks/search_study.py --out FOLDER                       8 arms x 10 seeds on ae, 2 processes
    python benchmarks/search_study.py --out FOLDER --task lmmlp --seeds 20
    python benchmarks/search_study.py --out FOLDER --steps 30000 --seeds 2 --population 40        a minute or two
    python benchmarks/search_study.py --out FOLDER --factors archive refinement parsimony rotate
    python benchmarks/search_study.py --out FOLDER --arms hurdle+rotate race        beside the published search
    python benchmarks/search_study.py --out FOLDER --task lm --set functions=[add,...,orthogonalize]
    python benchmarks/search_study.py --out FOLDER --outcomes FILE --seeds 20      ten seeds more than FILE has

The factors are ``archive``, ``adaptation``, ``cross`` and ``race``, or others of ``CANDIDATES`` that `--factors` names.
An arm sets each of them on or off; the half fraction, with the last factor as the product of the others, has eight arms
for four factors, in which each factor is on in half of them and independent of the others. With four factors, a main
effect is aliased with the interaction of the other three alone, and two-factor interactions are aliased with each other
in pairs. ``--arms`` compares arms of any factors with the published search instead.

All searches start from AdamW with constants that one search (`algorithm: constants`) has tuned for all arms, and end
after equal numbers of training steps. The outcome of a search is the mean loss of its best program on fresh seeds. The
effect of a factor is the mean over the arms with it minus the mean over those without, computed for each seed; the
interval is that of Student's t over seeds. The second outcome is the number of training steps until the best fitness is
below the level that the published search (all factors off) reaches in half of its seeds; searches that never reach it
count as the whole budget, which understates differences.

Searches are runs in FOLDER. The same command continues an interrupted experiment. With ``--outcomes FILE`` the outcomes
are kept there too and searches in FILE are not repeated, so that an experiment goes on without its runs; the outcomes
behind the tables of the documentation are in `benchmarks/measured/`. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from outcomes import Outcomes
from processes import processes
from scipy import stats

from optsearch.runs.commands.search import Campaign, load_named
from optsearch.runs.store.environment import about_machine
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.run import summary
from optsearch.runs.summary.searches import SEARCH
from optsearch.search.evolution import WARM_START
from optsearch.search.settings.config_errors import ConfigError

CANDIDATES: Mapping[str, str] = {
    "archive": "archive={}",
    "age": "archive={objectives: [loss, age], newcomers: 0.1}",
    "adaptation": "adaptation={}",
    "cross": "mutation.cross=1",
    "race": "race={}",
    "rotate": "race={rotate: true}",
    "median": "race={rotate: true, share: 0.5}",
    "refinement": "refinement={}",
    "parsimony": "parsimony={}",
    "elite": "archive={objectives: [loss]}",
    "small": "population={size: 40, tournament: 10}",
    "greedy": "population={size: 100, tournament: 30}",
    "hurdle": "hurdle={factor: 1.1, at: [0.2]}",
}
"""Each possible factor with the setting that switches it on."""

FACTORS = ("archive", "adaptation", "cross", "race")
"""The factors of a study that names no others."""

PLAIN = ["first_stage=null", "controls=[]", "hurdle={factor: 1.5, at: [0.2]}", "race=null"]
"""Settings of all searches: no extension that the campaign `study` has by default. An arm's own follow them."""

SHARED = ("task", "steps", "population", "tournament", "tuning")
"""Arguments that all outcomes of a file share."""

WARM_STARTED = "adamw"
"""Name of the search that tunes the warm start."""

Arm = frozenset[str]
"""The factors that are on."""

PUBLISHED: Arm = frozenset()
"""The published search."""


def design(factors: Sequence[str] = FACTORS) -> list[Arm]:
    """The arms of the half fraction: the last factor is on if an odd number of the others is."""
    *free, last = factors
    arms: list[Arm] = []
    for levels in itertools.product((False, True), repeat=len(free)):
        on = {name for name, level in zip(free, levels, strict=True) if level}
        arms.append(frozenset(on | {last} if len(on) % 2 else on))
    return arms


@dataclass(frozen=True, slots=True)
class Contrast:
    """What an effect compares.

    Attributes:
        on: arms whose mean counts.
        off: arms whose mean is subtracted.
    """

    on: frozenset[Arm]
    off: frozenset[Arm]


def main_effects(factors: Sequence[str]) -> dict[str, Contrast]:
    """For each factor of a design, the arms with it against those without."""
    arms = frozenset(design(factors))
    with_it = {factor: frozenset(arm for arm in arms if factor in arm) for factor in factors}
    return {factor: Contrast(on, arms - on) for factor, on in with_it.items()}


def against_published(arms: Sequence[Arm]) -> dict[str, Contrast]:
    """For each arm, this arm against the published search."""
    return {label(arm): Contrast(frozenset({arm}), frozenset({PUBLISHED})) for arm in arms}


def label(arm: Arm) -> str:
    """Name of an arm, such as ``archive+race``."""
    return "+".join(name for name in CANDIDATES if name in arm) or "published"


def arm_of(text: str) -> Arm:
    """The arm of a text such as ``hurdle+rotate``.

    Raises:
        argparse.ArgumentTypeError: a factor is unknown, or two set the same key.
    """
    names = text.split("+")
    unknown = [name for name in names if name not in CANDIDATES]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown factor '{unknown[0]}'; there are {', '.join(CANDIDATES)}")
    excluded = excluding(names)
    if excluded:
        raise argparse.ArgumentTypeError(f"in {text}, {excluded}")
    return frozenset(names)


def excluding(names: Sequence[str]) -> str:
    """Why factors exclude each other; empty if they do not."""
    keys = [CANDIDATES[name].partition("=")[0] for name in names]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    return "" if twice is None else f"several factors set {twice}: name one of them"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one search.

    Attributes:
        fresh: mean loss of its best program on fresh seeds.
        steps: training steps of the search.
        program: its best program, pruned.
        course: pairs (training steps so far, best fitness so far), at each improvement.
    """

    fresh: float
    steps: int
    program: str
    course: tuple[tuple[int, float], ...]

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Outcome:
        """An outcome from its JSON form."""
        return cls(
            kept["fresh"], kept["steps"], kept["program"], tuple((steps, best) for steps, best in kept["course"])
        )


def run_search(folder: Path, overrides: list[str]) -> Outcome:
    """Runs or continues one search in this process."""
    config, text = load_named("study", overrides)
    Campaign(config, text, folder).run(workers=0, quiet=True)
    with RunStore.read(folder) as store:
        view, search = summary(store), store.search(SEARCH)
        if view.best is None or view.best.fresh is None or view.best.fresh.mean is None:
            raise RuntimeError(f"{folder}: the search has no best program on fresh seeds")
        spent, best = 0, math.inf
        course: list[tuple[int, float]] = []
        for result in store.evaluations(search):
            spent += result.fitness.steps if result.ticket != WARM_START else 0
            if result.fitness.value is not None and result.fitness.value < best:
                best = result.fitness.value
                course.append((spent, best))
        return Outcome(view.best.fresh.mean, spent, str(view.best.forms.pruned), tuple(course))


def tuned_warm_start(folder: Path, task: str, evaluations: int) -> str:
    """Text of AdamW with constants tuned by evolution, from which all searches start."""
    run_search(folder, [*PLAIN, f"task={task}", "algorithm=constants", f"budget={{evaluations: {evaluations}}}"])
    with RunStore.read(folder) as store:
        view = summary(store)
        if view.best is None:
            raise RuntimeError(f"{folder}: tuning has found nothing that trains")
        return str(view.best.forms.pruned)


def overrides_of(arm: Arm, seed: int, warm_start: str, arguments: argparse.Namespace) -> list[str]:
    """Settings of a search."""
    return [
        *PLAIN,
        f"task={arguments.task}",
        f"seed={seed}",
        f"warm_start={json.dumps(warm_start)}",
        f"budget={{steps: {arguments.steps}}}",
        f"population={{size: {arguments.population}, tournament: {arguments.tournament}}}",
        *arguments.settings,
        *(setting for name, setting in CANDIDATES.items() if name in arm),
    ]


def reached(outcome: Outcome, level: float, budget: int) -> int:
    """Training steps until the best fitness is at most ``level``; the budget if it never is."""
    return next((steps for steps, best in outcome.course if best <= level), budget)


def effect(values: Mapping[tuple[Arm, int], float], contrast: Contrast) -> dict[str, float]:
    """A difference of means, paired by seed, with its 95 % interval and p-value."""
    seeds = sorted({seed for _, seed in values})
    differences = [
        float(
            np.mean([values[arm, seed] for arm in contrast.on]) - np.mean([values[arm, seed] for arm in contrast.off])
        )
        for seed in seeds
    ]
    mean = float(np.mean(differences))
    error = float(stats.sem(differences)) if len(seeds) > 1 else 0.0
    if error == 0.0:
        return {"effect": mean}
    low, high = (float(bound) for bound in stats.t.interval(0.95, len(seeds) - 1, mean, error))
    return {"effect": mean, "low": low, "high": high, "p": float(stats.ttest_1samp(differences, 0.0).pvalue)}


def report(
    outcomes: Mapping[tuple[Arm, int], Outcome], budget: int, contrasts: Mapping[str, Contrast]
) -> dict[str, Any]:
    """The results of all arms and the effects."""
    fresh = {key: outcome.fresh for key, outcome in outcomes.items()}
    published = [outcome for (arm, _), outcome in outcomes.items() if not arm]
    level = float(np.median([outcome.course[-1][1] for outcome in published]))
    steps = {key: math.log2(max(reached(outcome, level, budget), 1)) for key, outcome in outcomes.items()}
    arms: list[dict[str, Any]] = []
    for arm in dict.fromkeys(arm for arm, _ in outcomes):
        mine = [key for key in outcomes if key[0] == arm]
        losses = [fresh[key] for key in mine]
        arms.append(
            {
                "arm": label(arm),
                "median": float(np.median(losses)),
                "mean": float(np.mean(losses)),
                "deviation": float(np.std(losses, ddof=1)) if len(losses) > 1 else None,
                "steps_to_level": float(2.0 ** np.mean([steps[key] for key in mine])),
                "steps": float(np.mean([outcomes[key].steps for key in mine])),
            }
        )
    return {
        "level": level,
        "arms": arms,
        "effects_on_fresh_loss": {name: effect(fresh, contrast) for name, contrast in contrasts.items()},
        "effects_on_log2_steps_to_level": {name: effect(steps, contrast) for name, contrast in contrasts.items()},
    }


def arm_rows(found: Mapping[str, Any]) -> list[str]:
    """The arms as a Markdown table, the best first."""
    rows = [
        f"| arm | mean loss | median | standard deviation | steps to {found['level']:.4f} |",
        "|---|---|---|---|---|",
    ]
    for row in sorted(found["arms"], key=lambda row: row["mean"]):
        spread = "-" if row["deviation"] is None else f"{row['deviation']:.4f}"
        numbers = f"{row['mean']:.4f} | {row['median']:.4f} | {spread} | {row['steps_to_level']:,.0f}"
        rows.append(f"| {row['arm']} | {numbers} |")
    return rows


def effect_rows(found: Mapping[str, Any]) -> list[str]:
    """The effects as a Markdown table."""
    rows = ["| effect of | on the loss | p | on the steps to the level | p |", "|---|---|---|---|---|"]
    for factor, on_loss in found["effects_on_fresh_loss"].items():
        on_steps = found["effects_on_log2_steps_to_level"][factor]
        cells = [f"{on_loss['effect']:+.4f}", "-", f"{2.0 ** on_steps['effect'] - 1.0:+.0%}", "-"]
        if "low" in on_loss:
            cells[:2] = [f"{cells[0]} [{on_loss['low']:+.4f}, {on_loss['high']:+.4f}]", f"{on_loss['p']:.2g}"]
        if "low" in on_steps:
            low, high = (2.0 ** on_steps[end] - 1.0 for end in ("low", "high"))
            cells[2:] = [f"{cells[2]} [{low:+.0%}, {high:+.0%}]", f"{on_steps['p']:.2g}"]
        rows.append(f"| {factor} | {' | '.join(cells)} |")
    return rows


def main() -> None:
    """Runs the experiment and prints its tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs; continued if it exists")
    parser.add_argument("--task", default="ae", help="task of the searches")
    parser.add_argument("--seeds", type=int, default=10, help="seeds of each arm")
    parser.add_argument("--first-seed", type=int, default=0, help="lowest seed")
    parser.add_argument("--steps", type=int, default=600_000, help="training steps of each search")
    parser.add_argument("--tuning", type=int, default=1500, help="evaluations that tune AdamW once")
    parser.add_argument("--population", type=int, default=100, help="size of the population")
    parser.add_argument("--tournament", type=int, default=10, help="programs of which the best becomes a parent")
    parser.add_argument("--jobs", type=int, default=2, help="searches at once, each in a process of one core")
    parser.add_argument("--factors", nargs="+", choices=list(CANDIDATES), default=list(FACTORS), help="what to switch")
    parser.add_argument(
        "--arms", nargs="+", type=arm_of, metavar="ARM", help="arms to compare with the published search"
    )
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one setting of the searches compared",
    )
    parser.add_argument("--outcomes", type=Path, metavar="FILE", help="file that keeps the outcomes of all searches")
    arguments = parser.parse_args()
    excluded = excluding(arguments.factors) or ("" if len(arguments.factors) > 1 else "name at least two factors")
    if excluded:
        parser.error(f"--factors: {excluded}")
    arms = [PUBLISHED, *dict.fromkeys(arguments.arms)] if arguments.arms else design(arguments.factors)
    contrasts = against_published(arms[1:]) if arguments.arms else main_effects(arguments.factors)
    try:
        load_named("study", [*PLAIN, f"task={arguments.task}", *arguments.settings])
    except ConfigError as error:
        parser.error(str(error))
    try:
        shared = {name: getattr(arguments, name) for name in SHARED}
        kept = Outcomes.open(arguments.outcomes, shared | ({"set": arguments.settings} if arguments.settings else {}))
    except ValueError as error:
        parser.error(f"--outcomes: {error}")
    if WARM_STARTED not in kept.found:
        program = tuned_warm_start(arguments.out / WARM_STARTED, arguments.task, arguments.tuning)
        kept.add(WARM_STARTED, {"program": program})
    warm_start = kept.found[WARM_STARTED]["program"]
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    searches = {f"{label(arm)}-seed{seed}": (arm, seed) for seed in seeds for arm in arms}
    with processes(arguments.jobs) as pool:
        waiting = {
            pool.submit(run_search, arguments.out / name, overrides_of(*which, warm_start, arguments)): name
            for name, which in searches.items()
            if name not in kept.found
        }
        for done in as_completed(waiting):
            name, outcome = waiting[done], done.result()
            kept.add(name, asdict(outcome))
            print(f"{name}: {outcome.fresh:.5f}", flush=True)
    outcomes = {which: Outcome.read(kept.found[name]) for name, which in searches.items()}
    found = report(outcomes, arguments.steps, contrasts)
    print("\n".join(["", *arm_rows(found), "", *effect_rows(found), ""]))
    settings = {"task": arguments.task, "seeds": list(seeds), "steps": arguments.steps}
    print(json.dumps({**settings, **found, "machine": about_machine()}))


if __name__ == "__main__":
    main()
