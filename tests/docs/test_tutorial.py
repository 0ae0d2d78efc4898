"""The tutorial, followed literally in an empty folder: files are written, commands and scripts are run, in order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from blocks import ROOT, Block, blocks

TUTORIAL = blocks(ROOT / "docs" / "tutorial.md")
INSTALL = "python -m pip install .\n"
"""What the first block does; the environment of the tests has it."""


def follow(block: Block, folder: Path) -> str:
    """Does what a block says; returns what it prints."""
    if block.file is not None:
        (folder / block.file).write_text(block.text, encoding="utf-8")
        return ""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        ["bash", "-e", "-c", block.text],
        cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, f"{block}:\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def test_every_block_is_one_that_can_be_followed() -> None:
    assert TUTORIAL[0].text == INSTALL
    steps = [block for block in TUTORIAL if block.language]
    assert {block.language for block in steps} == {"bash", "python"}
    assert all(block.file for block in steps if block.language == "python")


@pytest.mark.slow
def test_the_tutorial_can_be_followed(tmp_path: Path) -> None:
    said = [follow(block, tmp_path) for block in TUTORIAL[1:] if block.language]
    assert "Validation loss on 16 fresh seeds that the search never used" in said[0]
    assert "Lineage, from the program back to the warm start" in said[1]
    assert (tmp_path / "first.html").stat().st_size > 500_000
    assert "baseline" in said[2]
    assert (tmp_path / "distilled.txt").read_text().startswith("def train(")
    assert "import optsearch" not in (tmp_path / "found.py").read_text()
    losses = re.fullmatch(r"AdamW: (\d\.\d{4})\nfound: (\d\.\d{4})\n", said[-1])
    assert losses is not None, said[-1]
    assert all(float(loss) < 0.69 for loss in losses.groups()), "the networks have learned something"
