"""Ablation: removes statements and rounds constants; each change is kept only if it passes a non-inferiority test.

Every change is tested against the original program, not against the last accepted one, so that small losses do not
accumulate. First the learning rate is tuned, because a program whose steps are too small for the task loses nothing
with any part. Then single changes are tested greedily, largest saving first, until none passes. Finally, evolution
without insertion searches for combined changes. An ablation is a deterministic function of the program, the seeds and
the training results, so an interrupted ablation resumes from its stored results.

Source: Chen et al. 2023 (arXiv:2302.06675), section 2.3, step 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from optsearch.dsl.dataflow import prune
from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.program import G, Program, ProgramError
from optsearch.dsl.rate import at_rate
from optsearch.dsl.verify import verify
from optsearch.proxy_tasks.seeds import SIMPLIFY_RATES, SIMPLIFY_SEARCH
from optsearch.search.budget import Budget
from optsearch.search.evolution import Evolution
from optsearch.search.population.population import PopulationConfig
from optsearch.search.scoring.fitness import OK, Fitness
from optsearch.search.variation.mutate import Mutator
from optsearch.search.variation.mutation_config import MutationWeights
from optsearch.simplify.ablation.trial import NoWorse, Panel, TrialVerdict
from optsearch.simplify.rewriting.order import Graph, Value, graph_of, readable, write
from optsearch.simplify.rewriting.rewrite import rewrite
from optsearch.simplify.rewriting.saturate import SaturationLimits

RATES = (1.0, 3.0, 10.0, 30.0, 100.0, 0.3, 0.1)
"""Candidate factors on the learning rate; the program is ablated at the best one."""

KNOWN = (0.5, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999, 1.0, 2.0, 10.0)
"""Common constants besides powers of ten; the nearest is tried before rounding."""


LOOK_AHEAD = 8
"""Maximum number of programs in training during the evolution, independent of the number of workers."""

QUICK = SaturationLimits(rounds=4, nodes=500)
"""Limits for rewriting a candidate; an accepted candidate is rewritten with the default limits."""

WITHOUT_INSERTION = MutationWeights(
    insert=0.0, wrap=0.0, delete=2.0, modify=1.0, scale=0.5, complement=0.5, redraw=0.1, retune=0.0
)
"""Mutations that never lengthen a program."""


@dataclass(frozen=True, slots=True)
class EvolutionBudget:
    """Budget of the evolution that follows the greedy changes.

    Attributes:
        evaluations: number of trained programs; 0 for no evolution.
        population: population size.
        tournament: number of members drawn for each parent.
        seeds: number of training seeds per program.
        seed: seed of its random numbers.
    """

    evaluations: int = 60
    population: int = 24
    tournament: int = 3
    seeds: int = 2
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """An accepted change.

    Attributes:
        what: description of the change.
        program: program after the change.
        verdict: result of the test against the original program.
    """

    what: str
    program: Program
    verdict: TrialVerdict


@dataclass(frozen=True, slots=True)
class Ablated:
    """Result of an ablation.

    Attributes:
        program: the ablated program.
        changes: accepted changes, in order.
        rejected: number of changes that failed the test.
        rates: for each task the factor on the learning rate used in all tests.
    """

    program: Program
    changes: tuple[Change, ...]
    rejected: int
    rates: Mapping[str, float]


def ablate(
    program: Program,
    panel: Panel,
    *,
    rates: Mapping[str, float] | None = None,
    test: NoWorse | None = None,
    evolution: EvolutionBudget | None = None,
    watch: Callable[[str], None] | None = None,
) -> Ablated:
    """Removes parts of a program that training does not need.

    Args:
        program: a verified program, preferably pruned and rewritten.
        panel: tasks, executor of training runs, and known results.
        rates: for each task the factor on the learning rate, at which the program trains on all seeds of the test; None
            to tune it.
        test: non-inferiority test. Defaults to `NoWorse()`.
        evolution: budget of the evolution. Defaults to `EvolutionBudget()`.
        watch: called with a line of text after every test. Defaults to no callback.

    Returns:
        The ablated program, with no more statements and no more state than the original.

    Raises:
        DoesNotTrainError: the program does not train on a task.
    """
    test = test or NoWorse()
    rates = tuned_rates(program, panel, test) if rates is None else rates
    return _Ablation(program, panel, rates, test, watch).run(evolution or EvolutionBudget())


def tuned_rates(program: Program, panel: Panel, test: NoWorse) -> dict[str, float]:
    """For each task, the factor on the learning rate with which a program trains best, on all seeds of a test.

    Raises:
        DoesNotTrainError: the program trains with none of the factors.
    """
    needed = range(test.first_seed, test.first_seed + test.looks[-1])
    return {task: panel.tuned_rate(program, task, RATES, SIMPLIFY_RATES[-2:], needed) for task in panel.tasks}


class _Ablation:
    def __init__(
        self,
        program: Program,
        panel: Panel,
        rates: Mapping[str, float],
        test: NoWorse,
        watch: Callable[[str], None] | None,
    ):
        self.panel, self.rates, self.test, self.watch = panel, rates, test, watch
        self.reference = self.current = program
        self.changes: list[Change] = []
        self.failed: set[str] = set()

    def run(self, evolution: EvolutionBudget) -> Ablated:
        self._greedy(shorter)
        if evolution.evaluations and self._evolved_passes(evolution):
            self._greedy(shorter)
        self._greedy(rounded)
        return Ablated(self.current, tuple(self.changes), len(self.failed), self.rates)

    def _greedy(self, candidates: Callable[[Program], Iterator[tuple[str, Program]]]) -> None:
        """Accepts the first change that passes, and restarts, until none passes."""
        while self._first_that_passes(candidates(self.current)):
            pass

    def _evolved_passes(self, budget: EvolutionBudget) -> bool:
        """Accepts the first program of the evolution that passes.

        The programs were selected on other seeds than those of the test, and share its significance level: however many
        are tested, one that is worse by the tolerance is accepted with a probability of at most alpha.
        """
        found = list(self._evolved(budget))
        if not found:
            return False
        test = replace(self.test, alpha=self.test.alpha / len(found))
        return self._first_that_passes((("evolution without insertion", program) for program in found), test)

    def _first_that_passes(self, candidates: Iterable[tuple[str, Program]], test: NoWorse | None = None) -> bool:
        """Accepts the first change that passes; with several workers, later candidates train their first seed ahead."""
        waiting = (row for row in candidates if fingerprint(row[1]) not in self.failed)
        task, seed = self.panel.tasks[0], self.test.first_seed
        while group := list(islice(waiting, self.panel.ahead)):
            self.panel.train_ahead((at_rate(program, self.rates[task]), task, seed) for _, program in group)
            if any(self._try(what, program, test or self.test) for what, program in group):
                return True
        return False

    def _try(self, what: str, program: Program, test: NoWorse) -> bool:
        meaning = fingerprint(program)
        if meaning in self.failed:
            return False
        verdict = self.panel.compare(program, self.reference, test, self.rates)
        if self.watch is not None:
            kept = "kept" if verdict.no_worse else "not kept"
            self.watch(f"{what}: {verdict.worst:+.2%} of the loss on {verdict.seeds} seeds, {kept}")
        if verdict.no_worse:
            self.current = program = rewrite(program).program
            self.changes.append(Change(what, program, verdict))
        else:
            self.failed.add(meaning)
        return verdict.no_worse

    def _evolved(self, budget: EvolutionBudget) -> Iterator[Program]:
        """Shorter programs found by evolution without insertion, best first."""
        evolution = Evolution(
            self.current,
            name="ablation",
            seed=budget.seed,
            population=PopulationConfig(size=budget.population, tournament=budget.tournament),
            look_ahead=LOOK_AHEAD,
            variation=Mutator(WITHOUT_INSERTION),
            budget=Budget(evaluations=budget.evaluations, programs=50 * budget.evaluations),
        )
        scores: list[tuple[float, int, Program]] = []
        task, seeds = self.panel.tasks[0], SIMPLIFY_SEARCH[: budget.seeds]
        rate = self.rates[task]
        while not evolution.finished:
            waiting = [candidate for candidate in iter(evolution.ask, None) if candidate.evaluate]
            self.panel.train_ahead((at_rate(c.program, rate), task, seed) for c in waiting for seed in seeds)
            for candidate in waiting:
                score = self._score(candidate.program, seeds)
                evolution.tell(candidate.ticket, Fitness(score, OK if score is not None else "failed", 0, 0.0))
                if score is not None:
                    scores.append((score, candidate.ticket, candidate.program))
        for _, _, program in sorted(scores, key=lambda row: row[:2])[:8]:
            short = rewrite(program).program
            if _size(short)[:2] < _size(self.current)[:2]:
                yield short

    def _score(self, program: Program, seeds: Sequence[int]) -> float | None:
        """Loss on the first task relative to the reference's, plus a quarter of the tolerance per statement."""
        task = self.panel.tasks[0]
        mine = self.panel.losses(at_rate(program, self.rates[task]), task, seeds)
        theirs = self.panel.losses(at_rate(self.reference, self.rates[task]), task, seeds)
        share = 0.0
        for one, other in zip(mine, theirs, strict=True):
            if one is None or other is None:
                return None
            share += 1.0 + (one - other) / abs(other)
        return share / len(seeds) + 0.25 * self.test.tolerance * len(prune(program).body)


