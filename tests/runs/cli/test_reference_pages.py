"""The generated reference: pages are up to date, and real output has exactly the keys that they list."""

from __future__ import annotations

import ast
import json
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from command_line import Command
from made_up_selection import select, selected_run, train

from optsearch.dsl.errors import UserError
from optsearch.runs.cli.app import app
from optsearch.runs.cli.exit_codes import EXIT_CODES
from optsearch.runs.cli.json_forms.outputs import OUTPUTS
from optsearch.runs.cli.json_rows import law_row
from optsearch.runs.cli.json_selections import selection_json
from optsearch.runs.library.catalog import CheckedLaw
from optsearch.runs.reference.commands import parameters
from optsearch.runs.reference.documented import descriptions
from optsearch.runs.reference.forms import faults_of_output
from optsearch.runs.reference.pages import PAGES

ROOT = Path(__file__).parents[3]
FORMS = {output.command: output for output in OUTPUTS}
QUICK = ("--task", "digits", "--seeds", "2", "--replicates", "2", "--tune", "2", "--workers", "0")


@pytest.fixture(scope="module")
def selected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a finished funnel."""
    return selected_run(tmp_path_factory.mktemp("selected") / "run")


def differences(command: str, output: Any) -> list[str]:
    form = FORMS[command]
    return faults_of_output(output, form.forms, form.many)


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_up_to_date(name: str) -> None:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert PAGES[name]() == text, "run: python -m optsearch.runs.reference docs"


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("tasks", ()),
        ("functions", ()),
        ("library", ()),
        ("campaigns", ()),
        ("doctor", ("quickstart",)),
        ("show NAME", ("lion",)),
        ("show NAME", ("root-scale",)),
        ("simplify PROGRAM", ("lion-raw", "--steps", "prune,rewrite")),
    ],
)
def test_commands_without_a_run(command: str, arguments: tuple[str, ...], optsearch: Command) -> None:
    said = optsearch(command.split()[0], *arguments, "--json")
    assert differences(command, said.json()) == []


@pytest.mark.parametrize(
    ("command", "suffix", "arguments"),
    [("show RUN", "", ()), ("show RUN:ID", ":best", ()), ("verify RUN", "", ("--sample", "0"))],
)
def test_commands_on_a_run(
    command: str, suffix: str, arguments: tuple[str, ...], small_run: Path, optsearch: Command
) -> None:
    said = optsearch(command.split()[0], f"{small_run}{suffix}", *arguments, "--json")
    assert differences(command, said.json()) == []


def test_laws_of_tasks() -> None:
    laws = [CheckedLaw("name", "A sentence.", None), CheckedLaw("name", "A sentence.", "a fault")]
    assert differences("tasks --check NAME", [law_row(law) for law in laws]) == []


@pytest.mark.slow
def test_runs_with_several_tasks_and_studies_over_seeds(tmp_path: Path, optsearch: Command) -> None:
    small = ["budget.programs=20", "population.size=8", "population.tournament=2", "look_ahead=4", "fresh_seeds=2"]
    small += ["finalists.count=2", "finalists.seeds=2", "first_stage=~", "training_seeds=[0]"]
    small += ["further_tasks=[{task: teach}]", "meta_validation={task: quadratic, every_evaluations: 5}"]
    options = [part for setting in small for part in ("--set", setting)]
    command = ("search", "quickstart", *options, "--seeds", "2", "--workers", "0", "--out", tmp_path / "both")
    both = optsearch(*command, "--json").json()
    assert differences("search CAMPAIGN --seeds N", both) == []
    assert both["runs"][0]["comparison"][0]["tasks"], "the case with several tasks"
    assert differences("search CAMPAIGN", both["runs"][1]) == []
    lines = optsearch("watch", tmp_path / "both" / "seed0", "--json").out.splitlines()
    assert differences("watch RUN", [json.loads(line) for line in lines]) == []
    assert differences("show RUN:ID", optsearch("show", f"{tmp_path / 'both' / 'seed1'}:best", "--json").json()) == []


def test_comparisons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optsearch: Command) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("optsearch.runs.commands.evaluate.run_job", train)
    options = (
        "--baseline",
        "adamw",
        "--baseline",
        "nadamw",
        "--sensitivity",
        "--steps",
        "1x,2x",
        "--space",
        "eps=1e-10:1e-2",
    )
    said = optsearch("evaluate", "lion", *QUICK, *options, "--json")
    assert said.code == 0, said.err
    found = said.json()
    assert differences("evaluate PROGRAM", found) == []
    for part in ("families", "trends", "rate_sensitivity", "tuning_curves", "times", "headlines"):
        assert found[part], f"the output has no {part} to compare"


def test_funnels(selected: Path, optsearch: Command) -> None:
    result = json.loads(json.dumps(selection_json(select(selected))))
    assert result["stages"][0]["bias"] is not None
    assert differences("select RUN", result) == []
    assert differences("show RUN", optsearch("show", selected, "--json").json()) == []


def test_every_command_has_json_and_its_form() -> None:
    """A new command, or one that loses its option, is noticed."""
    commands = {str(one.name or one.callback.__name__): one.callback for one in app.registered_commands if one.callback}
    assert [name for name, command in commands.items() if "as_json" not in signature(command).parameters] == []
    assert {output.command.split()[0] for output in OUTPUTS} == set(commands)
    for output in OUTPUTS:
        name, *words = output.command.split()
        options = {one.written for one in parameters(commands[name])}
        assert {word for word in words if word.startswith("--")} <= options, output.command


def test_exported_programs(optsearch: Command, tmp_path: Path) -> None:
    file = tmp_path / "lion.py"
    printed = optsearch("export", "lion", "--to", "optax", "--json").json()
    written = optsearch("export", "lion", "--to", "optax", "--out", file, "--json").json()
    assert [differences("export PROGRAM", found) for found in (printed, written)] == [[], []]
    assert written == printed | {"file": str(file)}
    assert printed["text"] == file.read_text() == optsearch("export", "lion", "--to", "optax").out
    assert differences("export PROGRAM --to json", optsearch("export", "lion", "--to", "json").json()) == []


def test_differences_are_found(optsearch: Command) -> None:
    row = optsearch("tasks", "--json").json()[0]
    assert differences("tasks", [row | {"new": 1}]) == ["[0].new: the key is not documented"]
    assert differences("tasks", [{key: row[key] for key in row if key != "use"}]) == ["[0].use: the key is missing"]
    assert differences("tasks", [row | {"steps": "many"}]) == ["[0].steps: 'many' is not integer"]
    assert differences("tasks", [row | {"examples": [1, None]}]) == ["[0].examples[1]: None is not integer"]
    assert differences("tasks", [row | {"adamw": {}}])


def test_descriptions_are_read_from_docstrings() -> None:
    class Documented:
        """A thing.

        Attributes:
            one: first, ``code`` and
                more.
            two: second.

        Raises:
            three: not an attribute.
        """

    assert descriptions(Documented) == {"one": "first, `code` and more.", "two": "second."}


def test_every_exit_code_is_documented() -> None:
    used = {1, UserError.exit_code} | {kind.exit_code for kind in _subclasses(UserError)}
    for path in (ROOT / "runs" / "cli").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("typer.Exit", "SystemExit"):
                used |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    assert used | {0} == set(EXIT_CODES)


def test_help_ends_with_the_exit_codes(optsearch: Command) -> None:
    words = " ".join(optsearch("--help").out.split())
    for number, meaning in EXIT_CODES.items():
        assert f"{number}: {meaning}" in words


def _subclasses(kind: type) -> set[type]:
    return {inner for one in kind.__subclasses__() for inner in (one, *_subclasses(one))}
