"""Campaigns with a first stage, all algorithms, extra state, meta-validation and several seeds."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from command_line import Command

from optsearch.dsl.syntax import parse

CAMPAIGN = """
name: staged
task: ae
budget: {programs: 25}
first_stage: {searches: 2, budget: {programs: 15}}
population: {size: 10, tournament: 3}
extra_state: [s]
look_ahead: 8
meta_validation: {task: digits, every_evaluations: 5}
controls: [constants, random]
finalists: {count: 1, seeds: 1}
fresh_seeds: 2
hurdle: {factor: 1.2, at: [0.1]}
"""


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("campaign") / "staged.yaml"
    file.write_text(CAMPAIGN)
    return file


@pytest.fixture(scope="module")
def staged(campaign: Path) -> Path:
    from optsearch.runs.commands.search import Campaign, load_named

    folder = campaign.parent / "run"
    Campaign(*load_named(str(campaign)), folder).run(workers=0, quiet=True)
    return folder


@pytest.fixture
def view(staged: Path, optsearch: Command) -> dict[str, Any]:
    return optsearch("show", staged, "--json").json()


def test_the_search_starts_from_the_best_of_the_first_stage(
    view: dict[str, Any], staged: Path, optsearch: Command
) -> None:
    assert [stage["name"] for stage in view["first_stage"]] == ["first-1", "first-2"]
    best = min((stage["best"] for stage in view["first_stage"]), key=lambda b: b["fitness"])
    lineage = optsearch("show", f"{staged}:best", "--json").json()["lineage"]
    assert lineage[-1]["id"] == best["id"]
    assert view["best"]["fitness"] <= best["fitness"]
    assert view["warm_start"]["id"] == "0"
    assert optsearch("show", f"{staged}:{best['id']}", "--json").json()["lineage"][-1]["id"] == "0"


def test_controls_have_the_evaluations_of_all_stages(view: dict[str, Any]) -> None:
    spent = view["evaluated"] + sum(stage["evaluated"] for stage in view["first_stage"])
    assert {control["name"]: control["evaluated"] for control in view["controls"]} == {
        "constants": spent,
        "random": spent,
    }


def test_extra_state_is_in_every_signature(view: dict[str, Any]) -> None:
    assert parse(view["best"]["text"]).state == ("m", "v", "s")


def test_the_best_of_each_moment_is_validated(view: dict[str, Any]) -> None:
    validation = view["meta_validation"]
    rows = validation["programs"]
    assert rows
    evaluations = [row["evaluations"] for row in rows]
    assert all(later - earlier >= 5 for earlier, later in itertools.pairwise(evaluations[:-1]))
    fitness = [row["fitness"] for row in rows]
    assert fitness == sorted(fitness, reverse=True)
    trained = [row for row in rows if row["loss"] is not None]
    assert validation["carry_forward"] == min(trained, key=lambda row: row["loss"])["id"]


def test_the_run_verifies(staged: Path, optsearch: Command) -> None:
    said = optsearch("verify", staged, "--sample", "1", "--json")
    assert said.code == 0, said.out
    assert {check["agrees"] for check in said.json()} == {True, None}  # None: what was not checked
    assert len(said.json()) == 14


def interrupted(campaign: Path, folder: Path, *settings: str) -> int:
    """Runs a campaign in many sittings; returns their number."""
    import threading

    from optsearch.runs.commands.search import Campaign, load_named

    class Impatient(threading.Event):
        asked = 0

        def is_set(self) -> bool:
            self.asked += 1
            return self.asked > 30

    config, text = load_named(str(campaign), settings)
    sittings = 0
    while Campaign(config, text, folder).run(workers=0, quiet=True, stop=Impatient()).interrupted:
        sittings += 1
    return sittings


def test_interruptions_change_nothing(campaign: Path, view: dict[str, Any], optsearch: Command, tmp_path: Path) -> None:
    assert interrupted(campaign, tmp_path / "run") > 2
    again = optsearch("show", tmp_path / "run", "--json").json()
    for key in ("population_digest", "first_stage", "controls", "best", "meta_validation", "comparison"):
        assert again[key] == view[key], key


@pytest.mark.parametrize("cases", ["training_seeds=[0, 1]", "further_tasks=[{task: lmmlp}]"])
def test_gates_that_follow_the_population_survive_interruptions_and_verify(
    campaign: Path, optsearch: Command, tmp_path: Path, cases: str
) -> None:
    from optsearch.runs.commands.search import Campaign, load_named
    from optsearch.runs.store.reader import RunReader
    from optsearch.runs.store.writer import RunStore

    plain = ("first_stage=~", "meta_validation=~", "controls=[]", cases, "budget.programs=80")
    race = "race={rotate: true, share: 0.2}"
    Campaign(*load_named(str(campaign), [*plain, race]), tmp_path / "whole").run(workers=0, quiet=True)
    assert interrupted(campaign, tmp_path / "run", *plain, race) > 1

    def evaluations(reader: RunReader) -> list[tuple[int, float | None, int]]:
        found = reader.evaluations(reader.search("search"))
        return sorted((result.ticket, result.fitness.value, result.fitness.steps) for result in found)

    with RunStore.read(tmp_path / "whole") as whole, RunStore.read(tmp_path / "run") as run:
        kept = evaluations(whole)
        assert evaluations(run) == kept
    (_, start, both), *others = kept
    assert start is not None
    lost = [ticket for ticket, value, steps in others if value is not None and value < start and steps == both // 2]
    assert lost, "programs better than the warm start lost against the gate of the population"
    assert optsearch("verify", tmp_path / "run", "--sample", "100").code == 0


def test_a_study_has_a_run_for_each_seed_and_a_summary(campaign: Path, optsearch: Command, tmp_path: Path) -> None:
    small = ["--set", "first_stage=~", "--set", "controls=[]", "--set", "meta_validation=~"]
    small += ["--set", "budget.programs=12"]
    said = optsearch("search", campaign, *small, "--seeds", "2", "--out", tmp_path, "--workers", "0", "--json")
    assert said.code == 0, said.err
    result = said.json()
    assert [run["seed"] for run in result["runs"]] == [0, 1] == result["study"]["seeds"]
    assert {path.name for path in tmp_path.iterdir()} == {"seed0", "seed1"}
    assert len({run["population_digest"] for run in result["runs"]}) == 2
    means = [run["best"]["fresh"]["mean"] for run in result["runs"]]
    estimate = result["study"]["best_fresh_loss"]
    assert estimate["mean"] == pytest.approx(sum(means) / 2)
    assert estimate["interval"][0] < estimate["mean"] < estimate["interval"][1]
    alone = optsearch("search", campaign, *small, "--seed", "1", "--out", tmp_path / "one", "--workers", "0", "--json")
    assert alone.json()["population_digest"] == result["runs"][1]["population_digest"]
    words = optsearch("search", campaign, *small, "--seeds", "2", "--out", tmp_path, "--workers", "0").out
    assert "Study of 2 seeds" in words


def test_controls_may_come_later(campaign: Path, optsearch: Command, tmp_path: Path) -> None:
    short = ["--set", "first_stage=~", "--set", "meta_validation=~", "--set", "budget.programs=12"]
    command = ["search", campaign, *short, "--out", tmp_path / "run", "--workers", "0", "--json"]
    before = optsearch(*command, "--set", "controls=[]").json()
    after = optsearch(*command, "--set", "controls=[random]").json()
    assert before["controls"] == []
    assert [control["name"] for control in after["controls"]] == ["random"]
    assert after["controls"][0]["evaluated"] == after["evaluated"]
    assert after["best"] == before["best"]
    assert after["population_digest"] == before["population_digest"]


def test_another_machine_is_said(staged: Path, campaign: Path, optsearch: Command, monkeypatch: Any) -> None:
    from optsearch.runs.commands import search as module

    monkeypatch.setattr(module, "about_machine", lambda: {**_about(staged), "processor": "Abacus"})
    said = optsearch("search", campaign, "--out", staged, "--workers", "0")
    assert said.code == 0
    assert "Abacus" in said.err
    assert "This machine differs" in said.err


def _about(folder: Path) -> dict[str, str]:
    from optsearch.runs.store.writer import RunStore

    with RunStore.read(folder) as reader:
        return json.loads(json.dumps(reader.meta("about")))
