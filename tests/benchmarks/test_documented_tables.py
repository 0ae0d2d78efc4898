"""The predicted tables of docs/evaluator.md are those that the command prints."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.slow
@pytest.mark.skipif(version("jax") != "0.10.2", reason="the tables are of what JAX 0.10.2 lowers")
def test_the_documentation_has_the_predicted_tables() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "roofline.py")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line for line in printed.splitlines() if line.startswith("|")]
    page = (ROOT / "docs" / "evaluator.md").read_text(encoding="utf-8")
    assert len(rows) > 12
    assert [row for row in rows if row not in page] == []
