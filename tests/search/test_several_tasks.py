"""Fitness on several tasks: scores relative to the warm start, gates that never penalise, reproducible values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from optsearch.dsl.library import LIBRARY
from optsearch.dsl.syntax import parse
from optsearch.search.scoring.evaluate import Trainers, evaluate
from optsearch.search.scoring.fitness import FurtherTask, Job, JobKind, Reference, Setting
from optsearch.search.scoring.reference import ReferenceRule

OTHER = parse(str(LIBRARY["adamw"]).replace("0.01", "0.03"))
DIGITS = FurtherTask(task="digits")
BOTH = Setting("ae", (0,), further=(DIGITS,))


@pytest.fixture(scope="module")
def reference(ae_trainer: Trainers) -> Reference:
    warm = evaluate(ae_trainer, BOTH, Job(0, LIBRARY["adamw"], keep_curves=True))
    assert (warm.value, warm.outcome, len(warm.losses), len(warm.curves)) == (0.0, "ok", 2, 2)
    return ReferenceRule(None, None, ((30,), (30,)), 1).derive(warm)


def test_the_fitness_is_the_mean_score(ae_trainer: Trainers, reference: Reference) -> None:
    fitness = evaluate(ae_trainer, BOTH, Job(1, OTHER, reference))
    scores = [(loss - warm) / warm for loss, warm in zip(fitness.losses, reference.losses, strict=True)]
    assert fitness.value == pytest.approx(sum(scores) / 2)
    assert fitness.losses[0] == evaluate(ae_trainer, Setting("ae", (0,)), Job(1, OTHER)).value
    assert fitness.steps == 600
    assert evaluate(ae_trainer, BOTH, Job(0, LIBRARY["adamw"], reference)).value == 0.0


def test_scores_are_limited_and_scaled(ae_trainer: Trainers, reference: Reference) -> None:
    tiny = replace(BOTH, scale=1e-9, further=(FurtherTask(task="digits", scale=1e-9),))
    assert evaluate(ae_trainer, tiny, Job(1, OTHER, reference)).value in (-2.0, 0.0, 2.0)


@pytest.mark.parametrize(("gate", "tasks"), [(-2.0, 1), (2.0, 2)])
def test_a_gate_stops_or_caps(ae_trainer: Any, reference: Reference, gate: float, tasks: int) -> None:
    gated = replace(BOTH, further=(FurtherTask(task="digits", if_below=gate),))
    fitness = evaluate(ae_trainer, gated, Job(1, OTHER, reference))
    assert len(fitness.losses) == tasks
    first = (fitness.losses[0] - reference.losses[0]) / reference.losses[0]
    assert fitness.value is not None
    if tasks == 1:
        assert fitness.value == first >= gate
    else:
        assert fitness.value <= gate


def test_a_failure_on_any_task_is_a_failure(ae_trainer: Trainers, reference: Reference) -> None:
    stopped = Reference((((30, 1e9),), ((30, 1e-9),)), reference.losses)
    fitness = evaluate(ae_trainer, BOTH, Job(1, OTHER, stopped))
    assert (fitness.value, fitness.outcome, fitness.steps) == (None, "hurdle", 330)


def test_meta_validation_has_a_task_and_seeds_of_its_own(ae_trainer: Trainers) -> None:
    setting = Setting("ae", (0,), validation=("digits", (1, 2)))
    fitness = evaluate(ae_trainer, setting, Job(1, OTHER, kind=JobKind.META_VALIDATION))
    assert fitness == replace(evaluate(ae_trainer, Setting("digits", (1, 2)), Job(1, OTHER)), seconds=fitness.seconds)
