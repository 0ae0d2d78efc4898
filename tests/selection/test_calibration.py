"""An optimizer is seldom told from itself on real tasks, and a known difference is found: benchmarks/calibration.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "calibration.py"


@pytest.mark.slow
def test_verdicts_on_an_optimizer_against_itself_are_within_the_level(tmp_path: Path) -> None:
    options = ["--tasks", "digits", "ae", "--contenders", "lion", "sgd", "--trials", "4", "--seeds", "2"]
    said = subprocess.run(
        [sys.executable, str(SCRIPT), *options, "--workers", "0", "--kept-in", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = json.loads(said.splitlines()[-1])
    assert found["pairs"] == 20
    false = {row["level"]: row["false"] for row in found["false"]}
    assert false[0.05] <= 4, "five of 20 or more have a probability of 0.3 % at the level"
    assert false[0.01] <= 2
    assert found["power"][-1]["found"] > 0.8
