"""In a race, programs that are not better than the gate on the first seed are not trained on the others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from optsearch.dsl.library import LIBRARY
from optsearch.search.config import load_campaign
from optsearch.search.evaluate import Trainers, evaluate, evaluate_all
from optsearch.search.fitness import Fitness, FurtherTask, Job, Reference, Setting
from optsearch.search.reference import RaceConfig, ReferenceRule
from optsearch.search.settings.config_errors import ConfigError

SEEDS = Setting("ae", (0, 1, 2))
ADAMW, LION = LIBRARY["adamw"], LIBRARY["lion"]


def race(gate: float | None, losses: tuple[float, ...] = ()) -> Reference:
    return Reference(None, losses, race_below=gate)


def test_a_program_below_the_gate_is_trained_on_all_seeds(ae_trainer: Trainers) -> None:
    whole = evaluate(ae_trainer, SEEDS, Job(1, LION, race(None)))
    raced = evaluate(ae_trainer, SEEDS, Job(1, LION, race(1e9)))
    assert raced == replace(whole, seconds=raced.seconds)
    assert raced.steps == 900


def test_a_program_that_is_not_below_the_gate_keeps_its_loss_on_the_first_seed(ae_trainer: Trainers) -> None:
    first = evaluate(ae_trainer, replace(SEEDS, seeds=(0,)), Job(1, LION, race(None)))
    assert first.value is not None
    for gate in (first.value, 0.0):
        raced = evaluate(ae_trainer, SEEDS, Job(1, LION, race(gate)))
        assert raced == replace(first, seconds=raced.seconds)
        assert raced.steps == 300


def test_with_several_tasks_the_gate_is_a_score_on_the_first(ae_trainer: Trainers) -> None:
    both = replace(SEEDS, further=(FurtherTask(task="digits"),))
    losses = evaluate(ae_trainer, both, Job(0, ADAMW)).losses
    lost, won = (evaluate(ae_trainer, both, Job(1, LION, race(gate, losses))) for gate in (-2.0, 2.0))
    assert (len(lost.losses), len(won.losses)) == (1, 2)
    first = evaluate(ae_trainer, replace(SEEDS, seeds=(0,)), Job(1, LION)).value or 0.0
    assert lost.value == pytest.approx((first - losses[0]) / losses[0])
    assert won == replace(evaluate(ae_trainer, both, Job(1, LION, race(None, losses))), seconds=won.seconds)


def test_raced_jobs_are_what_each_is_alone(ae_trainer: Trainers) -> None:
    jobs = [Job(number, program, race(gate)) for number, (program, gate) in enumerate([(ADAMW, 1e9), (LION, 0.0)])]
    together = evaluate_all(ae_trainer, SEEDS, jobs)
    for one, job in zip(together, jobs, strict=True):
        assert one == replace(evaluate(ae_trainer, SEEDS, job), seconds=one.seconds)


def test_the_gate_follows_from_the_warm_start() -> None:
    warm = Fitness(0.5, "ok", 600, 0.1, ((0.6,) * 10,) * 2)
    rule = ReferenceRule(checkpoints=(tuple(range(30, 301, 30)),), seeds=2, race=RaceConfig(within=0.1))
    assert rule.derive(warm).race_below == pytest.approx(0.55)
    assert rule.derive(replace(warm, value=0.0, losses=(0.5, 0.7))).race_below == pytest.approx(0.1)
    assert rule.derive(Fitness(None, "non_finite", 3, 0.1)).race_below is None


def test_a_race_needs_two_seeds() -> None:
    text = "name: x\ntask: ae\nbudget: {programs: 10}\nrace: {}\n"
    with pytest.raises(ConfigError, match="at least two training_seeds"):
        load_campaign(text, "x.yaml")
    assert load_campaign(text + "training_seeds: [0, 1]\n", "x.yaml").race == RaceConfig()
