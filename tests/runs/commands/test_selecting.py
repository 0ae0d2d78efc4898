"""`select` keeps programs that pass, records them in the run, and resumes without repeating work."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from command_line import Command
from forged import forge

from optsearch.proxy_tasks.run import Trained
from optsearch.runs.cli.json_selections import selection_json
from optsearch.runs.commands.select import SHIPPED, load_funnel, run_selection
from optsearch.runs.store.reader import RUN_FILE
from optsearch.runs.store.schema import pack_program
from optsearch.runs.store.training_cache import FILE
from optsearch.runs.store.writer import RunStore
from optsearch.search.workers.ray_runtime import LOST, WorkerError
from optsearch.selection.contender import TrainingJob, run_job

FUNNEL = """
name: small
candidates: {per_run: 20, most: 3}
stages:
  - {name: fresh, tasks: [search], trials: 0, seeds: 4, baselines: [], keep: {best: 2}}
  - {name: other, tasks: [digits], trials: 2, replicates: 2, seeds: 2, baselines: [sgd], keep: {beats: [sgd]}}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_run: Path) -> Path:
    """A folder with a copy of the small run and a funnel; the command works there."""
    shutil.copytree(small_run, tmp_path / "small")
    (tmp_path / "small.yaml").write_text(FUNNEL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMAND = ["select", "small", "--funnel", "small.yaml", "--workers", "0"]


def found(view: dict[str, Any]) -> Any:
    """What does not depend on the clock."""
    keys = ("name", "tasks", "seeds", "verdicts", "bias", "rank_correlation")
    stages = [{**{key: stage[key] for key in keys}, "steps": stage["cost"]["steps"]} for stage in view["stages"]]
    return view["candidates"], stages, view["survivors"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, small_run: Path) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    shutil.copytree(small_run, folder / "small")
    (folder / "small.yaml").write_text(FUNNEL)
    result = run_selection([str(folder / "small")], str(folder / "small.yaml"), folder=folder, workers=0, quiet=True)
    return selection_json(result)


def test_a_funnel_says_who_passed_who_fell_and_what_it_cost(undisturbed: dict[str, Any]) -> None:
    fresh, other = undisturbed["stages"]
    assert undisturbed["status"] == "finished"
    assert [row["passed"] for row in fresh["verdicts"]] == [True, True, False]
    assert fresh["verdicts"][2]["why"] == "rank 3 of 3, and 2 go on"
    assert (fresh["cost"]["runs"], fresh["cost"]["steps"]) == (3 * 4, 3 * 4 * 300)
    assert other["cost"]["runs"] == 3 * 2 * (2 * 3 + 2)
    assert undisturbed["trained_runs"] == fresh["cost"]["runs"] + other["cost"]["runs"]
    assert fresh["bias"]["count"] == 3
    assert fresh["bias"]["programs"].keys() == {row["contender"] for row in fresh["verdicts"]}
    assert fresh["rank_correlation"]["programs"] == 3
    assert {row["contender"] for row in other["verdicts"]} == {*(r["contender"] for r in fresh["verdicts"][:2]), "sgd"}
    assert undisturbed["survivors"] == [row["contender"] for row in other["verdicts"] if row["passed"]]


def test_it_is_recorded_in_the_run_and_done_once(here: Path, optsearch: Command, undisturbed: dict[str, Any]) -> None:
    first = optsearch(*COMMAND, "--json").json()
    assert found(first) == found(undisturbed)
    again = optsearch(*COMMAND, "--json").json()
    assert (found(again), again["trained_runs"], again["study"]) == (found(first), 0, 1)
    with RunStore.read(here / "small") as reader:
        (study,) = reader.studies()
        assert (study.status, [stage.name for stage in study.stages]) == ("finished", ["fresh", "other"])
        assert study.stages[1].result == first["stages"][1]
    words = optsearch(*COMMAND).out
    assert "Stage 'other' on digits, 2 tunings, 2 fresh seeds each:" in words
    assert all(row["why"] in words for stage in first["stages"] for row in stage["verdicts"])
    assert optsearch("verify", "small", "--sample", "0").code == 0
    (listed,) = optsearch("show", "small", "--json").json()["studies"]
    assert (listed["funnel"], listed["status"], listed["survivors"]) == ("small", "finished", first["survivors"])
    for short, stage in zip(listed["stages"], first["stages"], strict=True):
        programs = [row for row in stage["verdicts"] if not row["baseline"]]
        assert short["passed"] == [row["contender"] for row in programs if row["passed"]]
        assert short["fell"] == [{k: r[k] for k in ("contender", "why")} for r in programs if not r["passed"]]
    shown = optsearch("show", "small").out
    assert "Study 1, funnel 'small' over small: finished" in shown
    assert "fresh on ae, 4 fresh seeds, 12 training runs" in shown
    assert all(
        f"{row['contender'].removeprefix('small:')}, {row['why']}" in shown
        for s in listed["stages"]
        for row in s["fell"]
    )
    said = optsearch("evaluate", "small:best", "--task", "digits", "--tune", "0", "--seeds", "2", "--workers", "0")
    assert "Not held out: small was selected on 'digits' by stage 'other' of study 1" in " ".join(said.err.split())


def test_killed_and_resumed_is_undisturbed(here: Path, optsearch: Command, undisturbed: dict[str, Any]) -> None:
    code = "import jax; jax.config.update('jax_platforms', 'cpu'); from optsearch.runs.cli.app import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *COMMAND], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    log = here / "optsearch-runs" / f"{FILE}-wal"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (log.exists() and log.stat().st_size > 60_000):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=60)
    resumed = optsearch(*COMMAND, "--json").json()
    assert found(resumed) == found(undisturbed)
    assert 0 < resumed["trained_runs"] < undisturbed["trained_runs"]


def test_a_cluster_lost_in_mid_stage_repeats_nothing(
    here: Path, optsearch: Command, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []

    def failing(job: TrainingJob) -> Trained:
        if len(trained) in (5, 20):
            trained.append("lost")
            raise WorkerError(LOST)
        trained.append(job.key)
        return run_job(job)

    monkeypatch.setattr("optsearch.runs.commands.select.run_job", failing)
    for _ in range(2):
        said = optsearch(*COMMAND)
        assert (said.code, "the cluster was lost" in said.err) == (1, True)
    assert found(optsearch(*COMMAND, "--json").json()) == found(undisturbed)
    keys = [key for key in trained if key != "lost"]
    assert len(keys) == len(set(keys)) == undisturbed["trained_runs"]


@pytest.mark.slow
def test_on_ray_the_same_is_found(here: Path, optsearch: Command, undisturbed: dict[str, Any]) -> None:
    assert found(optsearch(*COMMAND[:-1], "2", "--json").json()) == found(undisturbed)


def test_several_runs_take_turns_and_each_meaning_enters_once(here: Path, optsearch: Command) -> None:
    shutil.copytree(here / "small", here / "other")
    view = optsearch(
        "select", "small", "other", here / "small", "--funnel", "small.yaml", "--workers", "0", "--json",
        "--set", "stages=[{name: fresh, tasks: [search], trials: 0, seeds: 2, baselines: []}]",
    ).json()  # fmt: skip
    assert view["runs"] == ["small", "other"]
    assert view["considered"] == 40
    assert {candidate["name"].partition(":")[0] for candidate in view["candidates"]} == {"small"}
    for name in view["runs"]:
        with RunStore.read(here / name) as reader:
            assert [study.status for study in reader.studies()] == ["finished"]


def test_doubles_are_named_with_the_program_that_stands_for_them(here: Path, optsearch: Command) -> None:
    shutil.copytree(here / "small", here / "other")
    setting = "stages=[{name: fresh, tasks: [search], trials: 0, seeds: 2, baselines: []}]"
    command = ["select", "small", "other", "--funnel", "small.yaml", "--workers", "0", "--set", setting]
    view, words = optsearch(*command, "--json").json(), optsearch(*command).out
    names = [candidate["name"] for candidate in view["candidates"]]
    assert {double["stands"] for double in view["doubles"]} <= set(names)
    assert not {double["name"] for double in view["doubles"]} & set(names)
    for name in names:
        copy = name.replace("small:", "other:")
        assert {"name": copy, "stands": name, "same_meaning": True} in view["doubles"]
        line = next(line for line in words.splitlines() if line.startswith(f"  {name}: "))
        assert f"= {copy}" in line


def test_a_program_of_another_meaning_than_stored_is_named(here: Path, optsearch: Command) -> None:
    text = "def train(w, g, m, lr):\n  update = g * lr\n  return update, m\n"

    def other_state(row: list[Any]) -> None:
        row[5] = pack_program(text)

    with RunStore.read(here / "small") as reader:
        best = reader.leaderboard(reader.search("search"), 1)[0].ticket
    forge(here / "small", "tickets", f"arm = 0 AND ticket = {best}", other_state)
    said = optsearch(*COMMAND)
    assert said.code == 2
    assert f"small:{best}: the program has another meaning than was stored with it" in said.err
    assert (here / "small" / RUN_FILE).exists()
    for command in (["evaluate", f"small:{best}"], ["export", f"small:{best}"]):
        said = optsearch(*command)
        assert (said.code, "another meaning than was stored with it" in said.err) == (2, True)


def test_shipped_funnels_tune_everybody_at_every_larger_rung() -> None:
    names = [entry.name.removesuffix(".yaml") for entry in SHIPPED.iterdir() if entry.name.endswith(".yaml")]
    assert "ladder" in names
    for config in map(load_funnel, names):
        assert config.name in names
        assert config.description
        first, *larger = config.stages
        assert (first.tasks, first.trials) == (["search"], 0)
        for stage in larger:
            assert stage.trials >= 24
            assert set(stage.keep.beats) <= set(stage.baselines)
            assert stage.keep.beats


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("stages.0=1", "stages.0"),
        ("stages=[{name: a, tasks: [x1000]}]", "stage 'a': task 'ae' has no rung x1000: name a task, such as"),
        ("stages=[{name: a, tasks: [digts]}]", "unknown task 'digts': did you mean 'digits'?"),
        ("stages=[{name: a, tasks: [ae], seeds: 1000000}]", "stages.0.seeds: must be at most 2000, got 1000000"),
    ],
)
def test_mistakes_are_named_before_anything_is_trained(
    here: Path, optsearch: Command, setting: str, message: str
) -> None:
    said = optsearch(*COMMAND, "--set", setting)
    assert (said.code, message in said.err) == (2, True), said.err
    with RunStore.read(here / "small") as reader:
        assert reader.studies() == ()
