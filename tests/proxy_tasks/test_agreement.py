"""Interpreted and compiled training give equal losses on every proxy, for known and generated programs."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from installed_data import skip_without_package

from optsearch.dsl.generate import random_program
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program, Statement
from optsearch.proxy_tasks.outcome import Outcome
from optsearch.proxy_tasks.registry import TASKS
from optsearch.proxy_tasks.task import RUNGS
from optsearch.proxy_tasks.trainer import Method, Trainer

PROXIES = [name for name, task in TASKS.items() if task.rung == RUNGS[0]]
GENERATED = 5
MOST_STEPS = 1000
"""Steps of the longer proxies: rounding has grown by then."""


def slow_step(program: Program) -> Program:
    """The program with bounded, small steps: no run is chaotic then, and the ways differ by rounding only."""
    small = (Statement("update", "clip", ("update", 1.0)), Statement("update", "multiply", ("update", 1e-4)))
    return Program(program.state, (*program.body, *small))


def generated() -> dict[str, Program]:
    rng = np.random.default_rng(4)
    programs = [random_program(rng, statements=int(rng.integers(1, 12))) for _ in range(GENERATED)]
    return {f"generated {number}": slow_step(program) for number, program in enumerate(programs)}


PROGRAMS = {name: slow_step(program) for name, program in LIBRARY.items()} | generated()


@cache
def trainer(task: str, method: Method) -> Trainer:
    chosen = TASKS[task]
    skip_without_package(chosen)
    return Trainer(replace(chosen, steps=min(chosen.steps, MOST_STEPS)), method=method)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("task", PROXIES)
def test_both_ways_give_the_same_losses(task: str, name: str) -> None:
    interpreted, compiled = (trainer(task, method).run(PROGRAMS[name], 0) for method in ("interpret", "compile"))
    assert interpreted.outcome is compiled.outcome
    np.testing.assert_allclose(interpreted.train_losses, compiled.train_losses, rtol=2e-3)
    if interpreted.outcome is Outcome.OK:
        losses = [np.array([result.loss, result.test_loss], float) for result in (interpreted, compiled)]
        np.testing.assert_allclose(*losses, rtol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("task", PROXIES)
def test_adamw_agrees_at_its_own_rate(task: str) -> None:
    interpreted, compiled = (trainer(task, method).run(LIBRARY["adamw"], 0) for method in ("interpret", "compile"))
    np.testing.assert_allclose(interpreted.train_losses, compiled.train_losses, rtol=2e-3)
    np.testing.assert_allclose([interpreted.loss], [compiled.loss], rtol=2e-3)  # type: ignore[list-item]
