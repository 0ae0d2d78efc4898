"""The Python API does what the commands do, with values in place of names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import Command

import optsearch
from optsearch.dsl.dataflow import prune
from optsearch.search.settings.config_errors import ConfigError

SETTINGS: dict[str, Any] = {
    "name": "small",
    "task": "ae",
    "budget": {"evaluations": 6},
    "population": {"size": 4, "tournament": 2},
    "look_ahead": 4,
    "controls": [],
    "finalists": {"count": 2, "seeds": 2},
    "fresh_seeds": 2,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scripting") / "run"
    optsearch.search(SETTINGS, out=folder, workers=0, quiet=True)
    return folder


def test_settings_as_a_mapping_and_as_a_file_are_one_campaign(
    folder: Path, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    (tmp_path / "small.yaml").write_text(json.dumps(SETTINGS))
    command: Command = request.getfixturevalue("optsearch")  # the name is that of the package here
    said = command("search", tmp_path / "small.yaml", "--out", tmp_path / "run", "--workers", "0", "--json")
    assert said.json()["population_digest"] == optsearch.load(folder).summary.population_digest


def test_the_same_call_resumes_and_another_is_refused(folder: Path) -> None:
    again = optsearch.search(SETTINGS, out=folder, workers=0, quiet=True)
    assert again.summary.counts.evaluated == 6
    other = optsearch.search(SETTINGS, out=folder.parent / "seed1", workers=0, quiet=True, settings={"seed": 1})
    assert other.summary.seed == 1
    with pytest.raises(ConfigError, match="did you mean 'population'"):
        optsearch.search({**SETTINGS, "populaton": {}}, out=folder.parent / "never")


def test_programs_are_evaluated_and_simplified_as_values(folder: Path, tmp_path: Path) -> None:
    program = optsearch.load(folder).best.program
    found = optsearch.evaluate(
        [program, "sgd"], "digits", seeds=2, baselines=["adamw"], trials=0, kept_in=tmp_path, workers=0, quiet=True
    )
    names = {row.contender for row in found.evaluation.rows}
    assert len(names) == 3
    assert {"sgd", "adamw"} < names
    short = optsearch.simplify(program)
    assert len(short.program.body) <= len(prune(program).body)
    assert optsearch.simplify("lion-raw").statements == optsearch.simplify(optsearch.LIBRARY["lion-raw"]).statements
