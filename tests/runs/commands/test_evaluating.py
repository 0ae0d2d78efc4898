"""`evaluate`: rows, comparisons, and tasks that are not held out."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import Command

from optsearch.dsl.library import LIBRARY
from optsearch.proxy_tasks.run import Trained
from optsearch.selection.contender import TrainingJob

QUICK = ["--task", "digits", "--seeds", "2", "--replicates", "2", "--tune", "2", "--workers", "0"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_row_for_each_contender_task_and_seed(optsearch: Command) -> None:
    command = ["evaluate", "lion", *QUICK, "--task", "ae", "--baseline", "lion"]
    result = optsearch(*command, "--json").json()
    seeds = [result["seeds"][:2], result["seeds"][2:]]
    assert [(row["task"], row["contender"], row["replicate"], row["seed"]) for row in result["rows"]] == [
        (task, name, replicate, seed)
        for task in ("digits", "ae")
        for name in ("lion (program)", "lion")
        for replicate in (0, 1)
        for seed in seeds[replicate]
    ]
    program, control = result["rows"][0], result["rows"][4]
    assert program["outcome"] == control["outcome"] == "ok"
    assert np.isclose(program["test_loss"], control["test_loss"], rtol=1e-3), "the same optimizer, tuned alike"
    assert np.isclose(program["values"]["rate"], 1e4 * control["values"]["rate"])
    assert np.isclose(program["values"]["weight_decay"], control["values"]["weight_decay"])
    assert [row["verdict"] for row in result["comparisons"]] == ["undecided"] * 2
    assert len(program["train_losses"]) == len(program["validation_losses"]) == len(result["checkpoints"][0])
    assert program["validation_losses"][-1] == program["loss"]
    assert result["target"] == "validation loss"
    assert result["warnings"] == []
    assert [len(entry["trials"]) for entry in result["tuning"]] == [2] * 8
    assert [(row["opponent"], row["tasks"]) for row in result["headlines"]] == [("lion", 2)]
    assert {row["contender"] for row in result["estimates"]} == {"lion (program)", "lion"}
    assert result["replicates"] == 2
    assert result["trivial"]["digits"] == pytest.approx(np.log(10), abs=1e-3)
    assert result["untuned"] == {"lion (program)": [], "lion": []}
    words = optsearch(*command).out
    assert f"0 training runs made, {result['trained_runs'] + result['known_runs']} known before" in words
    assert "Time to the validation loss that lion has after three quarters of its steps" in words
    assert "lion (program) shows no difference from lion" in words
    assert "for 3 tests at least 5 replicates are needed to show anything" in words


def test_steps_are_timed_on_request(optsearch: Command) -> None:
    command = ["evaluate", "sgd", *QUICK, "--tune", "0", "--baseline", "sgd"]
    assert optsearch(*command, "--json").json()["step_times"] == []
    assert "Compiled step" not in optsearch(*command).out
    result = optsearch(*command, "--time", "--json").json()
    assert [(row["task"], row["contender"]) for row in result["step_times"]] == [
        ("digits", "sgd (program)"),
        ("digits", "sgd"),
    ]
    assert all(row["milliseconds"] > 0.0 and row["low"] <= row["ratio"] <= row["high"] for row in result["step_times"])
    assert result["step_times"][1]["ratio"] == 1.0
    assert result["looks"]["sgd (program)"] == {"digits": 0}, "the same comparison"
    said = optsearch(*command, "--time")
    assert "Timing the compiled step of 2 contenders on 1 task, in 7 rounds" in " ".join(said.err.split())
    assert "operations  state bytes  ms a step  to sgd" in said.out


def test_a_batch_size_is_a_problem_of_its_own(optsearch: Command) -> None:
    result = optsearch("evaluate", "sgd", *QUICK, "--baseline", "sgd", "--batch", "128", "--tune", "0", "--json").json()
    assert result["tasks"] == ["digits@128"]
    assert [row["steps"] for row in result["rows"]] == [75] * 4


def test_programs_of_one_name_are_told_apart(optsearch: Command) -> None:
    for folder in ("a", "b"):
        Path(folder).mkdir()
        Path(folder, "mine.txt").write_text(str(LIBRARY["sgd"]))
    options = ["--task", "ae", "--seeds", "2", "--tune", "0", "--baseline", "SGD", "--workers", "0", "--json"]
    result = optsearch("evaluate", "a/mine.txt", "b/mine.txt", "a/mine.txt", *options).json()
    assert result["contenders"] == ["a/mine.txt", "b/mine.txt", "sgd"]
    assert result["trained_runs"] == 4, "equal programs are trained once"


def test_a_program_of_a_run_is_not_held_out_on_the_runs_task(optsearch: Command, small_run: Path) -> None:
    shutil.copytree(small_run, "small")  # the evaluation is recorded in it
    options = ["--seeds", "2", "--tune", "0", "--baseline", "sgd", "--workers", "0", "--json"]
    result = optsearch("evaluate", "small:best", "--task", "ae", "--task", "digits", *options)
    assert result.json()["warnings"] == [
        "Not held out: small was selected on 'ae' by its search, so that its results there are biased in its favour."
    ]


def test_an_interruption_says_how_to_go_on(optsearch: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(job: TrainingJob) -> Trained:
        raise KeyboardInterrupt

    monkeypatch.setattr("optsearch.runs.commands.evaluate.run_job", interrupted)
    said = optsearch("evaluate", "lion", *QUICK)
    assert said.code == 130
    assert "The same command resumes." in " ".join(said.err.split())


def test_seeds_that_were_looked_at_are_passed_over(optsearch: Command) -> None:
    def seeds(*options: str) -> list[int]:
        command = ["evaluate", "sgd", *QUICK, "--baseline", "sgd", "--tune", "0", *options, "--json"]
        return list(optsearch(*command).json()["seeds"])

    assert seeds("--seeds", "2", "--skip-seeds", "3") == seeds("--seeds", "5")[3:]


def test_one_tuning_gives_no_verdict_on_optimizers(optsearch: Command) -> None:
    command = ["evaluate", "lion", *QUICK, "--baseline", "sgd", "--replicates", "1"]
    (row,) = optsearch(*command, "--json").json()["comparisons"]
    assert (row["verdict"], row["p_value"]) == ("of these settings", None)
    words = " ".join(optsearch(*command).out.split())
    assert "One tuning does not compare the optimizers." in words
    assert " better " not in words
    assert " worse " not in words


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--space", "betas=0:1"], "unknown kind of hyperparameter 'betas': did you mean 'beta'?"),
        (["--space", "beta=0:0.5"], "excludes the reference 0.9"),
        (["--baseline", "adamww"], "unknown baseline 'adamww': did you mean 'adamw'?"),
        (["--seeds", "1000", "--skip-seeds", "1500"], "2,500 fresh seeds requested for each replicate"),
        (["--replicates", "51"], "--replicates"),
    ],
)
def test_bad_settings_are_named_before_any_training(optsearch: Command, options: list[str], says: str) -> None:
    found = optsearch("evaluate", "lion", *QUICK, *options)
    assert found.code == 2
    assert says in " ".join(found.err.split())
    assert not Path("optsearch-runs", "trainings.sqlite").exists() or "training runs:" not in found.err


def test_looks_at_fresh_seeds_are_counted(optsearch: Command) -> None:
    def looks(*options: str) -> int:
        command = ["evaluate", "sgd", *QUICK, "--baseline", "sgd", "--tune", "0", *options, "--json"]
        return int(optsearch(*command).json()["looks"]["sgd (program)"]["digits"])

    assert looks() == 0
    assert looks() == 0, "the same comparison again"
    assert looks("--seeds", "3") == 1
    assert looks("--skip-seeds", "2") == 1, "one of the seeds was used"
    assert looks("--skip-seeds", "5") == 0
    words = optsearch("evaluate", "sgd", *QUICK, "--baseline", "sgd", "--tune", "0").out
    assert "1 other comparison of these programs used some of these fresh seeds" in " ".join(words.split())
