"""The rate sweep applies only near the top and is a pure function of the campaign's records."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import ValidationError

from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program
from optsearch.dsl.syntax import parse
from optsearch.search.scoring.evaluate import Trainers, evaluate, evaluate_all
from optsearch.search.scoring.fitness import Fitness, FurtherTask, Job, JobKind, Reference, Setting
from optsearch.search.scoring.reference import RateSweepConfig, ReferenceRule

OWN = Setting("ae", (0,))
SWEPT = replace(OWN, rates=(1 / 3, 3.0))
ADAMW = LIBRARY["adamw"]


def scaled(rate: float) -> Program:
    """AdamW at a multiple of its learning rate."""
    return parse(str(ADAMW).replace("lr * 0.001", f"lr * {0.001 * rate}"))


def job(program: Program, line: float | None) -> Job:
    return Job(1, program, Reference(None, (), line))


def test_the_best_rate_counts_and_is_known(ae_trainer: Trainers) -> None:
    losses = {rate: evaluate(ae_trainer, OWN, job(scaled(rate), None)).value or 0.0 for rate in (1 / 3, 1.0, 3.0)}
    fitness = evaluate(ae_trainer, SWEPT, job(ADAMW, 1e9))
    best = min(losses, key=lambda rate: losses[rate])
    assert best != 1.0
    assert fitness.rate == best
    assert fitness.value == pytest.approx(losses[best], rel=1e-3)
    assert fitness.steps == 900


def test_only_programs_below_the_line_are_tried_at_other_rates(ae_trainer: Trainers) -> None:
    own = evaluate(ae_trainer, OWN, job(ADAMW, None))
    assert own.value is not None
    for line in (None, own.value):
        assert evaluate(ae_trainer, SWEPT, job(ADAMW, line)) == replace(own, seconds=pytest.approx(0, abs=60))


def test_a_rate_that_fails_does_no_harm(ae_trainer: Trainers) -> None:
    wild = replace(OWN, rates=(1000.0,))
    program = parse("def train(w, g, lr):\n  update = g * 0.01\n  x = lr * 0.1\n  y = exp(x)\n  x = y * g\n"
                    "  z = exp(y)\n  z = z * 1e-3\n  update = g * z\n  return update\n")  # fmt: skip
    own, swept = (evaluate(ae_trainer, setting, job(program, 1e9)) for setting in (OWN, wild))
    assert (swept.value, swept.rate) == (own.value, 1.0)
    assert swept.steps > own.steps


def test_the_line_follows_from_the_warm_start() -> None:
    warm = Fitness(0.5, "ok", 300, 0.1, ((0.6,) * 10,))
    steps = (tuple(range(30, 301, 30)),)
    assert ReferenceRule(None, None, steps, 1).derive(warm).sweep_below is None
    assert ReferenceRule(None, RateSweepConfig(within=0.1), steps, 1).derive(warm).sweep_below == pytest.approx(0.55)
    several = replace(warm, value=-0.1, losses=(0.5, 0.7))
    assert ReferenceRule(None, RateSweepConfig(within=0.1), steps, 1).derive(several).sweep_below == pytest.approx(0.0)
    failed = Fitness(None, "non_finite", 3, 0.1)
    assert ReferenceRule(None, RateSweepConfig(), steps, 1).derive(failed).sweep_below is None


def test_the_warm_start_is_tried_at_every_rate_and_keeps_its_own_curves(ae_trainer: Trainers) -> None:
    own = evaluate(ae_trainer, OWN, Job(0, ADAMW, keep_curves=True))
    swept = evaluate(ae_trainer, SWEPT, Job(0, ADAMW, keep_curves=True))
    assert (swept.steps, swept.curves) == (900, own.curves)
    assert swept.value is not None
    assert own.value is not None
    assert swept.value < own.value


def test_with_several_tasks_the_score_is_that_of_the_best_rate(ae_trainer: Trainers) -> None:
    both = replace(SWEPT, further=(FurtherTask(task="digits"),))
    warm = evaluate(ae_trainer, both, Job(0, ADAMW))
    own = evaluate(ae_trainer, replace(both, rates=()), Job(0, ADAMW))
    assert warm.losses == own.losses
    assert warm.value is not None
    assert warm.value <= 0.0
    again = evaluate(ae_trainer, both, Job(1, ADAMW, Reference(None, warm.losses, 1.0)))
    assert (again.value, again.rate) == (warm.value, warm.rate)


@pytest.mark.parametrize("factors", [[1.0], [3.0, 3.0], [], [0.0]])
def test_factors_are_other_rates(factors: list[float]) -> None:
    with pytest.raises(ValidationError):
        RateSweepConfig(factors=factors)


def test_many_jobs_are_what_each_is_alone(ae_trainer: Trainers) -> None:
    diverging = parse("def train(w, g, lr):\n  update = g * -1e30\n  return update\n")
    setting = replace(SWEPT, seeds=(0, 1), validation=("digits", (2,)))
    jobs = [
        job(ADAMW, 1e9),
        job(LIBRARY["lion"], None),
        job(diverging, 1e9),
        Job(4, ADAMW, kind=JobKind.META_VALIDATION),
    ]
    alone = [evaluate(ae_trainer, setting, one) for one in jobs]
    for one, other in zip(evaluate_all(ae_trainer, setting, jobs), alone, strict=True):
        assert one == replace(other, seconds=one.seconds)


TRIED = Reference(None, (), 0.0, 60)
"""Every program is worse than the threshold; trials of 60 steps."""


@pytest.mark.parametrize("rate", [0.003, 0.1, 1.0, 30.0])
def test_a_program_with_an_unsuitable_rate_is_evaluated_at_the_most_promising_one(
    ae_trainer: Trainers, rate: float
) -> None:
    wide = replace(OWN, rates=(0.01, 0.1, 10.0, 100.0))
    fitness = evaluate(ae_trainer, wide, Job(1, scaled(rate), TRIED))
    trials = {f: ae_trainer["ae"].run(scaled(rate), 0, rate=f).train_losses[1] for f in (1.0, *wide.rates)}
    best = min(trials, key=lambda factor: trials[factor])
    whole = {f: ae_trainer["ae"].run(scaled(rate), 0, rate=f).loss for f in (1.0, best)}
    assert (fitness.rate, fitness.value) == min(whole.items(), key=lambda pair: pair[1] or 9.0)
    assert fitness.steps == 5 * 60 + 300 * len(whole)


def test_a_program_that_a_hurdle_stops_is_tried_at_other_rates(ae_trainer: Trainers) -> None:
    slow, wide = scaled(0.01), replace(OWN, rates=(0.1, 100.0))
    limits = (((60, 0.9),),)
    assert evaluate(ae_trainer, OWN, Job(1, slow, Reference(limits))).outcome == "hurdle"
    fitness = evaluate(ae_trainer, wide, Job(1, slow, Reference(limits, (), 0.7, 30)))
    assert (fitness.outcome, fitness.rate) == ("ok", 100.0)
    assert fitness.steps == 60 + 3 * 30 + 300


def test_a_program_better_than_the_warm_start_runs_no_trials(ae_trainer: Trainers) -> None:
    own = evaluate(ae_trainer, OWN, job(ADAMW, None))
    fitness = evaluate(ae_trainer, SWEPT, Job(1, ADAMW, Reference(None, (), 1e9, 60)))
    assert fitness == replace(own, seconds=fitness.seconds)


def test_a_program_that_fails_at_every_rate_keeps_its_outcome(ae_trainer: Trainers) -> None:
    diverging = parse("def train(w, g, lr):\n  update = g * -1e30\n  return update\n")
    own = evaluate(ae_trainer, OWN, Job(1, diverging, TRIED))
    swept = evaluate(ae_trainer, SWEPT, Job(1, diverging, TRIED))
    assert (swept.outcome, swept.value, swept.rate) == (own.outcome, None, 1.0)
    assert swept.steps > own.steps


def test_trials_last_to_a_checkpoint_of_the_first_task() -> None:
    warm = Fitness(0.5, "ok", 300, 0.1, ((0.6,) * 10,))
    rule = ReferenceRule(None, RateSweepConfig(trial=0.12), ((30, 60, 300), (7, 70)), 1)
    assert (rule.derive(warm).trial, rule.derive(warm).sweep_below) == (30, 0.5)
    with pytest.raises(ValidationError, match="leave one of them out"):
        RateSweepConfig(trial=0.1, within=0.1)
    tried = RateSweepConfig(trial=0.1)
    assert RateSweepConfig.model_validate(tried.model_dump()) == tried
