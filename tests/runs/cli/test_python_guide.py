"""Every block of Python in ``docs/python.md`` runs, one after another; training of comparisons is synthetic."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from made_up_run import made_up_run
from made_up_selection import train

import optsearch
from optsearch.proxy_tasks import plugins
from optsearch.runs.store import stream

GUIDE = (Path(__file__).parents[3] / "docs" / "python.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.slow
def test_the_python_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_up_run(tmp_path / "optsearch-runs" / "quickstart-seed0", programs=60)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("optsearch.runs.commands.evaluate.run_job", train)
    monkeypatch.setattr("optsearch.runs.commands.select.run_job", train)
    names: dict[str, Any] = {"__name__": "guide"}
    for number, block in enumerate(blocks("python")):
        here = block.replace("quiet=True)", "quiet=True, workers=0)") if "workers=0" not in block else block
        exec(compile(here, f"block {number} of docs/python.md", "exec"), names)  # noqa: S102 - our own guide
    assert names["found"].rate_sensitivity()
    assert names["chosen"].survivors
    assert (tmp_path / "found.py").read_text().startswith('"""')
    assert "Tuned on digits (an evaluation)" in names["tuned"]
    assert optsearch.load("first-seed0").summary.counts.evaluated == 40


def test_the_tables_name_what_exists() -> None:
    for name in re.findall(r"`optsearch\.(\w+)\(", GUIDE):
        assert name in optsearch.__all__
    for name, fields in re.findall(r"^\| `([A-Z]\w+)` \| [^|]+ \| ((?:`\w+`(?:, )?)+) \|$", GUIDE, re.MULTILINE):
        assert re.findall(r"\w+", fields) == list(getattr(stream, name).__dataclass_fields__)
    (entries,) = blocks("toml")
    groups = tomllib.loads(entries)["project"]["entry-points"]
    assert list(groups) == [plugins.TASKS, plugins.BASELINES, plugins.EXPORTS, plugins.TRACKERS]
