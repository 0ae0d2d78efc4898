"""Outcomes of a study survive its runs and a kill while a line is written, and are not mixed with those of another."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

outcomes: ModuleType = import_module("outcomes")

SETTINGS = {"task": "ae", "settings": ("a=1", "b=2")}


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "measured" / "study.jsonl"
    first = outcomes.Outcomes.open(path, SETTINGS)
    first.add("seed0", {"fresh": 0.5})
    first.add("seed1", {"fresh": 0.25})
    assert (
        outcomes.Outcomes.open(path, SETTINGS).found
        == first.found
        == {"seed0": {"fresh": 0.5}, "seed1": {"fresh": 0.25}}
    )


def test_a_line_that_a_kill_cut_is_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "study.jsonl"
    outcomes.Outcomes.open(path, SETTINGS).add("seed0", {"fresh": 0.5})
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole + whole.splitlines()[-1][:-5], encoding="utf-8")
    again = outcomes.Outcomes.open(path, SETTINGS)
    assert again.found == {"seed0": {"fresh": 0.5}}
    again.add("seed1", {"fresh": 0.25})
    assert set(outcomes.Outcomes.open(path, SETTINGS).found) == {"seed0", "seed1"}


def test_outcomes_of_other_settings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.jsonl"
    outcomes.Outcomes.open(path, SETTINGS)
    with pytest.raises(ValueError, match=r"holds outcomes of .*'ae'.* name another file"):
        outcomes.Outcomes.open(path, {**SETTINGS, "task": "lm"})


def test_no_file_keeps_nothing() -> None:
    kept = outcomes.Outcomes.open(None, SETTINGS)
    kept.add("seed0", {"fresh": 0.5})
    assert kept.found == {"seed0": {"fresh": 0.5}}
