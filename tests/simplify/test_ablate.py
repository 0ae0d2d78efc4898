"""Ablation with an evaluator of known losses, and on a real task."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_up_training import ended

from optsearch.dsl.dataflow import execution_key
from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program
from optsearch.dsl.syntax import parse
from optsearch.proxy_tasks.run import Trained
from optsearch.search.pool import Here
from optsearch.search.variation.mutate import Mutator
from optsearch.simplify.ablation.ablate import (
    WITHOUT_INSERTION,
    EvolutionBudget,
    _Ablation,
    ablate,
    rounded,
    rounder_values,
    shorter,
)
from optsearch.simplify.ablation.trial import DoesNotTrainError, NoWorse, Panel, Training
from optsearch.simplify.distil import distil
from optsearch.simplify.rewriting.rewrite import rewrite

NO_EVOLUTION = EvolutionBudget(evaluations=0)


def misses_sign(job: Training) -> Trained:
    """A task that only wants a sign and an interpolation in the program."""
    functions = [s.function for s in job.program.body]
    missing = 0.5 * ("sign" not in functions) + 0.2 * ("interp" not in functions)
    return ended(1.0 + 0.001 * (job.seed % 7) + missing)


def made_up(results: dict[str, float | None] | None = None, ahead: int = 1) -> Panel:
    return Panel(("made up",), Here(misses_sign), ahead, {} if results is None else results)


def run(program: Program, results: dict[str, float | None] | None = None) -> tuple[Program, Panel]:
    panel = made_up(results)
    return ablate(program, panel, evolution=NO_EVOLUTION).program, panel


@pytest.fixture(scope="module")
def program() -> Program:
    """Lion as it was published, rewritten."""
    return rewrite(LIBRARY["lion-raw"]).program


@pytest.fixture(scope="module")
def ablated(program: Program) -> tuple[Program, Panel]:
    return run(program)


def test_what_is_not_missed_goes_and_what_is_stays(ablated: tuple[Program, Panel]) -> None:
    left, _ = ablated
    functions = [s.function for s in left.body]
    assert {"sign", "interp"} <= set(functions)
    assert "arcsin" not in functions
    assert "clip" not in functions
    assert len(left.body) < 7


def test_known_results_are_not_trained_again(program: Program, ablated: tuple[Program, Panel]) -> None:
    first, panel = ablated
    again, resumed = run(program, dict(panel.results))
    assert again == first
    assert panel.trained == panel.evaluations == resumed.evaluations > 0
    assert resumed.trained == 0


def test_an_interrupted_ablation_goes_on(program: Program, ablated: tuple[Program, Panel]) -> None:
    first, panel = ablated
    half = dict(list(panel.results.items())[: len(panel.results) // 2])
    missing = panel.trained - len(half)
    again, resumed = run(program, half)
    assert again == first
    assert resumed.trained == missing


@pytest.mark.parametrize("workers", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_any_number_of_workers_gives_the_same_result(workers: int, program: Program) -> None:
    one, several = made_up(), made_up(ahead=workers)
    budget = EvolutionBudget(evaluations=15, population=6)
    assert ablate(program, one, evolution=budget) == ablate(program, several, evolution=budget)
    assert one.evaluations == several.evaluations
    assert one.trained == one.evaluations <= several.trained <= 2 * one.evaluations


def test_what_is_hopeless_is_trained_once() -> None:
    program = LIBRARY["signum"]
    panel = made_up()
    verdict = panel.compare(LIBRARY["sgd"], program, NoWorse())
    assert not verdict.no_worse
    assert panel.trained == 2


def test_evolution_inserts_nothing_and_is_the_same_twice() -> None:
    program = LIBRARY["lion"]
    budget = EvolutionBudget(evaluations=15, population=6)
    one = ablate(program, made_up(), evolution=budget)
    other = ablate(program, made_up(), evolution=budget)
    assert one == other
    assert len(one.program.body) <= len(program.body)


def passes(simulation: int, noise: float) -> bool:
    """Whether ablation's evolution keeps something where every shorter program is worse by just the tolerance."""
    program = rewrite(LIBRARY["adam"]).program
    test = NoWorse()

    def worse(job: Training) -> Trained:
        same = fingerprint(job.program) == fingerprint(program)
        luck = np.random.default_rng([simulation, job.seed, int(execution_key(job.program)[:8], 16)]).normal()
        return ended(1.0 if same else 1.0 + test.tolerance + noise * luck)

    ablation = _Ablation(program, Panel(("made up",), Here(worse)), {"made up": 1.0}, test, None)
    return ablation._evolved_passes(EvolutionBudget(evaluations=24, population=8, tournament=2, seed=simulation))


