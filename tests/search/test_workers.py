"""Real evaluations: equal results in this process and on Ray, even if workers fail."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_up import Ledger, make_evolution

from optsearch.dsl.library import LIBRARY
from optsearch.search.budget import Budget
from optsearch.search.evolution import Evolution
from optsearch.search.population.population import PopulationConfig
from optsearch.search.scoring.evaluate import EvaluationError, Evaluator, InProcessEvaluator, evaluate
from optsearch.search.scoring.fitness import Fitness, Job, JobKind, Reference, Setting
from optsearch.search.scoring.reference import HurdleConfig, ReferenceRule
from optsearch.search.session import Session
from optsearch.search.workers.ray_evaluator import Parcel, RayEvaluator

SETTING = Setting("ae", (0,))
CHECKPOINTS = tuple(range(30, 301, 30))
PROGRAMS = 80


@pytest.fixture(scope="module")
def ray_evaluator(local_ray: Any) -> Iterator[RayEvaluator]:
    evaluator = RayEvaluator(SETTING, 2)
    yield evaluator
    evaluator.close()


def search(evaluator: Evaluator, ledger: Ledger | None = None, history: Any = None, stop: Any = None) -> Evolution:
    evolution = make_evolution(
        history, budget=Budget(programs=PROGRAMS), population=PopulationConfig(size=20, tournament=4)
    )
    rule = ReferenceRule(hurdle=HurdleConfig(), checkpoints=(CHECKPOINTS,))
    Session(evolution, evaluator, ledger or Ledger(), rule=rule).run(should_stop=stop)
    return evolution


@pytest.fixture(scope="module")
def undisturbed(ae_trainer: Any) -> str:
    evolution = search(InProcessEvaluator(SETTING, ae_trainer))
    assert set(evolution.progress.outcomes) == {"ok", "non_finite", "hurdle"}
    return evolution.population_digest()


def test_two_workers_find_the_same(ray_evaluator: RayEvaluator, undisturbed: str) -> None:
    assert search(ray_evaluator).population_digest() == undisturbed
    assert ray_evaluator.statistics.waited_s > 0.0
    assert len(ray_evaluator.statistics.machines) == 1


def test_one_worker_finds_the_same(local_ray: Any, ray_evaluator: RayEvaluator, undisturbed: str) -> None:
    while ray_evaluator._starting:
        ray_evaluator._ended(1.0)
    spare = RayEvaluator.__new__(RayEvaluator)  # one actor of the two: starting a process costs seconds
    one = {"_workers": ray_evaluator._workers[:1], "_flying": {}, "_loads": {0: 0}, "_free": [{0: None}, {}]}
    spare.__dict__ |= ray_evaluator.__dict__ | one
    assert spare.workers == 1
    assert search(spare).population_digest() == undisturbed


def test_interrupted_search_finds_the_same(ae_trainer: Any, undisturbed: str) -> None:
    ledger, evolution = Ledger(), None
    for _ in range(1000):
        turns = iter([False] * 9 + [True])
        history = ledger.history(36) if ledger.settled else None
        evolution = search(InProcessEvaluator(SETTING, ae_trainer), ledger, history, lambda turns=turns: next(turns))
        if evolution.finished:
            break
    assert evolution is not None
    assert evolution.population_digest() == undisturbed
    tickets = [e.ticket for e in ledger.evaluated]
    assert len(set(tickets)) == len(tickets)


def test_killed_workers_are_replaced(ray_evaluator: RayEvaluator, undisturbed: str) -> None:
    killed: list[int] = []

    def kill_sometimes() -> bool:
        kill_sometimes.calls += 1  # type: ignore[attr-defined]
        if kill_sometimes.calls == 12:  # type: ignore[attr-defined]
            killed.extend(worker_processes())
            for process in killed:
                os.kill(process, signal.SIGKILL)
        return False

    kill_sometimes.calls = 0  # type: ignore[attr-defined]
    assert search(ray_evaluator, stop=kill_sometimes).population_digest() == undisturbed
    assert len(killed) == 2
    assert ray_evaluator.statistics.replaced == 2
    assert not set(killed) & set(worker_processes())


def worker_processes() -> list[int]:
    """Processes of evaluation workers that this process's Ray has started."""
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if command.startswith(b"ray::_Worker") and _descends(int(folder.name)):
            found.append(int(folder.name))
    return found


def _descends(process: int) -> bool:
    while process > 1:
        if process == os.getpid():
            return True
        try:
            process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False


def test_exceptions_are_ours_and_name_the_program(ray_evaluator: RayEvaluator, ae_trainer: Any) -> None:
    job = Job(7, LIBRARY["lion"], Reference((((17, 1.0),),)))  # step 17 is no checkpoint: the trainer raises
    for evaluator in (InProcessEvaluator(SETTING, ae_trainer), ray_evaluator):
        evaluator.submit([job])
        with pytest.raises(EvaluationError) as caught:
            evaluator.collect(60.0)
        assert caught.value.ticket == 7
        assert caught.value.text == str(LIBRARY["lion"])
        assert "hurdle at step 17" in caught.value.details


@pytest.mark.parametrize("kind", JobKind)
def test_a_parcel_contains_the_whole_job(kind: JobKind) -> None:
    job = Job(7, LIBRARY["lion"], Reference((((30, 1.0),),), (2.0,), 0.5), keep_curves=True, kind=kind)
    assert Parcel.of(job).job() == job


def test_fitness_is_the_mean_over_seeds(ae_trainer: Any) -> None:
    job = Job(0, LIBRARY["adamw"], keep_curves=True)
    single = [evaluate(ae_trainer, Setting("ae", (seed,)), job) for seed in (1, 2)]
    both = evaluate(ae_trainer, Setting("ae", (1, 2)), job)
    assert both.value == sum(f.value or 0.0 for f in single) / 2
    assert both.steps == 600
    assert both.curves == (*single[0].curves, *single[1].curves)
    assert evaluate(ae_trainer, Setting("ae", (1,)), Job(0, LIBRARY["adamw"])).curves == ()


def test_first_failing_seed_ends_the_evaluation(ae_trainer: Any) -> None:
    reference = Reference((((60, 1e-6),), ((60, 1e-6),)))
    fitness = evaluate(ae_trainer, Setting("ae", (1, 2)), Job(0, LIBRARY["adamw"], reference))
    assert (fitness.value, fitness.outcome, fitness.steps) == (None, "hurdle", 60)


def test_hurdles_follow_from_the_warm_start() -> None:
    warm = Fitness(0.5, "ok", 20, 0.1, ((4.0, 2.0, -1.0), (5.0, 3.0, -2.0)))
    config, steps = HurdleConfig(factor=1.5, at=[0.3, 1.0, 0.29]), ((10, 20, 30),)
    expected = (((10, 6.0), (30, -0.5)), ((10, 7.5), (30, -1.0)))
    assert ReferenceRule(config, None, steps, 2).derive(warm) == Reference(expected)
    assert ReferenceRule(None, None, steps, 2).derive(warm) == Reference()
    assert ReferenceRule(config, None, steps, 2).derive(Fitness(None, "non_finite", 5, 0.1)) == Reference()


def test_the_workers_cores_go_to_a_pool(ray_evaluator: RayEvaluator) -> None:
    """The last test of this file: nothing is evaluated afterwards."""
    assert ray_evaluator.workers == 2
    pool = ray_evaluator.pool(sum)
    for number in range(3):
        pool.submit(number, [number, 10])
    assert sorted(pool.collect() for _ in range(3)) == [(0, 10), (1, 11), (2, 12)]
    assert ray_evaluator.workers == 0
