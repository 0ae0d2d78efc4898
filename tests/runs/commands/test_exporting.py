"""`export --tuned`: the values of an evaluation, from its JSON and from the run that recorded it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Command

from optsearch.proxy_tasks.task import SCHEDULE_WORDS

EVALUATE = ["--task", "ae", "--tune", "2", "--replicates", "2", "--seeds", "2", "--baseline", "sgd", "--workers", "0"]


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory, small_run: Path) -> Path:
    """A folder with a copy of the small run, in which an evaluation of its best program and of Lion is recorded."""
    from typer.testing import CliRunner

    from optsearch.runs.cli.app import app

    folder = tmp_path_factory.mktemp("evaluated")
    shutil.copytree(small_run, folder / "small")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done = CliRunner().invoke(app, ["evaluate", "small:best", "lion", *EVALUATE, "--json"], catch_exceptions=False)
    (folder / "found.json").write_text(done.stdout)
    return folder


def best(result: dict[str, Any], name: str) -> tuple[dict[str, float], float]:
    """Values and mean validation loss of the replicate with the lowest mean validation loss on fresh seeds."""
    losses = {
        replicate: np.mean(
            [row["loss"] for row in result["rows"] if (row["contender"], row["replicate"]) == (name, replicate)]
        )
        for replicate in range(2)
    }
    chosen = min(losses, key=lambda replicate: losses[replicate])
    (values,) = [t["values"] for t in result["tuning"] if (t["contender"], t["replicate"]) == (name, chosen)]
    return values, float(losses[chosen])


def test_the_file_has_the_tuned_values(evaluated: Path, optsearch: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(evaluated)
    result = json.loads(Path("found.json").read_text())
    values, loss = best(result, "lion")
    made = optsearch("export", "lion", "--tuned", "found.json", "--to", "json").json()
    assert made["learning_rate"] == pytest.approx(1e-4 * values["rate"])
    assert made["constants"] == pytest.approx({name: v for name, v in values.items() if name != "rate"})
    assert made["name"] == "lion"
    said = words(optsearch("export", "lion", "--tuned", "found.json").out)
    assert f"Tuned on ae (found.json): rate {values['rate']:.6g} times that of the program" in said
    assert f"Mean validation loss on 2 fresh seeds: {loss:.6g}, the lowest of 2 tunings" in said
    assert f"It was tuned under {SCHEDULE_WORDS}." in said
    assert f"learning_rate={made['learning_rate']!r}" in said


def test_a_run_knows_its_evaluations(evaluated: Path, optsearch: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(evaluated)
    for program in ("small:best", "lion"):
        of_run, of_file = (
            optsearch("export", program, "--tuned", source, "--task", "ae", "--to", "json").json()
            for source in ("small", "found.json")
        )
        assert of_run["text"] == of_file["text"]
        assert "study 1 of the run small" in of_run["notes"][0]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["export", "sgd", "--tuned", "found.json"], "'sgd' takes no part in it"),
        (["export", "sgd", "--tuned", "small"], "'sgd' takes no part in it"),
        (["export", "lion", "--tuned", "found.json", "--task", "aee"], "not evaluated on 'aee'; did you mean 'ae'?"),
        (["export", "lion", "--tuned", "small.txt"], "no output of `optsearch evaluate --json`"),
        (["export", "lion", "--tuned", "other.json"], "no output of `optsearch evaluate --json`"),
        (["export", "lion", "--tuned", "nowhere"], "'nowhere' is not a run"),
        (["export", "lion", "--task", "ae"], "give that with --tuned"),
        (["export", "lion", "--tuned", "several.json"], "choose one with --task: ae, b"),
        (["export", "lion", "--tuned", "untuned.json"], "nothing was tuned there"),
        (["export", "lion", "--tuned", "failed.json"], "failed on ae in every replicate"),
    ],
)
def test_what_cannot_be_exported_is_refused(
    command: list[str], said: str, evaluated: Path, optsearch: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(evaluated)
    Path("small.txt").write_text("a text")
    Path("other.json").write_text('{"rows": []}')
    text = Path("found.json").read_text()
    twice, untuned, failed = json.loads(text), json.loads(text), json.loads(text)
    for key in ("rows", "tuning", "estimates"):
        twice[key] += [{**row, "task": "b"} for row in twice[key]]
    twice |= {"tasks": ["ae", "b"], "checkpoints": 2 * twice["checkpoints"]}
    Path("several.json").write_text(json.dumps(twice))
    untuned["budget"]["trials"] = 0
    Path("untuned.json").write_text(json.dumps(untuned))
    for row in failed["rows"]:
        row |= {"loss": None, "test_loss": None, "outcome": "non_finite"}
    Path("failed.json").write_text(json.dumps(failed))
    refused = optsearch(*command)
    assert refused.code == 2
    assert said in words(refused.err.replace("│", " "))
