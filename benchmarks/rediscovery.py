"""Counts searches from AdamW that rediscover sign-based momentum, as the published search did with Lion.

    python benchmarks/rediscovery.py optsearch-runs/study-seed*          two minutes

*Sign-based momentum* is defined by behaviour, not by form. All parameters take steps of equal size (`evenness_probe` of
`simplify/behaviour/probes.py`, below `EVEN`), and after the gradient reverses, following 200 equal gradients, the
update keeps its direction for some steps (`turn_probe`): the program averages, then takes the sign. Lion and Signum
have both properties; sign SGD and AdamW do not. The script probes the best program of a run and the programs of lowest
fitness, one per fitness value, of the main search and of the first stages that change more than constants.

``--distil`` also probes the best programs after `optsearch simplify` has removed the parts that do not affect training
on the run's tasks, and prints the results; two minutes each.

``--path`` prints the lineage of the best such program of all runs, mutation by mutation, with both probe results at
every improvement of the best fitness. If there is no such program, it uses the best program of the first run. It then
prints the program rewritten by exact rules. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from optsearch.dsl.program import Program
from optsearch.runs.commands.simplify import run_distillation
from optsearch.runs.store.reader import RunReader, Search
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.finalists import best_ticket
from optsearch.runs.summary.lineage import line_of
from optsearch.runs.summary.searches import first_stage
from optsearch.simplify.behaviour.probes import EVEN, evenness_probe, turn_probe
from optsearch.simplify.distil import STEPS
from optsearch.simplify.rewriting.recognise import recognise
from optsearch.simplify.rewriting.rewrite import rewrite


@dataclass(frozen=True, slots=True)
class Looked:
    """Behaviour of a program.

    Attributes:
        id: id of the program in its run.
        fitness: fitness in its search.
        evenness: coefficient of variation of the step sizes over parameters; None if they are not finite.
        memory: number of steps for which the update keeps its direction after the gradient reverses; None if it never
            reverses, or is not finite under equal gradients.
    """

    id: str
    fitness: float
    evenness: float | None
    memory: float | None

    @property
    def sign_based(self) -> bool:
        """True if the program is sign-based momentum."""
        return self.evenness is not None and self.evenness < EVEN and bool(self.memory)

    def __str__(self) -> str:
        return f"{self.id} {self.fitness:.5f} | {self.does}"

    @property
    def does(self) -> str:
        """Describes the probe results."""
        evenness = "-" if self.evenness is None else f"{self.evenness:.0%}"
        return f"{evenness} | {'-' if self.memory is None else f'{self.memory:g}'}"


def look(name: str, fitness: float, program: Program) -> Looked:
    """Probes a program."""
    return Looked(name, fitness, evenness_probe(program).value, turn_probe(program).value)


def top(store: RunReader, search: Search, count: int) -> Iterator[Looked]:
    """Yields the programs of lowest fitness of a search, one per fitness value."""
    rows = store.leaderboard(search, 3 * count)
    distinct = list({row.fitness.value: row for row in reversed(rows)}.values())[::-1][:count]
    for row, program in zip(distinct, store.programs(search, [row.ticket for row in distinct]), strict=True):
        yield look(search.program_id(row.ticket), row.fitness.value or 0.0, program)


def path(store: RunReader, program_id: str) -> Iterator[str]:
    """Yields the lineage of a program, at the start and at every improvement of the best fitness."""
    rows = line_of(store, *store.find(program_id))
    for number, row in enumerate(rows):
        if number in (0, len(rows) - 1) or row.best:
            seen = look(row.id, row.fitness, row.program)
            yield f"| {number} | {row.mutation.replace('|', ' ')} | {seen} |"


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="runs")
    parser.add_argument("--top", type=int, default=100, help="programs of each search that are looked at")
    parser.add_argument("--distil", action="store_true", help="look at what the best programs distil to, too")
    parser.add_argument("--path", action="store_true", help="print how one came about")
    options = parser.parse_args()
    found: list[tuple[Looked, Path]] = []
    winners: list[tuple[Looked, Path]] = []
    print("| run | best program, fitness | step sizes differ by | goes on after a turn | sign-based among the best |")
    print("|---|---|---|---|---|")
    for folder in options.runs:
        with RunStore.read(folder) as store:
            search, ticket = best_ticket(store)
            settled = store.ticket(search, ticket)
            best = look(search.program_id(ticket), settled.fitness.value or 0.0, settled.scored)
            evolved = [one for one in first_stage(store) if one.settings["algorithm"] == "evolution"]
            evolved.append(store.search("search"))
            seen = [looked for search in evolved for looked in top(store, search, options.top)]
        signs = [looked for looked in seen if looked.sign_based]
        winners.append((best, folder))
        found += [(looked, folder) for looked in signs]
        print(f"| {folder.name} | {best} | {len(signs)} of {len(seen)} |", flush=True)
    arrived = sum(best.sign_based for best, _ in winners)
    print(f"\nThe best program is sign-based momentum in {arrived} of {len(winners)} runs.")
    distilled: list[Looked] = []
    if options.distil:
        print("\n| run | distilled: statements | step sizes differ by | goes on after a turn |\n|---|---|---|---|")
        texts: list[str] = []
        for best, folder in winners:
            result = run_distillation(f"{folder}:{best.id}", STEPS, workers=0, quiet=True)
            distilled.append(look(best.id, best.fitness, result.program))
            texts.append(f"\n{folder.name}:{best.id}, distilled\n{result.program}")
            print(f"| {folder.name} | {result.statements} | {distilled[-1].does} |", flush=True)
        print(f"\nAfter distilling in {sum(one.sign_based for one in distilled)} of {len(winners)}.", *texts, sep="\n")
    if options.path:
        shown, folder = min(found, key=lambda pair: pair[0].fitness) if found else winners[0]
        with RunStore.read(folder) as store:
            program = store.ticket(*store.find(shown.id)).scored
            print(f"\n{folder.name}:{shown.id}\n\n| step | mutation | program, fitness | step sizes | turn |")
            print("|---|---|---|---|---|", *path(store, shown.id), sep="\n")
        short = rewrite(program).program
        print(f"\n{short}", *filter(None, [recognise(short)]), sep="\n")
    summary = {"runs": len(winners), "best_sign_based": arrived, "with_any": len({folder for _, folder in found})}
    if options.distil:
        summary |= {"distilled_sign_based": sum(one.sign_based for one in distilled)}
    print(json.dumps(summary | {"evenness": [best.evenness for best, _ in winners]}))


if __name__ == "__main__":
    main()
