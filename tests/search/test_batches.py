"""Batched evaluations on a trainer with several lanes equal separate evaluations."""

from __future__ import annotations

from dataclasses import replace

import pytest
from made_up import Ledger, make_evolution

from optsearch.dsl.library import LIBRARY
from optsearch.dsl.syntax import parse
from optsearch.search.budget import Budget
from optsearch.search.scoring.evaluate import InProcessEvaluator, Trainers, evaluate
from optsearch.search.scoring.fitness import Job, Reference, Setting
from optsearch.search.scoring.reference import HurdleConfig, RateSweepConfig, ReferenceRule
from optsearch.search.session import Session

SETTING = Setting("ae", (0, 1), rates=(3.0,), lanes=4)
STOPPED = parse("def train(w, g, lr):\n  update = g * 0.0\n  return update\n")


def test_a_batch_is_what_each_is_alone(ae_trainer: Trainers) -> None:
    reference = Reference((((60, 0.8),), ((60, 0.8),)), (), 1e9)
    programs = [LIBRARY["adamw"], STOPPED, LIBRARY["momentum"], LIBRARY["adam"], LIBRARY["rmsprop"]]
    evaluator = InProcessEvaluator(SETTING)
    evaluator.submit([Job(number, program, reference) for number, program in enumerate(programs)])
    together = {job.ticket: fitness for job, fitness in evaluator.collect(0.0)}
    assert len(together) == SETTING.lanes
    together |= {job.ticket: fitness for job, fitness in evaluator.collect(0.0)}
    assert evaluator.collect(0.0) == []
    outcomes: set[str] = set()
    for number, program in enumerate(programs):
        alone = evaluate(ae_trainer, replace(SETTING, lanes=1), Job(number, program, reference))
        assert (together[number].value or 0.0) == pytest.approx(alone.value or 0.0, rel=1e-3)
        assert (together[number].outcome, together[number].steps) == (alone.outcome, alone.steps)
        assert together[number].rate == alone.rate
        outcomes.add(alone.outcome)
    assert outcomes == {"ok", "hurdle"}


def test_a_search_with_lanes_finds_the_same_however_jobs_are_batched() -> None:
    setting = Setting("ae", (0,), rates=(3.0,), lanes=4)
    evaluator = InProcessEvaluator(setting)
    digests: set[str] = set()
    for batch_size in (4, 7):
        evolution = make_evolution(budget=Budget(programs=40))
        checkpoints = (tuple(range(30, 301, 30)),)
        rule = ReferenceRule(HurdleConfig(), RateSweepConfig(factors=[3.0]), checkpoints)
        Session(evolution, evaluator, Ledger(), rule=rule, batch_size=batch_size).run()
        digests.add(evolution.population_digest())
    assert len(digests) == 1
