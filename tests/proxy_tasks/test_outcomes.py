"""Every run of a bad program ends with an outcome, its message, the step, and the loss so far."""

from __future__ import annotations

import math

import numpy as np
import pytest

from optsearch.dsl.generate import random_program
from optsearch.dsl.program import Program
from optsearch.dsl.syntax import parse
from optsearch.proxy_tasks.hurdle import Hurdle
from optsearch.proxy_tasks.outcome import Outcome, TrainingResult
from optsearch.proxy_tasks.trainer import Trainer

SHARD = 1000
"""Programs of one slow test; there are twenty such tests, so that a run can be split and gone on with."""

BODIES = {
    "not a number": ("x = w * 9.0\n  update = arccos(x)", Outcome.NON_FINITE),
    "overflow": ("update = g * -1e30", Outcome.NON_FINITE),
    "infinite factor": ("x = g * 0.0\n  x = 1.0 / x\n  x = x * 3e38\n  update = x * g", Outcome.NON_FINITE),
    "infinite only where it is subtracted": ("x = exp(w)\n  update = x * 1e38", Outcome.NON_FINITE),
    "zero gradient": (
        "z = square(g)\n  z = sqrt(z)\n  z = g / z\n  z = z * 0.0\n  update = w + z",
        Outcome.OK,
    ),
    "no update": ("update = g * 0.0", Outcome.OK),
    "underflow": ("x = g * 1e-30\n  x = x * 1e-30\n  update = x / 1e-38", Outcome.OK),
}


@pytest.mark.parametrize("name", BODIES)
def test_numbers_that_lie(interpreter: Trainer, name: str) -> None:
    body, outcome = BODIES[name]
    result = interpreter.run(parse(f"def train(w, g, lr):\n  {body}\n  return update\n"), 0)
    assert result.outcome is outcome
    check(result, interpreter)
    if outcome is Outcome.NON_FINITE:
        assert result.steps <= 3
        assert result.loss_so_far is not None  # of the first step, before anything was updated


def test_a_run_that_is_stopped_says_how_far_it_came(interpreter: Trainer) -> None:
    still = parse("def train(w, g, lr):\n  update = g * 0.0\n  return update\n")
    free = interpreter.run(still, 0)
    place = interpreter.task.checkpoints[1]
    stopped = interpreter.run(still, 0, hurdle=Hurdle(((place, free.train_losses[1] * 0.99),)))
    assert (stopped.outcome, stopped.steps) == (Outcome.HURDLE, place)
    assert stopped.loss_so_far == free.train_losses[1]
    assert free.loss_so_far == free.train_losses[-1]


def check(result: TrainingResult, trainer: Trainer) -> None:
    """What holds for every result."""
    assert result.outcome.sentence
    checkpoints = trainer.task.checkpoints
    assert all(math.isfinite(loss) for loss in result.train_losses)
    assert result.loss_so_far is None or math.isfinite(result.loss_so_far)
    if result.outcome is Outcome.OK:
        assert result.steps == trainer.task.steps
        assert len(result.train_losses) == len(checkpoints)
        assert math.isfinite(result.loss or math.nan)
        assert math.isfinite(result.test_loss or math.nan)
    else:
        assert result.loss is result.test_loss is result.accuracy is None
        assert 1 <= result.steps <= trainer.task.steps
        passed = len(result.train_losses)
        assert passed == 0 or checkpoints[passed - 1] <= result.steps


def wild(rng: np.random.Generator) -> Program:
    """A random program; some of its constants are as large or small as numbers get."""
    program = random_program(rng, statements=int(rng.integers(1, 30)))
    extremes = (0.0, 1e-45, 1e-38, 1e-30, 1e30, 3e38, -1e30)
    body = [
        statement._replace(
            args=tuple(
                float(rng.choice(extremes)) if isinstance(arg, float) and rng.random() < 0.1 else arg
                for arg in statement.args
            )
        )
        for statement in program.body
    ]
    return Program(program.state, tuple(body))


@pytest.mark.parametrize(
    ("shard", "programs"),
    [(0, 150), *(pytest.param(shard, SHARD, marks=pytest.mark.slow) for shard in range(20))],
)
def test_every_random_program_ends_in_an_outcome(interpreter: Trainer, shard: int, programs: int) -> None:
    rng = np.random.default_rng(shard)
    seen: set[Outcome] = set()
    for _ in range(programs):
        result = interpreter.run(wild(rng), 0)
        check(result, interpreter)
        seen.add(result.outcome)
    assert seen == {Outcome.OK, Outcome.NON_FINITE}
