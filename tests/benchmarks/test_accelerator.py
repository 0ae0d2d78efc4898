"""The script for accelerators: it stores every figure, goes on after failures, keeps to its time, and continues."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

accelerator: ModuleType = import_module("accelerator")
plans: ModuleType = import_module("figures.plan")
agreement: ModuleType = import_module("figures.agreement")
card: ModuleType = import_module("card")

SCRIPT = Path(accelerator.__file__)
ABOUT = {"device": "NVIDIA H200", "platform": "gpu", "jax": "0.10"}

FAKE = """
import json, os, sys, time
from figures.plan import Plan, report
plan = Plan.from_json(sys.argv[sys.argv.index("--plan") + 1])
def fails(): raise RuntimeError("RESOURCE_EXHAUSTED: out of memory")
calls = {"fine": lambda: {"value": 1.5}, "fails": fails, "dies": lambda: os._exit(7), "last": lambda: {"value": 2}}
if sys.argv[1] == "slow": calls = {"fine": calls["fine"], "sleeps": lambda: time.sleep(60)}
if sys.argv[1] == "broken": raise ImportError("no module of that name")
report(calls.items(), plan.done)
"""
"""Stands for the process of a group."""


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PYTHONPATH", str(SCRIPT.parent))
    monkeypatch.setattr(accelerator, "LEAST_S", 0.1)
    checkpoint = accelerator.Checkpoint(tmp_path / "figures.json", ABOUT)

    def make(seconds: float) -> Any:
        ends = time.monotonic() + seconds
        return accelerator.Session(plans.Plan(), checkpoint, ends, lambda name: [sys.executable, "-c", FAKE, name])

    make.checkpoint = checkpoint  # pyright: ignore[reportFunctionMemberAccess]
    return make


def test_failures_are_results_and_the_rest_goes_on(session: Any) -> None:
    session(60).run(accelerator.Group("some", ""))
    figures = session.checkpoint.figures
    assert list(figures) == ["fine", "fails", "dies", "last"]
    assert figures["fine"]["value"] == 1.5
    assert figures["fails"]["failed"] == "RuntimeError: RESOURCE_EXHAUSTED: out of memory"
    assert figures["dies"]["failed"].startswith("the process ended with 7")
    assert figures["last"]["value"] == 2


def test_the_time_is_kept_and_what_it_cuts_is_measured_later(session: Any) -> None:
    began = time.monotonic()
    session(3).run(accelerator.Group("slow", ""))
    assert time.monotonic() - began < 10
    assert list(session.checkpoint.figures) == ["fine"]


def test_a_group_that_cannot_start_is_a_failure(session: Any) -> None:
    session(60).run(accelerator.Group("broken", ""))
    assert "no module of that name" in session.checkpoint.figures["broken"]["failed"]


def test_every_figure_is_on_the_disk_at_once(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    accelerator.Checkpoint(path, ABOUT).add("one", {"value": 1})
    assert json.loads(path.read_text())["figures"] == {"one": {"value": 1}}
    again = accelerator.Checkpoint(path, ABOUT)
    assert again.figures == {"one": {"value": 1}}
    with pytest.raises(SystemExit, match="has another device: choose another --out"):
        accelerator.Checkpoint(path, ABOUT | {"device": "NVIDIA A100"})


def test_a_plan_survives_the_command_line() -> None:
    plan = plans.Plan(small=True, tasks=("ae",), lanes=(4, 1), done=("core/ae",))
    assert plans.Plan.from_json(plan.to_json()) == plan
    assert plans.Plan.from_json(plan.to_json()).done == ("core/ae",)


def test_every_group_has_figures_with_names_of_their_own() -> None:
    plan = plans.Plan()
    names = {group.name: [name for name, _ in group.figures(plan)] for group in accelerator.GROUPS}
    assert all(names.values())
    assert set(names["batched:first"]) < set(names["batched:all"])
    del names["batched:first"]
    every = [name for found in names.values() for name in found]
    assert len(set(every)) == len(every)
    assert "batched/vit/4096" in every
    parts = [name for part in range(3) for name, _ in accelerator.named(f"ahead:{part}:3").figures(plan)]
    assert len(parts) == len(set(parts)) == len(names["batched:all"])


def test_agreement_with_the_cpu_has_bounds() -> None:
    cpu = {"losses": [1.0, 2.0, None], "outcomes": ["ok", "ok", "hurdle"]}
    assert agreement.compared(cpu, cpu)["within_bounds"]
    near = agreement.compared(cpu | {"losses": [1.01, 2.0, None]}, cpu)
    assert near["within_bounds"]
    assert near["median_gap"] == pytest.approx(0.01)
    assert not agreement.compared(cpu | {"losses": [1.5, 2.0, None]}, cpu)["within_bounds"]
    assert not agreement.compared(cpu | {"outcomes": ["ok", "ok", "ok"]}, cpu)["within_bounds"]


def test_tables_show_measured_beside_predicted_and_failures() -> None:
    batch = {
        "candidates_per_second": 500.0,
        "together_over_gradients": 1.9,
        "memory_bytes": 256e6,
        "arithmetic_bytes": 128e6,
        "peak_bytes": None,
    }
    predicted = {"device": "H200 SXM", "task": "ae", "lanes": 256}
    predicted |= {"candidates_per_second": 102.5, "together_over_gradients": 28.7}
    figures = {
        "predicted": {"rows": [predicted]},
        "core/ae": {"seconds": 0.02},
        "batched/ae/256": batch,
        "batched/ae/4096": {"failed": "RuntimeError: RESOURCE_EXHAUSTED: out of memory"},
        "torch/1M/float32/Muon": {"skipped": "PyTorch is not installed"},
    }
    text = card.tables({"about": ABOUT, "figures": figures})
    (row,) = [line.split() for line in text.splitlines() if line.split()[:2] == ["ae", "256"]]
    assert row == ["ae", "256", "500", "102.5", "10", "1.9", "28.7", "1", "0.5", "-"]
    assert "skipped: PyTorch is not installed" in text
    assert text.endswith("batched/ae/4096: failed: RuntimeError: RESOURCE_EXHAUSTED: out of memory")


@pytest.mark.slow
def test_it_runs_to_its_end_on_a_cpu_and_continues(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--small", "--minutes", "15", "--out", str(tmp_path / "figures.json")]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    figures = json.loads((tmp_path / "figures.json").read_text())["figures"]
    assert {name: figure for name, figure in figures.items() if "failed" in figure} == {}
    plan = plans.Plan(small=True, tasks=("ae",), lanes=(4, 1))
    assert set(figures) == {name for group in accelerator.GROUPS for name, _ in group.figures(plan)}
    assert figures["fitness/device 1"]["digest"] == figures["fitness/device 2"]["digest"]
    populations = [figures[f"sharing/{n} workers"]["population_digest"] for n in (1, 2)]
    assert populations[0] == populations[1]
    assert "Batches of candidates" in done.stdout
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "batched/ae/4:" not in again.stderr, "nothing is measured twice"
