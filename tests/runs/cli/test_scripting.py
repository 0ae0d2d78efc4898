"""The Python API does what the commands do, with values in place of names."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Command
from made_up_run import made_up_run
from made_up_selection import FUNNEL, train
from small_campaign import SETTINGS

import optsearch
from optsearch.dsl.dataflow import prune
from optsearch.runs.library.export import FORMS, ExportError
from optsearch.runs.store.errors import RunError
from optsearch.search.settings.config_errors import ConfigError
from optsearch.selection.tuning.rate_sensitivity import FACTORS


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


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up run, and synthetic training of comparisons."""
    monkeypatch.setattr("optsearch.runs.commands.evaluate.run_job", train)
    monkeypatch.setattr("optsearch.runs.commands.select.run_job", train)
    monkeypatch.chdir(tmp_path)
    return made_up_run(tmp_path / "run", programs=40)


def test_exports_are_those_of_the_command(made: Path, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    command: Command = request.getfixturevalue("optsearch")
    run = optsearch.load(made)
    for to in FORMS:
        assert optsearch.export(run.best, to) == command("export", f"{made}:best", "--to", to).out
    found = optsearch.evaluate(run.best, ["digits", "teach"], seeds=2, trials=3, replicates=2, workers=0, quiet=True)
    (tmp_path / "found.json").write_text(json.dumps(found.as_values()))
    said = command("export", f"{made}:best", "--to", "json", "--tuned", "found.json", "--task", "teach").json()
    own = json.loads(optsearch.export(run.best, "json", "own.json", tuned=found, task="teach"))
    assert own["text"] == said["text"]
    assert own["notes"][0] == said["notes"][0].replace("found.json", "an evaluation")
    assert json.loads(Path("own.json").read_text()) == own
    with pytest.raises(RunError, match="the file exists"):
        optsearch.export("lion", path="own.json")
    assert optsearch.export("lion", path="own.json", force=True) == Path("own.json").read_text()
    with pytest.raises(ExportError, match="give that too"):
        optsearch.export("lion", task="digits")
    assert optsearch.export(optsearch.simplify("lion-raw"), "pseudocode")


def test_a_selection_is_that_of_the_command(made: Path, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    command: Command = request.getfixturevalue("optsearch")
    (tmp_path / "funnel.yaml").write_text(FUNNEL)
    chosen = optsearch.select(optsearch.load(made), tmp_path / "funnel.yaml", workers=0, quiet=True)
    said = command("select", made, "--funnel", "funnel.yaml", "--workers", "0", "--json").json()
    assert said["trained_runs"] == 0, "the command finds the study of the function"
    assert chosen.selection.status == said["status"] == "finished"
    assert len(chosen.survivors) == 1
    assert repr(chosen).endswith(f"larger: 1 of 3 pass; left: {chosen.survivors[0]}>")
    assert "<td>larger</td>" in chosen._repr_html_()
    other = optsearch.select([made], tmp_path / "funnel.yaml", settings={"candidates.most": 3}, workers=0, quiet=True)
    assert other.selection.number == chosen.selection.number + 1


def test_rows_of_an_evaluation_are_those_of_its_json(made: Path) -> None:
    found = optsearch.evaluate(
        [optsearch.load(made).best, "sgd"], ["digits", "teach"], seeds=2, trials=6, replicates=2, sensitivity=True,
        workers=0, quiet=True,
    )  # fmt: skip
    values, contenders = found.as_values(), found.evaluation.contenders
    assert [(row.task, row.contender, row.loss) for row in found.losses()] == [
        (row["task"], row["contender"], row["loss"] and row["loss"]["mean"]) for row in values["estimates"]
    ]
    assert [(row.contender, row.opponent, row.verdict) for row in found.verdicts()] == [
        (row["contender"], row["opponent"], row["verdict"]) for row in values["headlines"]
    ]
    pairs = [(task, name) for task in ("digits", "teach") for name in contenders]
    assert [(row.task, row.contender) for row in found.target_times()] == pairs
    costs = found.step_costs()
    assert [(row.task, row.contender) for row in costs] == pairs
    assert {row.contender: row.state_bytes for row in costs} == values["state_bytes"]
    assert {row.milliseconds for row in costs} == {None}, "no time was asked for"
    at_target = {(row.task, row.contender): row for row in found.target_times()}
    for row in costs:
        time = at_target[row.task, row.contender]
        assert time.cost == (None if time.steps is None else time.steps * (row.operations or 0.0))
    assert len(found.rate_sensitivity()) == len(pairs) * len(FACTORS)
    curves = found.tuning_curves()
    assert [row.trials for row in curves if (row.task, row.contender) == pairs[0]] == [1, 2, 3, 4, 5, 6]
    assert any(row.loss is not None for row in curves)


def test_objects_print_themselves(made: Path) -> None:
    run = optsearch.load(made)
    assert repr(run.best).startswith(f"<FoundProgram {made}:{run.best.id}: fitness ")
    assert repr(optsearch.LIBRARY["lion"]) == "<Program: 7 statements, state m>"
    short = optsearch.simplify("lion-raw")
    assert repr(short).startswith("<Distilled: 9 statements, state m; this is Lion with ")
    assert str(short) == str(short.program)
    found = optsearch.evaluate(["lion", "sgd"], "digits", seeds=2, trials=2, replicates=2, workers=0, quiet=True)
    assert repr(found).startswith("<EvaluationResult: lion (program), sgd, adamw, lion on digits, ")
    assert "lion (program)" in repr(found).splitlines()[1]
    evil = replace(found, evaluation=replace(found.evaluation, estimates=(
        replace(found.evaluation.estimates[0], contender="<script>"), *found.evaluation.estimates[1:]
    )))  # fmt: skip
    assert "&lt;script&gt;" in evil._repr_html_()
    assert "<script>" not in evil._repr_html_()
    printer = Printer()
    for value in (optsearch.LIBRARY["lion"], short):
        value._repr_pretty_(printer, False)
    assert printer.said[0] == str(optsearch.LIBRARY["lion"])
    assert printer.said[1].endswith(str(short))


class Printer:
    """IPython's printer."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def text(self, said: str) -> None:
        self.said.append(said)


def test_a_run_is_verified(folder: Path) -> None:
    checks = optsearch.verify(optsearch.load(folder), 2)
    assert {check.agrees for check in checks} <= {True, None}
    assert "checksums" in {check.name for check in checks}
