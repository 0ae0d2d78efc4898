"""Runs of training scripts, in real processes: a fault is an outcome or a clear error, and nothing is left running."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from scripts_of_users import STEPS, run_of, script, write

from optsearch.proxy_tasks.outcome import Outcome
from optsearch.selection.scripts import execution
from optsearch.selection.scripts.execution import run_script
from optsearch.selection.scripts.interpreter import interpreter_words
from optsearch.selection.scripts.script import ScriptError, ScriptRunError, load_script, parse_stop
from optsearch.selection.scripts.sources import sources

HANG_S = 1.0

pytestmark = pytest.mark.usefixtures("torch_in_metadata")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "GRACE_S", 0.3)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 10.0
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [pid for pid in pids if is_running(pid)] == []


def test_a_good_script_has_a_result_and_a_log(tmp_path: Path) -> None:
    run = run_of(script(tmp_path))
    result = run_script(run).result
    assert (result.outcome, result.steps) == (Outcome.OK, STEPS)
    assert len(result.train_losses) == len(result.validation_losses) == 10
    assert run_script(run).result == result, "the same run again"
    log = run.log.read_text()
    assert "mine at rate 1, seed 1, 20 steps" in log
    assert '{"test_loss":' in log
    assert "optsearch: ok; the script ended with exit status 0" in log
    assert sorted(os.listdir(tmp_path)) == ["good.py", "kept"], "nothing else is left"


@pytest.mark.parametrize(
    ("name", "outcome", "said"),
    [
        ("silent", Outcome.INCOMPLETE, "training ..."),
        ("crash_at_once", Outcome.CRASHED, "no data set at /nowhere"),
        ("crash", Outcome.CRASHED, "CUDA error"),
        ("nan", Outcome.NON_FINITE, "NaN"),
        ("null", Outcome.NON_FINITE, "null"),
        ("ends_early", Outcome.INCOMPLETE, "incomplete"),
        ("no_test_loss", Outcome.INCOMPLETE, "incomplete"),
        ("ignores_the_budget", Outcome.INCOMPLETE, "from 21 (steps increase) to 20, the budget"),
        ("half_the_budget", Outcome.INCOMPLETE, "the test loss is reported before the last step"),
        ("steps_twice", Outcome.INCOMPLETE, "steps increase"),
        ("no_validation_loss", Outcome.INCOMPLETE, "without 'validation_loss'"),
        ("no_number", Outcome.INCOMPLETE, "'train_loss' is not a number"),
        ("hangs_at_its_end", Outcome.OK, "ok"),
        ("crashes_at_its_end", Outcome.OK, "killed by signal 6"),
        ("other_lines", Outcome.OK, "epoch 1"),
    ],
)
def test_every_fault_is_an_outcome_and_in_the_log(tmp_path: Path, name: str, outcome: Outcome, said: str) -> None:
    run = run_of(script(tmp_path, name))
    result = run_script(run).result
    assert result.outcome is outcome
    assert (result.loss is None, result.test_loss is None) == (outcome is not Outcome.OK,) * 2
    assert said in run.log.read_text()


@pytest.mark.parametrize("name", ["hang", "hang_at_once"])
def test_a_hanging_script_ends_at_its_time_limit(tmp_path: Path, name: str) -> None:
    began = time.monotonic()
    trained = run_script(run_of(script(tmp_path, name, HANG_S)))
    assert trained.result.outcome is Outcome.TIME_LIMIT
    assert HANG_S <= trained.seconds <= time.monotonic() - began < 20.0


def test_processes_that_ignore_sigterm_are_killed_wherever_they_went(tmp_path: Path) -> None:
    result = run_script(run_of(script(tmp_path, "ignores_sigterm", HANG_S))).result
    assert result.outcome is Outcome.TIME_LIMIT
    wait_until_gone([int(pid) for pid in (tmp_path / "pids.txt").read_text().split()])


@pytest.mark.parametrize("name", ["fills_the_disk", "endless_line"])
def test_the_log_of_an_endless_output_is_bounded(tmp_path: Path, name: str) -> None:
    run = run_of(script(tmp_path, name, HANG_S))
    assert run_script(run).result.outcome is Outcome.TIME_LIMIT
    assert 1_000_000 < run.log.stat().st_size < 1.2 * execution.LOG_BYTES
    log = run.log.read_text()
    assert '{"step": 0' in log
    assert "bytes omitted]" in log


@pytest.mark.parametrize("name", ["silent", "crash_at_once", "hang_at_once"])
def test_no_report_with_own_settings_is_an_error(tmp_path: Path, name: str) -> None:
    run = run_of(script(tmp_path, name, HANG_S), is_own=True)
    with pytest.raises(ScriptRunError, match="mine at rate 1 made no report") as raised:
        run_script(run)
    assert raised.value.exit_code == 1
    assert str(run.log) in str(raised.value)
    if name == "crash_at_once":
        assert "RuntimeError: no data set at /nowhere" in str(raised.value)


def test_the_rule_of_early_stopping_spares_fresh_seeds(tmp_path: Path) -> None:
    target = script(tmp_path, "good", stop=("10:1.2",))
    tuning, fresh = run_of(target), run_of(target, is_fresh=True)
    stopped = run_script(tuning).result
    assert (stopped.outcome, stopped.steps) == (Outcome.HURDLE, 10)
    assert run_script(fresh).result.outcome is Outcome.OK
    assert tuning.key != fresh.key
    without = script(tmp_path)
    assert run_of(without).key == run_of(without, is_fresh=True).key == fresh.key


def test_the_key_has_all_that_decides_a_result(tmp_path: Path) -> None:
    target = script(tmp_path)
    one = run_of(target)
    write(tmp_path, "slow").rename(tmp_path / "good.py")
    edited = load_script("good.py", steps=STEPS, logs=tmp_path / "kept", folder=tmp_path)
    longer = load_script("good.py", steps=2 * STEPS, folder=tmp_path)
    patient = load_script("good.py", steps=STEPS, folder=tmp_path, time_limit_s=9.0)
    wider = load_script("good.py --width 8", steps=STEPS, folder=tmp_path)
    different = (edited.version, longer.version, wider.version, target.version)
    assert len(set(different)) == 4
    assert patient.version == edited.version, "a time limit decides no loss"
    assert one.key != run_of(target, seed=2).key


def test_modules_that_a_script_imports_are_part_of_it(tmp_path: Path) -> None:
    for name, text in {
        "train.py": "import json, model\nfrom layers import attention\nimport layers.deep.mlp as mlp\n",
        "model.py": "def f():\n    from helpers import *\n",
        "helpers.py": "import train",
        "layers/__init__.py": "",
        "layers/attention.py": "from . import norm\nfrom .deep import mlp\nfrom ..model import x",
        "layers/norm.py": "",
        "layers/deep/mlp.py": "print(1",
        "unused.py": "",
        "json.txt": "",
    }.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    mine = {"train.py", "model.py", "helpers.py", "layers/__init__.py", "layers/attention.py", "layers/norm.py"}
    mine |= {"layers/deep/mlp.py"}
    inside = sources(["python", "train.py"], tmp_path / "project")
    assert {path for path, _ in inside} == mine
    assert {path for path, _ in sources(["python", "project/train.py"], tmp_path)} == {f"project/{p}" for p in mine}
    assert sources(["python", "-m", "train"], tmp_path / "project") == inside
    assert {path for path, _ in sources(["sh", "train.sh", "json.txt"], tmp_path / "project")} == {"json.txt"}
    (tmp_path / "project" / "layers" / "norm.py").write_text("EPS = 1e-5")
    assert sources(["python", "train.py"], tmp_path / "project") != inside


def test_an_edited_script_is_refused_until_the_next_command(tmp_path: Path) -> None:
    target = script(tmp_path)
    (tmp_path / "good.py").write_text("raise SystemExit\n")
    with pytest.raises(ScriptRunError, match=r"good\.py has changed since this command was started"):
        run_script(run_of(target))


def test_a_killed_owner_leaves_nothing_running(tmp_path: Path) -> None:
    write(tmp_path, "ignores_sigterm")
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); from scripts_of_users import *\n"
        "from optsearch.selection.scripts.execution import run_script\n"
        "run_script(run_of(script(Path(sys.argv[2]), 'ignores_sigterm', 60.0)))"
    )
    owner = subprocess.Popen([sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path)])
    pids = tmp_path / "pids.txt"
    deadline = time.monotonic() + 60.0
    while not (pids.exists() and len(pids.read_text().split()) == 3) and time.monotonic() < deadline:
        time.sleep(0.05)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    wait_until_gone([int(pid) for pid in pids.read_text().split()])
    folder = Path(re.search(r"folder (\S+)", next((tmp_path / "kept" / "script-logs").iterdir()).read_text())[1])
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not folder.exists(), "the folder of the run is left"


def test_the_environment_is_the_contract(tmp_path: Path) -> None:
    (tmp_path / "show.py").write_text("import json, os\nprint(json.dumps(dict(os.environ)))\n")
    target = load_script("show.py", steps=7, cpus=2, logs=tmp_path, folder=tmp_path)
    run = run_of(target, seed=5)
    assert run_script(run).result.outcome is Outcome.INCOMPLETE
    log = run.log.read_text()
    for name, value in {
        "OPTSEARCH_SEED": "5",
        "OPTSEARCH_STEPS": "7",
        "OPTSEARCH_CONTRACT": "1",
        "OMP_NUM_THREADS": "2",
        "CUDA_VISIBLE_DEVICES": "",
    }.items():
        assert f'"{name}": "{value}"' in log
    assert "RAY_" not in log


@pytest.mark.parametrize(
    ("command", "options", "says"),
    [
        ("trian.py", {}, "script 'trian.py': no such file in"),
        ("python trian.py", {}, "there are train.py: correct --script"),
        ("no-such-program train.py", {}, "there is no program 'no-such-program'"),
        ("", {}, "--script is empty"),
        ("python 'train.py", {}, "cannot be read: No closing quotation"),
        ("train.py", {"steps": 0}, "the budget is 0 steps"),
        ("train.py", {"cpus": 0}, "0 CPUs for each run"),
        ("train.py", {"gpus": 1.5}, "1.5 GPUs for each run: use a whole number"),
        ("train.py", {"gpus": float("nan")}, "GPUs for each run"),
        ("train.py", {"time_limit_s": 0.0}, "a time limit of 0 s"),
        ("train.py", {"framework": "tensorflow"}, "unknown framework 'tensorflow': use torch or jax"),
    ],
)
def test_bad_settings_are_named(tmp_path: Path, command: str, options: dict[str, object], says: str) -> None:
    (tmp_path / "train.py").write_text("")
    with pytest.raises(ScriptError) as raised:
        load_script(command, folder=tmp_path, **{"steps": 10, **options})  # pyright: ignore[reportArgumentType]
    assert says in str(raised.value)
    assert raised.value.exit_code == 2


@pytest.mark.parametrize("text", ["10", "ten:1", "10:x", "10:nan", "11:1", "-1:1"])
def test_a_malformed_rule_is_refused(text: str) -> None:
    with pytest.raises(ScriptError):
        parse_stop([text], 10)
    with pytest.raises(ScriptError, match="two rules of early stopping at step 5"):
        parse_stop(["5:1", "5:2"], 10)
    assert parse_stop(["9:1", "5:2.5"], 10) == ((5, 2.5), (9, 1.0))


@pytest.mark.parametrize(
    ("command", "interpreter"),
    [
        ("python train.py", ["python"]),
        ("/envs/a/bin/python3.12 -m train", ["/envs/a/bin/python3.12"]),
        ("conda run -n torch python train.py", ["conda", "run", "-n", "torch", "python"]),
        ("torchrun --nproc-per-node 2 train.py", []),
        ("bash train.sh python-like", []),
    ],
)
def test_the_interpreter_of_a_command_is_known_with_what_starts_it(command: str, interpreter: list[str]) -> None:
    assert list(interpreter_words(command.split())) == interpreter


def test_a_launcher_may_know_an_interpreter_that_this_process_does_not(tmp_path: Path) -> None:
    script = load_script("sh -c 'echo started'", steps=5, logs=tmp_path, folder=tmp_path)
    assert script.name == "sh"
    run = run_of(script)
    assert run_script(run).result.outcome is Outcome.INCOMPLETE
    assert "started" in run.log.read_text()


def test_an_interpreter_without_the_framework_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "train.py").write_text("")
    monkeypatch.setattr("optsearch.selection.scripts.script.packages", lambda *_: {"jax": "0.6"})
    with pytest.raises(ScriptError, match=r"has no package 'torch'.*use --framework jax"):
        load_script("train.py", steps=5, folder=tmp_path)
    with pytest.raises(ScriptError, match="has no package 'optax'"):
        load_script("train.py", steps=5, folder=tmp_path, framework="jax")
