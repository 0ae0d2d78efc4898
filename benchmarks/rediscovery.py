"""Counts searches that rediscover a known kind of step, such as sign-based momentum (Lion) or orthogonalised steps.

    python benchmarks/rediscovery.py optsearch-runs/study-seed*                      two minutes
    python benchmarks/rediscovery.py optsearch-runs/with/seed* --kind orthogonal     the same for the campaign matrices

*Sign-based momentum* is defined by behaviour, not by form. All parameters take steps of equal size (`evenness_probe` of
`simplify/behaviour/probes.py`, below `EVEN`), and after the gradient reverses, following 200 equal gradients, the
update keeps its direction for some steps (`turn_probe`): the program averages, then takes the sign. Lion and Signum
have both properties; sign SGD and AdamW do not.

*Orthogonalised steps* have nearly equal singular values for every matrix (`spectrum_probe`). Their singular vectors
are either those of the averaged gradient, as in Muon, or others, as in AdamW with orthogonalised steps.

*Momentum*: after the gradient reverses, following 200 equal gradients, the update keeps its direction for some steps.

*Normalised per parameter*: the update does not depend on the scale of the gradient (`scale_probe`), and parameters with
gradients of different sizes take steps of similar but not equal size (`evenness_probe` between ``EVEN`` and
``NORMALISED``), as in RMSprop and Adam.

The script probes the best program of a run and the programs of lowest fitness, one per fitness value, of the main
search and of the first stages that change more than constants. `rediscovery_study.py` runs the searches of many seeds,
and gives rates with intervals.

``--distil`` also probes the best programs after `optsearch simplify` has removed the parts that do not affect training
on the run's tasks, and prints the results; two minutes each.

``--path`` prints the lineage of the best such program of all runs, mutation by mutation, with both probe results at
every improvement of the best fitness. If there is no such program, it uses the best program of the first run. It then
prints the program rewritten by exact rules. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from optsearch.dsl.program import Program
from optsearch.runs.commands.simplify import run_distillation
from optsearch.runs.store.reader import RunReader, Search
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.finalists import best_ticket
from optsearch.runs.summary.lineage import line_of
from optsearch.runs.summary.searches import first_stage
from optsearch.simplify.behaviour.probes import (
    EVEN,
    ORTHOGONAL,
    evenness_probe,
    has_vectors_of_gradient,
    scale_probe,
    spectrum_probe,
    turn_probe,
)
from optsearch.simplify.distil import STEPS
from optsearch.simplify.rewriting.recognise import recognise
from optsearch.simplify.rewriting.rewrite import rewrite

NORMALISED = 1.0
"""Upper bound of the variation of step sizes between parameters, for steps that are normalised: it is 0.67 for RMSprop,
0.49 for AdamW, and 2.1 for SGD."""


@dataclass(frozen=True, slots=True)
class Looked:
    """Behaviour of a program.

    Attributes:
        id: id of the program in its run.
        fitness: fitness in its search.
        found: True if its steps are of the kind looked for.
        does: the probe results, as cells of the table.
    """

    id: str
    fitness: float
    found: bool
    does: str

    def __str__(self) -> str:
        return f"{self.id} {self.fitness:.5f} | {self.does}"


def signs(program: Program) -> tuple[bool, str]:
    """Tests for sign-based momentum."""
    evenness, memory = evenness_probe(program).value, turn_probe(program).value
    cells = f"{'-' if evenness is None else f'{evenness:.0%}'} | {'-' if memory is None else f'{memory:g}'}"
    return evenness is not None and evenness < EVEN and bool(memory), cells


def orthogonal(program: Program) -> tuple[bool, str]:
    """Tests for orthogonalised steps."""
    probe = spectrum_probe(program)
    if probe.value is None or probe.value <= ORTHOGONAL:
        return False, f"{'-' if probe.value is None else f'{probe.value:.2g}'} | -"
    return True, f"{probe.value:.2g} | {'the gradient' if has_vectors_of_gradient(program) else 'others'}"


def momentum(program: Program) -> tuple[bool, str]:
    """Tests for momentum."""
    memory = turn_probe(program).value
    return bool(memory), "-" if memory is None else f"{memory:g}"


def normalised(program: Program) -> tuple[bool, str]:
    """Tests for steps that are normalised for each parameter by the size of its gradients."""
    scale, evenness = scale_probe(program).value, evenness_probe(program).value
    cells = f"{'-' if scale is None else f'{scale:.2g}'} | {'-' if evenness is None else f'{evenness:.0%}'}"
    return scale == 0.0 and evenness is not None and EVEN <= evenness < NORMALISED, cells


KINDS: dict[str, tuple[Callable[[Program], tuple[bool, str]], str, str]] = {
    "sign": (signs, "sign-based momentum", "step sizes differ by | goes on after a turn"),
    "orthogonal": (
        orthogonal,
        "orthogonalised",
        "least singular value of a step (largest: 1) | singular vectors of",
    ),
    "momentum": (momentum, "momentum", "goes on after a turn"),
    "normalised": (normalised, "normalised per parameter", "power of the gradient's scale | step sizes differ by"),
}
"""For each kind of step its test, its name, and the columns of its probe results."""


def look(name: str, fitness: float, program: Program, kind: str) -> Looked:
    """Probes a program."""
    return Looked(name, fitness, *KINDS[kind][0](program))


def top(store: RunReader, search: Search, count: int, kind: str) -> Iterator[Looked]:
    """Yields the programs of lowest fitness of a search, one per fitness value."""
    rows = store.leaderboard(search, 3 * count)
    distinct = list({row.fitness.value: row for row in reversed(rows)}.values())[::-1][:count]
    for row, program in zip(distinct, store.programs(search, [row.ticket for row in distinct]), strict=True):
        yield look(search.program_id(row.ticket), row.fitness.value or 0.0, program, kind)


def path(store: RunReader, program_id: str, kind: str) -> Iterator[str]:
    """Yields the lineage of a program, at the start and at every improvement of the best fitness."""
    rows = line_of(store, *store.find(program_id))
    for number, row in enumerate(rows):
        if number in (0, len(rows) - 1) or row.best:
            seen = look(row.id, row.fitness, row.program, kind)
            yield f"| {number} | {row.mutation.replace('|', ' ')} | {seen} |"


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="runs")
    parser.add_argument("--kind", choices=list(KINDS), default="sign", help="kind of steps to look for")
    parser.add_argument("--top", type=int, default=100, help="programs of each search that are looked at")
    parser.add_argument("--distil", action="store_true", help="look at what the best programs distil to, too")
    parser.add_argument("--path", action="store_true", help="print how one came about")
    options = parser.parse_args()
    found: list[tuple[Looked, Path]] = []
    winners: list[tuple[Looked, Path]] = []
    kind = options.kind
    _, label, columns = KINDS[kind]
    print(f"| run | best program, fitness | {columns} | {label} among the best |\n|---|---|---|---|---|")
    for folder in options.runs:
        with RunStore.read(folder) as store:
            search, ticket = best_ticket(store)
            settled = store.ticket(search, ticket)
            best = look(search.program_id(ticket), settled.fitness.value or 0.0, settled.scored, kind)
            evolved = [one for one in first_stage(store) if one.settings["algorithm"] == "evolution"]
            evolved.append(store.search("search"))
            seen = [looked for search in evolved for looked in top(store, search, options.top, kind)]
        matching = [looked for looked in seen if looked.found]
        winners.append((best, folder))
        found += [(looked, folder) for looked in matching]
        print(f"| {folder.name} | {best} | {len(matching)} of {len(seen)} |", flush=True)
    arrived = sum(best.found for best, _ in winners)
    print(f"\nThe best program is {label} in {arrived} of {len(winners)} runs.")
    distilled: list[Looked] = []
    if options.distil:
        print(f"\n| run | distilled: statements | {columns} |\n|---|---|---|---|")
        texts: list[str] = []
        for best, folder in winners:
            result = run_distillation(f"{folder}:{best.id}", STEPS, workers=0, quiet=True)
            distilled.append(look(best.id, best.fitness, result.program, kind))
            texts.append(f"\n{folder.name}:{best.id}, distilled\n{result.program}")
            print(f"| {folder.name} | {result.statements} | {distilled[-1].does} |", flush=True)
        print(f"\nAfter distilling in {sum(one.found for one in distilled)} of {len(winners)}.", *texts, sep="\n")
    if options.path:
        shown, folder = min(found, key=lambda pair: pair[0].fitness) if found else winners[0]
        with RunStore.read(folder) as store:
            program = store.ticket(*store.find(shown.id)).scored
            print(f"\n{folder.name}:{shown.id}\n\n| step | mutation | program, fitness | {columns} |")
            print("|---|---|---|---|---|", *path(store, shown.id, kind), sep="\n")
        short = rewrite(program).program
        print(f"\n{short}", *filter(None, [recognise(short)]), sep="\n")
    summary = {"runs": len(winners), "best": arrived, "with_any": len({folder for _, folder in found})}
    if options.distil:
        summary |= {"distilled": sum(one.found for one in distilled)}
    print(json.dumps(summary | {"programs": [str(best) for best, _ in winners]}))


if __name__ == "__main__":
    main()
