"""Baselines of the user by ``module:object``: functions and rows, their errors, and their identity in the cache."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from optsearch.selection.baselines.own import own_baseline
from optsearch.selection.baselines.table import BaselineError, get_baseline
from optsearch.selection.contender import TrainingJob, baseline, baseline_contenders, run_job
from optsearch.selection.funnel import KeepConfig, StageConfig
from optsearch.selection.problem import Problem
from optsearch.selection.space import RATE

DOCS = Path(__file__).parent.parent.parent / "docs" / "selection.md"

SOURCE = """
import optax
from optsearch.selection.baselines.baseline import Baseline

def Halving(learning_rate=0.05, b1=0.9, weight_decay=None, period=3, nesterov=False):
    if float(period) != period:
        raise ValueError("period")
    decay = optax.identity() if weight_decay is None else optax.add_decayed_weights(weight_decay)
    return optax.chain(optax.trace(b1), decay, optax.scale_by_learning_rate(learning_rate))

def branching(learning_rate, b1=0.9, threshold=1.0):
    return optax.sgd(learning_rate, b1 if threshold > 0.5 else 0.0)

def greedy(learning_rate, strength):
    return optax.sgd(learning_rate)

def without(rate=0.1):
    return optax.sgd(rate)

def failing(learning_rate):
    raise RuntimeError("no luck today")

def nothing(learning_rate):
    return None

def growing(learning_rate):
    return optax.GradientTransformation(lambda w: (), lambda g, s, w=None: (g, (*s, 1)))

row = Baseline("other", 0.3, lambda o, lr, v: o.sgd(lr, v["momentum"]), {"momentum": 0.5}, family="sgd")
wrong = Baseline("wrong", 0.3, lambda o, lr, v: o.sgd(lr, v["b1"]), {"momentum": 0.5})
adamw = row
number = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with a module of baselines, which is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "mine.py").write_text(SOURCE)
    before = set(sys.modules)
    own_baseline.cache_clear()
    yield tmp_path
    own_baseline.cache_clear()
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.usefixtures("folder")
def test_a_function_is_a_baseline_by_its_signature() -> None:
    row = get_baseline("mine:Halving")
    assert (row.name, row.reference, row.arguments) == ("Halving", 0.05, {"b1": 0.9, "weight_decay": 0.0})
    assert row.untuned() == ("period = 3",)
    assert baseline("mine:Halving").name == "Halving"


def test_the_documented_function_is_a_baseline(folder: Path) -> None:
    (example,) = re.findall(r"```python\n(# my_optimizers\.py\n.*?)```", DOCS.read_text("utf-8"), flags=re.DOTALL)
    (folder / "my_optimizers.py").write_text(example)
    row = get_baseline("my_optimizers:halving")
    assert (row.reference, row.arguments) == (0.01, {"b1": 0.9, "weight_decay": 0.0})


@pytest.mark.usefixtures("folder")
def test_a_number_that_decides_in_python_is_not_tuned() -> None:
    row = get_baseline("mine:branching")
    assert (row.arguments, row.untuned()) == ({"b1": 0.9}, ("threshold = 1",))


@pytest.mark.usefixtures("folder")
def test_a_row_is_a_baseline_under_the_name_of_the_object() -> None:
    found = get_baseline("mine:row")
    assert (found.name, found.reference, found.family) == ("row", 0.3, "sgd")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("mine:", "write it as module:object, such as my_optimizers:halving"),
        ("nowhere:one", "there is no module 'nowhere'"),
        ("mine:halvign", "module 'mine' has no 'halvign'; did you mean 'Halving'"),
        ("mine:number", "it is int, neither a Baseline nor a function"),
        ("mine:greedy", "it cannot be a baseline: its strength has no default"),
        ("mine:without", "it cannot be a baseline: it has no argument learning_rate, for the schedule"),
        ("mine:failing", "a step with gradients, weights and a schedule fails: no luck today"),
        ("mine:nothing", "a step with gradients, weights and a schedule fails: 'NoneType' object has no attribute"),
        ("mine:growing", "its state changes in structure, shape or type from step to step"),
        ("mine:wrong", "it cannot be a baseline: a step with gradients, weights and a schedule fails: 'b1'"),
        ("mine:adamw", "a shipped baseline is called 'adamw': give yours another name"),
    ],
)
def test_errors_name_the_reference_and_the_fault(reference: str, message: str) -> None:
    with pytest.raises(BaselineError, match=f"^import {reference}: .*{message}"):
        get_baseline(reference)


KEEP = KeepConfig(beats=["halving"])


def job(b1: float = 0.9) -> TrainingJob:
    return TrainingJob(baseline("mine:Halving"), Problem("digits", 128), ((RATE, 0.05), ("b1", b1)), 5)


def test_the_key_follows_the_file(folder: Path) -> None:
    first = job().key
    assert job().key == first
    assert job(0.8).key != first
    (folder / "mine.py").write_text(SOURCE.replace("b1=0.9, weight", "b1=0.9,  weight"))
    assert job().key == first, "a process keeps what it has imported"
    del sys.modules["mine"]
    own_baseline.cache_clear()
    assert job().key != first


@pytest.mark.usefixtures("folder")
def test_a_stage_of_a_funnel_takes_a_reference_and_names_the_object() -> None:
    stage = StageConfig(name="one", tasks=["digits"], baselines=["AdamW", "mine:Halving"], keep=KEEP)
    assert (stage.baselines, stage.opponents) == (["adamw", "mine:Halving"], ["adamw", "Halving"])


@pytest.mark.usefixtures("folder")
def test_two_baselines_of_one_name_are_an_error() -> None:
    assert [one.name for one in baseline_contenders(["adamw", "mine:row", "AdamW", "mine:row"])] == ["adamw", "row"]
    Path("theirs.py").write_text(SOURCE)
    with pytest.raises(BaselineError, match="import theirs:row: two baselines are called 'row'"):
        baseline_contenders(["mine:row", "theirs:row"])


@pytest.mark.slow
def test_a_job_trains_here_and_in_another_process(folder: Path) -> None:
    here = run_job(job()).result
    assert here.loss is not None
    (folder / "job.pickle").write_bytes(pickle.dumps(job()))
    program = "import pickle; from optsearch.selection.contender import run_job; " \
        "print(run_job(pickle.load(open('job.pickle', 'rb'))).result.loss)"  # fmt: skip
    told = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True)
    assert float(told.stdout) == here.loss
