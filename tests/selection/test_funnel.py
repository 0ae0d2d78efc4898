"""A funnel rejects programs that overfit the proxy and keeps sound ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from invented import Invented, ended
from pydantic import ValidationError

from optsearch.dsl.library import LIBRARY
from optsearch.dsl.syntax import parse
from optsearch.proxy_tasks.outcome import Outcome
from optsearch.proxy_tasks.run import Trained
from optsearch.search.pool import Here
from optsearch.search.settings.config_errors import ConfigError
from optsearch.search.settings.settings import load_settings
from optsearch.selection.behaviour import direction, stand_ins
from optsearch.selection.contender import Contender, TrainingJob
from optsearch.selection.funnel import (
    FunnelConfig,
    KeepConfig,
    RankCorrelation,
    StageConfig,
    rank_correlation,
    run_stage,
)
from optsearch.selection.problem import Problem

AE, DIGITS = Problem("ae"), Problem("digits")

OVERFITTED = parse("""def train(w, g, m, v, lr):
  g2 = square(g)
  m = interp(g, m, 0.6)
  v = interp(g2, v, 0.9)
  sqrt_v = sqrt(v)
  update = m / sqrt_v
  size = norm(w)
  size = global_norm(g)
  size = maximum(size, 2.5)
  size = size - 2.5
  size = size * 1000.0
  update = update + size
  lr = lr * 0.005
  update = update * lr
  return update, m, v
