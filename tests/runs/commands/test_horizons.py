"""`evaluate --steps` and funnels with several horizons, from the command line to the report."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import Command

from optsearch.proxy_tasks.registry import get_task


def test_contenders_are_tuned_again_at_each_number_of_steps(
    optsearch: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["evaluate", "lion", "--task", "quadratic", "--steps", "0.5x,1x", "--baseline", "sgd"]
    command += ["--tune", "2", "--replicates", "2", "--seeds", "2", "--workers", "0"]
    found = optsearch(*command, "--json").json()
    assert found["tasks"] == ["quadratic@0.5x", "quadratic@1x"]
    assert {(row["task"], row["contender"], row["replicate"]) for row in found["tuning"]} == {
        (task, name, replicate) for task in found["tasks"] for name in ("lion", "sgd") for replicate in (0, 1)
    }
    (trend,) = found["trends"]
    assert (trend["task"], trend["contender"], trend["opponent"]) == ("quadratic", "lion", "sgd")
    assert trend["steps"] == [get_task("quadratic").steps // 2, get_task("quadratic").steps]
    mean = {
        (task, name): np.mean(
            [row["test_loss"] for row in found["rows"] if (row["task"], row["contender"]) == (task, name)]
        )
        for task in found["tasks"]
        for name in ("lion", "sgd")
    }
    for task, difference in zip(found["tasks"], trend["differences"], strict=True):
        assert difference["mean"] == pytest.approx(mean[task, "lion"] - mean[task, "sgd"])
    said = optsearch(*command).out
    assert "quadratic: difference in test loss against steps" in said
    assert trend["verdict"] in said


def in_one_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_run: Path, settings: str) -> str:
    """A funnel of one small stage with further settings, beside a copy of the run; returns its file."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(small_run, "small")
    stage = f"{{name: one, {settings}, trials: 2, replicates: 2, seeds: 2, baselines: [sgd]}}"
    Path("one.yaml").write_text(f"name: one\ncandidates: {{most: 2}}\nstages:\n  - {stage}\n")
    return "one.yaml"


def test_a_funnel_and_the_report_have_the_horizons(
    optsearch: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_run: Path
) -> None:
    funnel = in_one_stage(tmp_path, monkeypatch, small_run, "tasks: [quadratic], horizons: [0.5, 1]")
    found = optsearch("select", "small", "--funnel", funnel, "--workers", "0", "--json").json()
    (recorded,) = found["stages"]
    assert recorded["tasks"] == ["quadratic@0.5x", "quadratic@1x"]
    assert {row["task"] for row in recorded["evaluation"]["trends"]} == {"quadratic"}
    optsearch("report", "small", "--out", "report.html")
    page = Path("report.html").read_text(encoding="utf-8")
    assert "Differences by number of steps: does a lead last?" in page
    assert "Against sgd by steps on quadratic" in page


def test_a_shared_setting_needs_a_trivial_loss_before_anything_trains(
    optsearch: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_run: Path
) -> None:
    funnel = in_one_stage(tmp_path, monkeypatch, small_run, "tasks: [quadratic, digits], shared: true")
    said = optsearch("select", "small", "--funnel", funnel, "--workers", "0")
    assert said.code == 2
    assert "one setting for all tasks (--shared) needs a trivial loss above 0" in said.err
