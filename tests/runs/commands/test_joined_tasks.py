"""Evaluations on different tasks, made apart, are judged as the one that has them all; others are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Command
from made_up_selection import train

import optsearch as api

PROTOCOL = ["--baseline", "adamw", "--baseline", "nadamw", "--seeds", "4", "--tune", "6", "--replicates", "3"]
PROTOCOL += ["--workers", "0", "--json"]
PARTS = {"digits.json": ["--task", "digits"], "rest.json": ["--task", "cnn", "--task", "teach", "--steps", "1x,4x"]}
JUDGED = ("estimates", "comparisons", "headlines", "overall", "times", "families", "trends", "rows", "tuning")

Evaluate = Callable[..., dict[str, Any]]


@pytest.fixture
def evaluate(optsearch: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evaluate:
    monkeypatch.setattr("optsearch.runs.commands.evaluate.run_job", train)
    monkeypatch.chdir(tmp_path)

    def call(*options: str) -> dict[str, Any]:
        return json.loads(optsearch("evaluate", "lion", "root-scale", *options, *PROTOCOL).out)

    return call


@pytest.fixture(scope="module")
def measured() -> dict[str, str]:
    """Outputs of the parts by their names, which the first test that needs them makes."""
    return {}


@pytest.fixture
def parts(evaluate: Evaluate, measured: dict[str, str]) -> list[Path]:
    if not measured:
        measured.update({name: json.dumps(evaluate(*options)) for name, options in PARTS.items()})
    for name, text in measured.items():
        Path(name).write_text(text, encoding="utf-8")
    return [Path(name) for name in measured]


def test_tasks_evaluated_apart_are_judged_as_those_evaluated_at_once(evaluate: Evaluate) -> None:
    whole = evaluate("--task", "digits", "--task", "cnn", "--task", "teach")
    Path("digits.json").write_text(json.dumps(evaluate("--task", "digits")), encoding="utf-8")
    Path("cnn.json").write_text(json.dumps(evaluate("--task", "cnn")), encoding="utf-8")
    joined = evaluate("--join", "digits.json", "--join", "cnn.json", "--task", "teach")
    assert (joined["known_runs"], joined["trained_runs"]) == (whole["trained_runs"] // 3, 0)
    assert joined["cost"] == pytest.approx(whole["cost"])
    for part in ("tasks", "settings", "seeds", "trivial", "tuning_curves", *JUDGED):
        assert joined[part] == whole[part], part


def test_files_alone_are_judged_without_training(
    parts: list[Path], monkeypatch: pytest.MonkeyPatch, evaluate: Evaluate
) -> None:
    monkeypatch.setattr("optsearch.runs.commands.evaluate.run_job", None)
    joined = evaluate(*(word for path in parts for word in ("--join", str(path))))
    assert joined["tasks"] == ["digits", "cnn@1x", "cnn@4x", "teach@1x", "teach@4x"]
    assert joined["trained_runs"] == joined["known_runs"] == 0
    one = api.evaluate(
        ["lion", "root-scale"], baselines=["adamw", "nadamw"], seeds=4, trials=6, replicates=3, join=parts, quiet=True
    )
    again = json.loads(json.dumps(one.as_values()))
    for part in JUDGED:
        assert again[part] == joined[part], part


def test_an_evaluation_elsewhere_is_said(parts: list[Path], evaluate: Evaluate) -> None:
    values = json.loads(parts[0].read_text(encoding="utf-8"))
    values["made_with"]["processor"] = "another one"
    parts[0].write_text(json.dumps(values), encoding="utf-8")
    assert evaluate("--join", str(parts[0]))["warnings"][-1] == (
        "digits: measured elsewhere, with processor another one."
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--baseline", "muon"], "digits.json: was made with --baseline adamw, nadamw, and this evaluation has adamw"),
        (["--tune", "7"], "was made with --tune 6, and this evaluation has 7"),
        (["--seeds", "5"], "was made with --seeds 4"),
        (["--skip-seeds", "8"], "was made with --skip-seeds 0"),
        (["--space", "beta=0:0.9995"], "was made with --space none, and this evaluation has beta=0:0.9995"),
        (["--shared", "--task", "teach"], "--shared tunes all tasks of an evaluation at once"),
        (["--task", "digits"], "duplicate task in digits, digits"),
        (["--join", "digits.json"], "duplicate task in digits, digits"),
        (["--join", "absent.json"], "absent.json: is no output of"),
        (["--join", "cut.json"], "cut.json: is no output of"),
        (["--join", "bare.json"], "bare.json: is no output of `optsearch evaluate --json`: settings: has no tasks"),
        (["--join", "old.json"], "old.json: its results are of version 0 of 'cnn'"),
    ],
)
def test_what_is_no_part_of_the_comparison_is_refused(
    options: list[str], message: str, parts: list[Path], optsearch: Command
) -> None:
    text = parts[0].read_text(encoding="utf-8")
    Path("cut.json").write_text(text[: len(text) // 2], encoding="utf-8")
    values = json.loads(text.replace('"digits"', '"cnn"'))
    Path("bare.json").write_text(json.dumps({**values, "settings": {}}))
    Path("old.json").write_text(json.dumps({**values, "settings": values["settings"] | {"tasks": {"cnn": "0"}}}))
    told = optsearch("evaluate", "lion", "root-scale", "--join", "digits.json", *PROTOCOL, *options)
    assert told.code == 2
    assert message in told.err


def test_other_programs_are_refused(parts: list[Path], optsearch: Command) -> None:
    told = optsearch("evaluate", "lion", "leaky-max", "--join", str(parts[0]), *PROTOCOL)
    assert told.code == 2
    assert "has other programs, or in another order: lion, root-scale. Name the same ones" in told.err


def test_a_script_cannot_join(parts: list[Path], optsearch: Command, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("", encoding="utf-8")
    script = ["--script", "python train.py", "--steps", "20", "--framework", "jax"]
    told = optsearch("evaluate", "lion", "root-scale", "--join", str(parts[0]), *script, *PROTOCOL)
    assert told.code == 2
    assert "--join" in told.err