def shorter(program: Program) -> Iterator[tuple[str, Program]]:
    """Programs with one statement removed, or one state variable replaced by the gradient; the shortest first.

    Args:
        program: a pruned program.

    Yields:
        Description of the change, and a rewritten program with fewer statements, or equally many and less state.
    """
    graph = graph_of(program)
    found: dict[str, tuple[tuple[int, int, float], int, str, Program]] = {}
    for number, (_, operands) in enumerate(graph.calls):
        for operand in dict.fromkeys(operands):
            what = f"leave out `{program.body[number]}`"
            _note(found, what, _without(graph, number, operand), program)
    for name in program.state:
        _note(found, f"use the gradient for `{name}`", _replaced(graph, name, G), program)
    for _, _, what, other in sorted(found.values(), key=lambda row: row[:2]):
        yield what, other


def rounded(program: Program) -> Iterator[tuple[str, Program]]:
    """Programs with one constant replaced by a common or rounder value."""
    for number, statement in enumerate(program.body):
        for position, value in enumerate(statement.args):
            if isinstance(value, str):
                continue
            for rounder in rounder_values(value):
                args = (*statement.args[:position], rounder, *statement.args[position + 1 :])
                body = (*program.body[:number], statement._replace(args=args), *program.body[number + 1 :])
                yield f"{value:g} becomes {rounder:g}", Program(program.state, body)


