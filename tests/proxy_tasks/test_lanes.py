"""Batched runs equal separate runs up to rounding, independently of the other lanes."""

from __future__ import annotations

import numpy as np
import pytest
from shared_trainers import shared_trainer

from optsearch.dsl.generate import random_program
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program, Statement
from optsearch.dsl.syntax import parse
from optsearch.proxy_tasks.hurdle import Hurdle
from optsearch.proxy_tasks.outcome import Outcome, TrainingResult
from optsearch.proxy_tasks.registry import TASKS
from optsearch.proxy_tasks.run import TrainingRun
from optsearch.proxy_tasks.trainer import Trainer

DIVERGING = parse("def train(w, g, lr):\n  update = g * -1e30\n  return update\n")
STILL = parse("def train(w, g, lr):\n  update = g * 0.0\n  return update\n")
LANES = 4


@pytest.fixture(scope="module", params=[False, pytest.param(True, marks=pytest.mark.slow)], ids=["serial", "grouped"])
def together(request: pytest.FixtureRequest) -> Trainer:
    return Trainer(TASKS["ae"], method="interpret", lanes=LANES, grouped=request.param)


def runs(interpreter: Trainer) -> list[TrainingRun]:
    """More than there are lanes, so that the last go with idle ones: other seeds, rates, hurdles, ends and lengths."""
    start = interpreter.run(STILL, 0).train_losses[1]
    checkpoint = interpreter.task.checkpoints[1]
    small = (Statement("update", "clip", ("update", 1.0)), Statement("update", "multiply", ("update", 1e-4)))
    program = random_program(np.random.default_rng(1), statements=12)
    return [
        TrainingRun(LIBRARY["adamw"], 0),
        TrainingRun(LIBRARY["lion"], 1, rate=0.5),
        TrainingRun(DIVERGING, 0),
        TrainingRun(STILL, 0, hurdle=Hurdle(((checkpoint, start * 0.9),))),
        TrainingRun(Program(program.state, (*program.body, *small)), 2),
        TrainingRun(LIBRARY["sgd"], 3, rate=0.1),
    ]


def agree(first: TrainingResult, second: TrainingResult) -> None:
    assert (first.outcome, first.steps) == (second.outcome, second.steps)
    np.testing.assert_allclose(first.train_losses, second.train_losses, rtol=1e-3)
    losses = [np.array([result.loss, result.loss_so_far], float) for result in (first, second)]
    np.testing.assert_allclose(*losses, rtol=1e-3)  # None is not a number, which equals itself here


def test_together_and_alone_agree(together: Trainer, interpreter: Trainer) -> None:
    chosen = runs(interpreter)
    results = together.run_all(chosen)
    for run, result in zip(chosen, results, strict=True):
        agree(result, interpreter.run(run.program, run.seed, rate=run.rate, hurdle=run.hurdle))
    assert {result.outcome for result in results} == {Outcome.OK, Outcome.HURDLE, Outcome.NON_FINITE}
    assert together.compilations == 1


def test_neighbours_change_no_bit(together: Trainer, interpreter: Trainer) -> None:
    chosen = runs(interpreter)
    alone = [together.run_all([run])[0] for run in chosen]
    assert together.run_all(chosen[::-1])[::-1] == together.run_all(chosen) == alone


def test_one_lane_is_the_trainer_itself(interpreter: Trainer) -> None:
    chosen = runs(interpreter)[:2]
    assert interpreter.run_all(chosen) == [interpreter.run(r.program, r.seed, rate=r.rate) for r in chosen]


def test_programs_that_are_compiled_take_part() -> None:
    trainer = shared_trainer("ae", "compile")
    assert trainer.run_all([TrainingRun(LIBRARY["sgd"], 0, 0.1)]) == [trainer.run(LIBRARY["sgd"], 0, rate=0.1)]


def test_a_trainer_has_a_lane() -> None:
    with pytest.raises(ValueError, match="at least 1 lane, got 0"):
        Trainer(TASKS["ae"], lanes=0)