@pytest.mark.slow
def test_the_level_holds_over_all_that_evolution_finds() -> None:
    count = 200
    kept = sum(passes(simulation, 0.01) for simulation in range(count))
    allowed = 0.05 * count + 2.33 * math.sqrt(0.05 * 0.95 * count)  # one in a hundred such tests is above
    assert kept <= allowed


def test_equal_meanings_are_trained_each_as_it_is_written() -> None:
    one = parse("def train(w, g, lr):\n  a = g * 0.1\n  update = a * lr\n  return update\n")
    other = parse("def train(w, g, lr):\n  a = g * lr\n  update = a * 0.1\n  return update\n")
    renamed = parse(str(one).replace("a =", "b =").replace("a *", "b *"))
    assert fingerprint(one) == fingerprint(other)
    jobs = [Training(program, "ae", 500_000) for program in (one, other, renamed)]
    assert jobs[0].key == jobs[2].key != jobs[1].key
    forwards, backwards = Panel(("ae",)), Panel(("ae",))
    first = [forwards.losses(program, "ae", [500_000]) for program in (one, other)]
    second = [backwards.losses(program, "ae", [500_000]) for program in (other, one)]
    assert first == second[::-1]


def test_candidates_are_smaller() -> None:
    program = LIBRARY["adamw"]
    found = list(shorter(program))
    assert found
    for _, candidate in found:
        assert (len(candidate.body), len(candidate.state)) <= (len(program.body), len(program.state))


@pytest.mark.parametrize(
    ("value", "first"), [(0.9982197, 0.998), (0.46019784, 0.5), (0.00021717617, 0.0002), (-0.0996, -0.1), (0.9003, 0.9)]
)
def test_constants_become_known_ones_first(value: float, first: float) -> None:
    assert rounder_values(value)[0] == pytest.approx(first)


def test_round_constants_are_left_alone() -> None:
    for value in (0.9, 0.1, 1.0, 10.0, 0.001):
        assert not rounder_values(value)
    assert not list(rounded(LIBRARY["lion"]))


def test_a_program_that_does_not_train_is_refused() -> None:
    program = parse("def train(w, g, lr):\n  big = exp(1000.0)\n  update = g * big\n  return update\n")
    with pytest.raises(DoesNotTrainError, match="does not train on ae with any learning rate"):
        ablate(program, Panel(("ae",)), evolution=NO_EVOLUTION)


@pytest.mark.slow
def test_the_published_raw_program_ends_as_lion() -> None:
    result = distil(LIBRARY["lion-raw"])
    assert result.statements <= 7
    assert len(result.state) == 1
    assert result.recognised is not None
    assert result.recognised.name == "lion"
    assert result.recognised.gradient is None
    assert result.recognised.constants["weight_decay"] > 0.0
    assert result.recognised.constants["beta2"] == pytest.approx(0.998, abs=1e-3)
    assert all(step.cost is None or step.cost < 0.01 for step in result.steps)


def test_evolution_without_insertion_never_makes_a_program_longer() -> None:
    rng, mutator = np.random.default_rng(0), Mutator(WITHOUT_INSERTION)
    program = LIBRARY["lion-raw"]
    for _ in range(300):
        child, _ = mutator.mutate(rng, program)
        assert len(child.body) <= len(program.body)
        program = child
    assert len(program.body) < len(LIBRARY["lion-raw"].body)