def rounder_values(value: float) -> tuple[float, ...]:
    """Nearby values with fewer digits, the roundest first; values near 1 are rounded in their distance from 1."""
    if value == 0.0:
        return ()
    size = abs(value)
    power = 10.0 ** round(math.log10(size))
    near = [known for known in (*KNOWN, power) if _close(size, known)]
    digits = [float(f"{size:.{n}g}") for n in (1, 2, 3)]
    if 0.5 < size < 1.0:
        digits = [round(1.0 - float(f"{1.0 - size:.{n}g}"), 12) for n in (1, 2)]
    ordered = sorted(near, key=lambda known: abs(math.log(known / size)))[:1] + digits
    current = _digits(size)
    kept = [v for v in dict.fromkeys(readable(v) for v in ordered) if v != readable(size) and _digits(v) < current]
    return tuple(math.copysign(v, value) for v in kept)


def _close(size: float, known: float) -> bool:
    """True if a common constant is within a factor of 1.3; for decays, of the distance from 1."""
    if 0.5 < size < 1.0 and 0.5 < known < 1.0:
        return abs(math.log((1.0 - size) / (1.0 - known))) < math.log(1.3)
    return abs(math.log(size / known)) < math.log(1.3)


def _digits(value: float) -> int:
    return len(f"{np.float32(value)!s}".split("e")[0].replace(".", "").strip("0"))


def _note(
    found: dict[str, tuple[tuple[int, int, float], int, str, Program]], what: str, graph: Graph, old: Program
) -> None:
    """Adds the program of a graph if it is valid and smaller."""
    if any(isinstance(value, float) for value in graph.outputs):
        return
    raw = prune(write(graph))
    try:
        verify(raw)
    except ProgramError:
        return
    short = rewrite(raw, QUICK).program
    if _size(short) < _size(old):
        found.setdefault(fingerprint(short), (_size(short), len(found), what, short))


def _size(program: Program) -> tuple[int, int, float]:
    from optsearch.simplify.rewriting.rewrite import weight

    return len(program.body), len(program.state), weight(program)


def _without(graph: Graph, number: int, operand: Value) -> Graph:
    """The graph in which all uses of a call are replaced by one of its operands."""

    def put(value: Value) -> Value:
        if not isinstance(value, int):
            return value
        if value == number:
            return operand
        return value if value < number else value - 1

    calls = [(n, tuple(put(o) for o in operands)) for k, (n, operands) in enumerate(graph.calls) if k != number]
    return Graph(graph.state, tuple(calls), tuple(put(value) for value in graph.outputs))


def _replaced(graph: Graph, name: str, value: Value) -> Graph:
    """The graph in which the old value of a state variable is replaced."""
    calls = tuple((n, tuple(value if o == name else o for o in operands)) for n, operands in graph.calls)
    outputs = tuple(value if o == name else o for o in graph.outputs)
    return Graph(graph.state, calls, outputs)
