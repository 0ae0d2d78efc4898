"""Programs for benchmarks, representative of those that a search evaluates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from optsearch.dsl.dataflow import prune
from optsearch.dsl.functions import FUNCTIONS, Scope
from optsearch.dsl.generate import random_program
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program
from optsearch.proxy_tasks.outcome import Outcome
from optsearch.search.scoring.evaluate import InProcessEvaluator, Trainers
from optsearch.search.scoring.fitness import Job, Setting
from optsearch.search.variation.mutate import Mutator
from optsearch.search.variation.mutation_config import MutationWeights

if TYPE_CHECKING:
    from optsearch.proxy_tasks.trainer import Trainer


def evolved(task: str, trainers: Trainers, count: int, seed: int = 0) -> list[Program]:
    """Returns distinct programs without dead code from the end of a short evolution from AdamW.

    The population has 50 members, and tournaments have size 4.
    """
    rng, mutator = np.random.default_rng(seed), Mutator(MutationWeights())
    evaluator = InProcessEvaluator(Setting(task, (0,)), trainers)
    population = [(LIBRARY["adamw"], 1.0)]
    found: dict[str, Program] = {}
    while len(found) < 6 * count:
        entrants = [population[int(index)] for index in rng.integers(0, len(population), 4)]
        child = mutator.mutate(rng, min(entrants, key=lambda entrant: entrant[1])[0])[0]
        live = prune(child)
        if str(live) in found:
            population.append((child, population[-1][1]))
            continue
        evaluator.submit([Job(0, child)])
        ((_, fitness),) = evaluator.collect(0.0)
        if fitness.value is not None:
            population.append((child, fitness.value))
            found[str(live)] = live
        population = population[-50:]
    return list(found.values())[-count:]


def random_live(trainer: Trainer, count: int, seed: int = 1) -> list[Program]:
    """Returns random programs that complete training on the proxy."""
    rng = np.random.default_rng(seed)
    programs: list[Program] = []
    while len(programs) < count:
        program = prune(random_program(rng, statements=int(rng.integers(4, 24))))
        if trainer.run(program, 0, rate=1e-3).outcome is Outcome.OK:
            programs.append(program)
    return programs


def drifted(count: int, seed: int = 2) -> list[Program]:
    """Returns programs without dead code, without training: half 30 mutations away from AdamW, half random."""
    rng, mutator = np.random.default_rng(seed), Mutator(MutationWeights())
    programs: list[Program] = []
    for number in range(count):
        program = LIBRARY["adamw"]
        if number % 2:
            program = random_program(rng, statements=int(rng.integers(4, 24)))
        else:
            for _ in range(30):
                program = mutator.mutate(rng, program)[0]
        programs.append(prune(program))
    return programs


def elementwise(count: int, seed: int = 2) -> list[Program]:
    """As `drifted`, without programs that call functions of matrices, which run in a batch of their own.

    They are the programs of a campaign that does not list such functions; a smaller ``count`` gives the first of them.
    """
    found: list[Program] = []
    drawn = count
    while len(found) < count:
        drawn += max(count // 8, 8)
        found = [program for program in drifted(drawn, seed) if not _calls_matrices(program)]
    return found[:count]


def _calls_matrices(program: Program) -> bool:
    return any(FUNCTIONS[statement.function].scope is Scope.MATRIX for statement in program.body)
