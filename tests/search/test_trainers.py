"""Trainers of a process: compiled once for all its searches, without an effect on results."""

from __future__ import annotations

from dataclasses import replace

import pytest

from optsearch.dsl.library import LIBRARY
from optsearch.proxy_tasks.registry import TASKS
from optsearch.proxy_tasks.run import TrainingRun
from optsearch.search.scoring.evaluate import InProcessEvaluator, Trainers, train_alone, trainers_of_process
from optsearch.search.scoring.fitness import Fitness, Job, Reference, Setting


def search(*names: str) -> list[Fitness]:
    """Fitness of library programs in a search of its own."""
    evaluator = InProcessEvaluator(Setting("ae", (0,)))
    evaluator.submit([Job(number, LIBRARY[name], Reference(None, (), None)) for number, name in enumerate(names)])
    return [replace(fitness, seconds=0.0) for _ in names for _, fitness in evaluator.collect(0.0)]


def test_searches_and_finals_of_a_process_compile_once_and_find_the_same(ae_trainer: Trainers) -> None:
    first = search("adamw")
    trainer = trainers_of_process("auto", 1)["ae"]
    compilations = trainer.compilations
    assert compilations > 0
    assert search("lion", "adamw")[1:] == first
    run = TrainingRun(LIBRARY["adamw"], 3)
    assert train_alone(("ae", run)) == ae_trainer["ae"].run_all([run])[0], "another trainer, with another past"
    assert ae_trainer["ae"] is not trainer
    assert trainer.compilations == compilations


def test_trainers_differ_by_method_and_lanes() -> None:
    shared = [trainers_of_process(method, lanes) for method in ("auto", "interpret") for lanes in (1, 4)]
    assert len({id(trainers) for trainers in shared}) == 4
    made = [trainers["quadratic"] for trainers in shared]
    assert [(trainer.method, trainer.lanes) for trainer in made] == [
        ("auto", 1), ("auto", 4), ("interpret", 1), ("interpret", 4),
    ]  # fmt: skip


def test_a_task_that_is_registered_anew_has_a_new_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    trainers = Trainers()
    before = trainers["quadratic"]
    assert trainers["quadratic"] is before
    other = replace(TASKS["quadratic"], name="quadratic")
    monkeypatch.setattr("optsearch.proxy_tasks.registry.TASKS", {**TASKS, "quadratic": other})
    assert trainers["quadratic"].task is other
