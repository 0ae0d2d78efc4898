"""`evaluate --script`: a whole comparison on real processes, resumption, errors, and what `--check` finds."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Command, Said

import optsearch as optsearch_package
from optsearch.dsl.library import LIBRARY
from optsearch.proxy_tasks.outcome import Outcome, TrainingResult
from optsearch.proxy_tasks.run import Trained
from optsearch.runs.commands import script_check
from optsearch.runs.store.training_cache import KeptPool, Trainings
from optsearch.search.pool import Here
from optsearch.selection.baselines.torch_optimizers import TORCH_BASELINES
from optsearch.selection.contender import Contender, TrainingJob, run_job
from optsearch.selection.problem import Problem
from optsearch.selection.scripts import execution
from optsearch.selection.scripts.script import ScriptRunError

sys.path.insert(0, str(Path(__file__).parents[2] / "selection"))  # both folders use the same scripts
from scripts_of_users import write

SMALL = ["--steps", "20", "--seeds", "2", "--replicates", "2", "--tune", "2", "--baseline", "adamw", "--workers", "0"]
RUNS = 2 * 2 * (6 + 2)

pytestmark = pytest.mark.usefixtures("torch_in_metadata")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(execution, "GRACE_S", 0.3)


def words(text: str) -> str:
    return " ".join(text.split())


def test_a_script_is_compared_on_as_a_task_is(optsearch: Command) -> None:
    write(Path(), "good")
    command = ["evaluate", "lion", "--script", "good.py", *SMALL]
    result = optsearch(*command, "--json").json()
    assert (result["trained_runs"], result["known_runs"]) == (RUNS, 0)
    assert result["tasks"] == ["good.py"]
    assert result["contenders"] == ["lion", "adamw"]
    assert {row["outcome"] for row in result["rows"]} == {"ok"}
    assert all(len(row["validation_losses"]) == 10 for row in result["rows"])
    assert [row["verdict"] for row in result["comparisons"]] == ["undecided"]
    for entry in result["tuning"]:
        assert entry["values"]["rate"] == (1.0 if entry["contender"] == "lion" else 1e-3), "the script's best rate"
    assert result["settings"]["script"]["command"].endswith("good.py")
    assert result["settings"]["script"]["contract"] == 1
    assert set(result["state_bytes"]) == {"lion", "adamw"}
    said = optsearch(*command)
    assert f"0 training runs made, {RUNS} known before" in words(said.out)
    assert "Each runs good.py for 20 steps with 1 CPU core and no GPU, for at most 3,600 s." in words(said.err)
    assert len(list(Path("optsearch-runs", "script-logs").iterdir())) == RUNS


def test_a_script_is_compared_on_at_several_numbers_of_steps(optsearch: Command) -> None:
    write(Path(), "good")
    once = ["evaluate", "lion", "--script", "good.py", *SMALL, "--tune", "1"]
    runs = 2 * 2 * (3 + 2)
    command = [*once, "--steps", "40,20"]
    said = optsearch(*command, "--json")
    result = said.json()
    assert result["trained_runs"] == 2 * runs
    assert result["tasks"] == ["good.py@1x", "good.py@2x"]
    assert [row["steps"] for row in result["trends"]] == [[20, 40]]
    assert {(row["task"], row["steps"]) for row in result["rows"]} == {("good.py@1x", 20), ("good.py@2x", 40)}
    assert "Each runs good.py for 20 or 40 steps" in words(optsearch(*command).err)
    again = optsearch(*once, "--json").json()
    assert (again["trained_runs"], again["known_runs"]) == (0, runs), "the runs of 20 steps are the same"


def test_a_killed_comparison_goes_on_and_repeats_nothing(tmp_path: Path, optsearch: Command) -> None:
    write(Path(), "slow")
    command = ["evaluate", "lion", "--script", "slow.py", *SMALL, "--tune", "0", "--steps", "10", "--json"]
    shell = [sys.executable, "-m", "optsearch", *command]
    first = subprocess.Popen(shell, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 60.0
    while len(list(tmp_path.glob("started-*"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    pids = [int(path.name.partition("-")[2]) for path in tmp_path.glob("started-*")]
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids), "a script outlived its comparison"
    with sqlite3.connect(Path("optsearch-runs", "trainings.sqlite")) as kept:
        (known,) = kept.execute("SELECT count(*) FROM trainings").fetchone()
    assert 2 <= known <= 3
    second = optsearch(*command)
    assert second.code == 0, second.err
    result = second.json()
    assert (result["known_runs"], result["trained_runs"]) == (known, 4 - known)


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--check"]])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_the_scripts(number: signal.Signals, options: list[str]) -> None:
    write(Path(), "hang")
    command = [sys.executable, "-m", "optsearch", "evaluate", "lion", "--script", "hang.py", *SMALL, *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 60.0
    while not running("hang.py") and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(number)
    _, said = process.communicate(timeout=30.0)
    assert process.returncode == 130, said
    while running("hang.py") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not running("hang.py")


def running(name: str) -> list[str]:
    """Processes in this folder that run a script of this name."""
    found: list[str] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            is_here = os.readlink(folder / "cwd") == os.getcwd()
            if is_here and (folder / "cmdline").read_bytes().split(b"\0")[1:2] == [name.encode()]:
                found.append(folder.name)
        except OSError:
            continue
    return found


@pytest.mark.slow
def test_runs_on_ray_end_with_their_command(optsearch: Command, tmp_path: Path) -> None:
    write(Path(), "good")
    command = ["evaluate", "lion", "--script", "good.py", *SMALL[:-2]]
    alone = optsearch(*command, "--workers", "0", "--json").json()
    on_ray = optsearch(*command, "--workers", "2", "--cpus-per-run", "1", "--kept-in", "other", "--json").json()
    assert on_ray["trained_runs"] == RUNS
    for key in ("comparisons", "estimates", "headlines"):
        assert on_ray[key] == alone[key]
    write(Path(), "ignores_sigterm")
    command = [sys.executable, "-m", "optsearch", "evaluate", "lion", "--script", "ignores_sigterm.py", *SMALL[:-2]]
    process = subprocess.Popen([*command, "--workers", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120.0
    while not Path("pids.txt").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    pids = Path("pids.txt").read_text().split()
    while any(Path("/proc", pid).exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(Path("/proc", pid).exists() for pid in pids)
    write(Path(), "crash_at_once")
    for options, says in (
        (["--workers", "1"], "no data set at /nowhere"),
        (["--gpus-per-run", "1000"], "each run requests 1000 GPUs, and no node has more than"),
    ):
        said = optsearch("evaluate", "lion", "--script", "crash_at_once.py", *SMALL[:-2], *options)
        assert said.code == 1
        assert says in words(said.err)


def test_a_run_that_a_higher_time_limit_may_complete_is_trained_again(tmp_path: Path) -> None:
    write(Path(), "good")
    script = optsearch_package.load_script("good.py", steps=20)
    job = TrainingJob(Contender("lion", LIBRARY["lion"]), Problem("good.py", script=script), (("rate", 1.0),), 1)
    stopped = Trained(TrainingResult(Outcome.TIME_LIMIT, None, None, None, 3, ()), 2.1, script.machine)
    trained = Trained(TrainingResult(Outcome.OK, 1.0, 1.0, None, 20, ()), 4.0, script.machine)
    kept = Trainings(tmp_path)
    found: list[Outcome] = []
    for limit, result in ((2.0, stopped), (2.0, trained), (1.0, trained), (3.0, trained), (3.0, stopped)):
        pool = KeptPool(kept, Here(lambda _, result=result: result), time_limit_s=limit)
        pool.submit(0, job)
        found.append(pool.collect()[1].result.outcome)
    kept.close()
    assert found == [Outcome.TIME_LIMIT] * 3 + [Outcome.OK] * 2


def test_a_comparison_is_recorded_in_the_run_of_its_program(optsearch: Command, small_run: Path) -> None:
    shutil.copytree(small_run, "small")
    write(Path(), "good")
    command = ["evaluate", "small:best", "--script", "good.py", *SMALL, "--tune", "0", "--json"]
    assert optsearch(*command).json()["warnings"] == []
    (study,) = optsearch("show", "small", "--json").json()["studies"]
    assert "good.py" in json.dumps(study)
    assert optsearch("report", "small").code == 0


def test_a_script_is_compared_on_from_python() -> None:
    write(Path(), "good")
    script = optsearch_package.load_script("good.py", steps=20)
    options = {"seeds": 2, "trials": 0, "workers": 0, "quiet": True}
    result = optsearch_package.evaluate("lion", script=script, **options)
    assert result.evaluation.contenders == ("lion", "adamw", "sgd")
    assert result.trained == 6


def test_an_extreme_trial_may_crash_and_the_own_setting_may_not() -> None:
    write(Path(), "crashes_at_low_rates")
    script = optsearch_package.load_script("crashes_at_low_rates.py", steps=20)
    extreme = TrainingJob(Contender("lion", LIBRARY["lion"]), Problem(script.name, script=script), (("rate", 0.01),), 1)
    assert run_job(extreme).result.outcome is Outcome.CRASHED
    own = replace(extreme, contender=Contender("adamw", torch=TORCH_BASELINES["adamw"]), values=(("rate", 1e-3),))
    with pytest.raises(ScriptRunError, match="made no report"):
        run_job(own)


def test_a_script_that_never_reports_is_an_error_with_its_last_words(optsearch: Command) -> None:
    write(Path(), "crash_at_once")
    said = optsearch("evaluate", "lion", "--script", "crash_at_once.py", *SMALL)
    assert said.code == 1
    assert "crash_at_once.py with lion at rate 1" in words(said.err)
    assert "made no report, and it ended with exit status 1" in words(said.err)
    assert "RuntimeError: no data set at /nowhere" in said.err
    assert "Traceback (most recent call last)" not in said.err.split("error:")[0]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--script", "trian.py", "--steps", "5"], "script 'trian.py': no such file in"),
        (["--script", "good.py"], "a script needs its number of optimizer steps"),
        (["--steps", "5"], "plain numbers of steps are for scripts (--script)"),
        (["--cpus-per-run", "2"], "it is an option of training scripts: give one with --script"),
        (["--check"], "it is an option of training scripts"),
        (["--script", "good.py", "--steps", "5", "--task", "ae"], "--task cannot be combined with --script"),
        (["--script", "good.py", "--steps", "5", "--shared"], "--shared cannot be combined with --script"),
        (["--script", "good.py", "--steps", "5", "--batch", "8"], "--batch cannot be combined with --script"),
        (["--script", "good.py", "--steps", "5", "--time"], "--time cannot be combined with --script"),
        (["--script", "good.py", "--steps", "5", "--stop", "9:1"], "the rule 9:1 is outside the budget"),
        (["--script", "good.py", "--steps", "5", "--framework", "keras"], "unknown framework 'keras'"),
        (
            ["--script", "good.py", "--steps", "5", "--baseline", "mine:o-o"],
            "import mine:o-o: write it as module:object",
        ),
        (
            ["--script", "good.py", "--steps", "5", "--framework", "jax", "--baseline", "schedule-free"],
            "'schedule-free' cannot be used with a script",
        ),
    ],
)
def test_bad_options_are_named_before_any_run(optsearch: Command, options: list[str], says: str) -> None:
    write(Path(), "good")
    said: Said = optsearch("evaluate", "lion", *options)
    assert said.code == 2
    plain = words("".join(c if c.isascii() else " " for c in said.err))
    assert says in plain
    assert not Path("optsearch-runs").exists()


def faults(optsearch: Command, name: str, *options: str) -> dict[str, str]:
    write(Path(), name)
    command = ["evaluate", "lion", "--script", f"{name}.py", *SMALL, "--check", *options, "--json"]
    said = optsearch(*command)
    found = {law["name"]: law["fault"] for law in said.json()}
    assert said.code == (1 if any(found.values()) else 0)
    assert not Path("optsearch-runs").exists(), "a check keeps nothing"
    return {law: fault for law, fault in found.items() if fault}


def test_a_check_finds_nothing_wrong_with_a_good_script(optsearch: Command) -> None:
    assert faults(optsearch, "good") == {}
    said = optsearch("evaluate", "lion", "--script", "good.py", *SMALL, "--check")
    assert [line.partition(":")[0] for line in said.out.splitlines() if line.startswith("ok")] == [
        "ok   reports",
        "ok   optimizers",
        "ok   deterministic",
        "ok   learning rate",
        "ok   seed",
        "ok   training",
    ]


@pytest.mark.parametrize(
    ("name", "law", "says"),
    [
        ("silent", "reports", "it made no report and ended with exit status 0"),
        ("crash_at_once", "reports", "no data set at /nowhere"),
        ("crash", "reports", "before its test loss"),
        ("nan", "reports", "not a finite number"),
        ("hang", "reports", "reached its time limit"),
        ("ignores_the_budget", "reports", "the budget (OPTSEARCH_STEPS)"),
        ("ignores_the_rate", "learning rate", "train with the optimizer that make_optimizer"),
        ("ignores_the_seed", "seed", "draw initial weights and batches from OPTSEARCH_SEED"),
        ("not_deterministic", "deterministic", "two runs with seed 0 differ, at step 0"),
        ("never_decays", "training", "is not below the first"),
        ("no_adamw", "optimizers", "with adamw at rate 0.001"),
    ],
)
def test_a_check_says_what_is_wrong(
    optsearch: Command, monkeypatch: pytest.MonkeyPatch, name: str, law: str, says: str
) -> None:
    monkeypatch.setattr(script_check, "CHECK_LIMIT_S", 10.0 if name != "hang" else 1.0)
    found = faults(optsearch, name)
    assert list(found) == [law]
    assert says in words(found[law])


def test_a_check_uses_few_steps(optsearch: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script_check, "CHECK_STEPS", 7)
    write(Path(), "good")
    said = optsearch("evaluate", "lion", "--script", "good.py", *SMALL, "--check", "--steps", str(10**6))
    assert "until step 7" in words(said.out)
    assert os.listdir(".") == ["good.py"]