""")
"""Good on `ae`, whose gradients are small; where they are larger it drives the weights off."""


BEST = dict.fromkeys(("overfitted", "lion", "good"), 1.0)


def contenders() -> list[Contender]:
    return [
        Contender("overfitted", OVERFITTED),
        Contender("lion", LIBRARY["lion"]),
        Contender("good", LIBRARY["adamw"]),
    ]


def stage(**changes: object) -> StageConfig:
    settings = {"name": "one", "tasks": ["ae"], "trials": 4, "seeds": 4, "replicates": 2, "baselines": ["adamw"]}
    return StageConfig.model_validate(settings | changes)


def test_who_is_worse_than_the_baseline_falls_and_the_limit_counts_those_who_pass() -> None:
    pool = Invented(
        {"overfitted": 1.0, "lion": 1.0, "good": 1.0, "adamw": 1e-3}, {"overfitted": 3.0, "good": 0.8, "lion": 0.9}
    )
    config = stage(keep={"best": 1, "beats": ["adamw"]}, seeds=8)
    verdicts = run_stage(config, 0, [AE, DIGITS], contenders(), pool=Here(pool)).verdicts
    assert [(v.contender, v.passed) for v in verdicts] == [
        ("good", True),
        ("lion", False),
        ("overfitted", False),
        ("adamw", False),
    ]
    assert [v.why.partition(" by ")[0] for v in verdicts] == [
        "rank 1 of 3",
        "rank 2 of 3, and 1 go on",
        "worse than tuned adamw",
        "for comparison",
    ]


def test_an_overfitted_program_leads_on_its_proxy_and_falls_on_another_task() -> None:
    first = run_stage(stage(trials=0, baselines=[], keep={"best": 3}), 0, [AE], contenders())
    assert first.survivors[0] == "overfitted"
    left = [contender for contender in contenders() if contender.name in first.survivors]
    second = run_stage(stage(trials=6, keep={"best": 2}, baselines=[]), 1, [DIGITS], left)
    assert second.survivors == ["good", "lion"]


def test_certainty_needs_enough_replicates() -> None:
    pool = Invented(BEST | {"adamw": 1e-3}, {"good": 0.5})
    for replicates, passed in ((3, []), (6, ["good"])):
        config = stage(keep={"beats": ["adamw"], "certain": True}, replicates=replicates, seeds=2)
        assert run_stage(config, 0, [AE], contenders(), pool=Here(pool)).survivors == passed


class _Fading(Invented):
    """Results in which the program ``good`` loses its lead over longer training."""

    def __call__(self, job: TrainingJob) -> Trained:
        found = super().__call__(job)
        if job.contender.name != "good" or found.result.outcome is not Outcome.OK:
            return found
        return ended(found.result.loss + 0.1 * math.log2(job.problem.horizon or 1.0))


def test_a_lead_that_fades_is_not_enough() -> None:
    pool = _Fading(BEST | {"adamw": 1e-3}, {"good": 0.4, "lion": 0.5, "overfitted": 1.5})
    longer = [Problem("ae", horizon=times) for times in (1.0, 4.0, 16.0)]
    for lasting, passed in ((False, ["lion", "good"]), (True, ["lion"])):
        config = stage(keep={"beats": ["adamw"], "lasting": lasting}, replicates=4, seeds=2, horizons=[1.0, 4.0, 16.0])
        found = run_stage(config, 0, longer, contenders(), pool=Here(pool))
        assert found.survivors == passed
    verdicts = {row.contender: row.why for row in found.verdicts}
    assert verdicts["good"] == "its lead over tuned adamw fades with the steps on ae"
    trend = {(row.contender, row.opponent): row.verdict for row in found.evaluation.trends}
    assert (trend["good", "adamw"], trend["lion", "adamw"]) == ("fades", "holds")


def test_one_setting_for_all_tasks_in_a_stage() -> None:
    config = stage(shared=True, baselines=["adamw"])
    found = run_stage(config, 0, [AE, DIGITS], contenders(), pool=Here(Invented(BEST | {"adamw": 1e-3})))
    values = {(row.contender, row.replicate): set[object]() for row in found.evaluation.tuning}
    for row in found.evaluation.tuning:
        values[row.contender, row.replicate].add(row.tuned.values)
    assert all(len(each) == 1 for each in values.values())


def test_stages_have_fresh_seeds_of_their_own() -> None:
    pool = Invented(BEST)
    config = stage(trials=0, baselines=[])
    for number in range(3):
        run_stage(config, number, [AE], contenders(), pool=Here(pool))
    assert len({job.seed for job in pool.jobs}) == 12


def test_rankings_are_compared_over_programs_that_both_stages_have() -> None:
    before, after = {"a": 1.0, "b": 2.0, "c": 3.0, "d": None}, {"a": 5.0, "b": 6.0, "d": 1.0}
    assert rank_correlation(before, after) == RankCorrelation(1.0, 2)
    assert rank_correlation({"a": 1.0}, {"a": 2.0}) is None


def test_behaviour_leaves_out_scale_and_dead_code_and_little_else() -> None:
    def scaled(factor: str) -> str:
        return str(LIBRARY["adamw"]).replace("lr * 0.001", f"lr * {factor}")

    same = [parse(scaled("0.001")), parse(scaled("0.003")), parse(scaled("0.001").replace("0.9)", "0.9001)"))]
    assert stand_ins(same, 0.02) == [0, 0, 0]
    assert stand_ins(same, 0.0) == [0, 1, 2]
    assert stand_ins(list(LIBRARY.values()), 0.02) == list(range(len(LIBRARY)))
    mine, raw = direction(LIBRARY["lion"]), direction(LIBRARY["lion-raw"])
    assert mine is not None
    assert raw is not None
    assert float(np.linalg.norm(mine - raw)) < 0.8
    assert direction(parse("def train(w, g, lr):\n  update = g * 0.0\n  return update\n")) is None


GOOD = "name: f\nstages:\n  - {name: a, tasks: [ae], keep: {best: 2}}\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("name: a", "name: a, seds: 4"), "stages.0.seds: unknown key; did you mean 'seeds'?"),
        (("name: a", "name: a, baselines: [adamww]"), "unknown baseline 'adamww': did you mean 'adamw'?"),
        (("best: 2", "beats: [muon]"), "keep.beats names 'muon', which is not among the stage's baselines"),
        (("best: 2", "certain: true"), "keep.certain requires keep.beats"),
        (("keep: {best: 2}", "replicates: 1, keep: {beats: [adamw], certain: true}"), "two or more replicates"),
        (("best: 2", "lasting: true"), "keep.lasting requires keep.beats"),
        (("keep: {best: 2}", "keep: {beats: [adamw], lasting: true}"), "keep.lasting requires two or more horizons"),
        (("name: a", "name: a, shared: true, trials: 0"), "shared requires trials"),
        (("name: a", "name: a, replicates: 51"), "stages.0.replicates: must be at most 50, got 51"),
        (("best: 2", "best: 0"), "stages.0.keep.best: must be at least 1, got 0"),
        (("stages:", "stages:\n  - {name: a, tasks: [ae]}"), "two stages have the same name"),
    ],
)
def test_mistakes_are_named(change: tuple[str, str], message: str) -> None:
    assert load_settings(FunnelConfig, GOOD, "f.yaml").stages[0].keep == KeepConfig(best=2)
    with pytest.raises(ConfigError) as error:
        load_settings(FunnelConfig, GOOD.replace(*change), "f.yaml")
    assert message in str(error.value)
    assert "f.yaml" in str(error.value)


def test_no_stages_is_no_funnel() -> None:
    with pytest.raises(ValidationError):
        FunnelConfig(name="f", stages=[])
