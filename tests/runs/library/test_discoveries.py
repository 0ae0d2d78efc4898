"""Discovered programs: shipped ones satisfy their laws, damage is detected, and entries derive from records only."""

from __future__ import annotations

import csv
import json
import runpy
import shutil
from dataclasses import replace
from inspect import signature
from pathlib import Path

import jax
import optax
import pytest
from command_line import Command
from made_up_run import made_up_run
from made_up_selection import train

from optsearch.dsl.dataflow import prune
from optsearch.dsl.export.optax import to_optax_source
from optsearch.dsl.fingerprint import FINGERPRINT_VERSION, fingerprint
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.rate import at_rate
from optsearch.dsl.syntax import parse
from optsearch.dsl.verify import verify
from optsearch.proxy_tasks.registry import TASKS, get_task
from optsearch.runs.commands.search import load_named
from optsearch.runs.library.add import add
from optsearch.runs.library.catalog import campaigns
from optsearch.runs.library.description import lines, method
from optsearch.runs.library.discovery import DISCOVERED, Discoveries
from optsearch.runs.library.references import load_program
from optsearch.runs.store.errors import RunError
from optsearch.search.settings.config_errors import ConfigError
from optsearch.search.settings.yaml_text import read_yaml
from optsearch.selection.tuning.tuner import TuningBudget

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"

HELD_OUT = ["--task", "digits", "--task", "teach", "--baseline", "adamw", "--baseline", "lion"]
HELD_OUT += ["--seeds", "8", "--tune", "6", "--workers", "0"]
FEW = ["--replicates", "2"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: Path) -> Path:
    """A copy of the run, in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("optsearch.runs.commands.evaluate.run_job", train)
    return Path(shutil.copytree(found, tmp_path / "mine"))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_up_run(tmp_path_factory.mktemp("found") / "mine", programs=60)


@pytest.mark.parametrize("name", DISCOVERED)
def test_what_ships_is_what_its_record_says(name: str) -> None:
    one = DISCOVERED[name]
    record = one.record
    verify(one.program)
    assert parse(str(one.program)) == prune(one.program) == one.program
    assert record.fingerprint_version == FINGERPRINT_VERSION, "name the program again"
    assert fingerprint(one.program) == record.fingerprint
    config, _ = load_named(name)
    assert (config.seed, config.task) == (record.origin.seed, record.origin.tasks[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", DISCOVERED)
def test_tasks_are_those_of_the_evaluation(name: str) -> None:
    record = DISCOVERED[name].record
    for result in record.held_out.results:
        assert result.version == TASKS[result.task].version, "the task has changed: evaluate again"


@pytest.mark.parametrize("name", DISCOVERED)
def test_what_ships_trains_in_optax(name: str, tmp_path: Path) -> None:
    task = replace(get_task("teach"), steps=50)
    (tmp_path / "exported.py").write_text(to_optax_source(DISCOVERED[name].program))
    make = runpy.run_path(str(tmp_path / "exported.py"))["optimizer"]
    argument, own = next((name, parameter.default) for name, parameter in signature(make).parameters.items())
    optimizer = make(**{argument: optax.linear_schedule(own, 0.0, task.steps)})
    batch = tuple(array[: task.batch_size] for array in task.data.train)
    params = task.model.init(jax.random.key(0))
    state, losses = optimizer.init(params), list[float]()

    @jax.jit
    def step(params, state):
        loss, gradient = jax.value_and_grad(lambda w: task.objective.loss(task.model, w, batch))(params)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, loss

    for _ in range(task.steps):
        params, state, loss = step(params, state)
        losses.append(float(loss))
    assert losses[-1] < 0.7 * losses[0]


def test_names_mean_one_thing() -> None:
    assert not set(DISCOVERED) & ({*LIBRARY} | {campaign.name for campaign in campaigns()})
    assert {*DISCOVERED}, "the folder is never empty"


def test_users_name_them_as_library_programs(optsearch: Command) -> None:
    name, one = next(iter(DISCOVERED.items()))
    rows = {row["name"]: row for row in optsearch("library", "--json").json()}
    assert rows[name]["discovery"]["fingerprint"] == one.record.fingerprint
    assert rows["lion"]["discovery"] is None
    assert load_program(name).program == one.program
    assert one.headline in optsearch("show", name).out
    assert optsearch("show", name, "--json").json()["discovery"]["commands"] == one.commands
    for form in ("optax", "torch"):
        text = " ".join(optsearch("export", name, "--to", form).out.split())
        assert f"of the run {one.record.origin.run}" in text
        assert all(f"{result.task}: {result.loss[0]:.4f}" in text for result in one.record.held_out.results)
    for command in ("show", "export", "search"):
        assert f"did you mean '{name}'?" in optsearch(command, f"{name}s").err


def test_comparisons_show_their_verdicts(run: Path, optsearch: Command) -> None:
    optsearch("evaluate", "mine:best", *HELD_OUT)
    one = add("mine:best", "mine", "new", folder=run.parent)
    assert one.headline.startswith("Over 2 held-out tasks (digits and teach): ")
    assert [row.opponent for row in one.record.held_out.over_tasks] == ["adamw", "lion"]
    assert one.headline.count("p = ") == 2
    assert one.headline in " ".join(lines(one))
    assert "tuned 5 times with 6 trials, constants too, each time followed by 8 fresh seeds. " in method(one)


@pytest.mark.parametrize(
    "baselines", [("adamw", "lion"), pytest.param(("adamw", "clipped", "nadamw", "lion"), marks=pytest.mark.slow)]
)
def test_all_losses_ship_and_give_the_same_numbers(
    run: Path, baselines: tuple[str, ...], optsearch: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    best = load_program("mine:best").program
    Path("short.txt").write_text(str(at_rate(prune(best), 0.5)))
    named = [word for name in baselines for word in ("--baseline", name)]
    optsearch("evaluate", "mine:best", "short.txt", *HELD_OUT[:4], *HELD_OUT[8:], *named, "--replicates", "3")
    home = run.parent / "entries"
    home.mkdir()
    add("mine:best", "mine", "new", losses="both", folder=home)
    add("mine:best", "short", "new", program=Path("short.txt"), losses="both", folder=home)
    rows = list(csv.DictReader((home / "both.csv").open()))
    assert len(rows) == 2 * 3 * (2 + len(baselines))
    assert {len(row["test_losses"].split()) for row in rows} == {8}
    assert {row["kind"] for row in rows if row["contender"].startswith("mine")} == {"program"}

    def recomputed() -> int:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", ["recompute.py", "--folder", str(home)])
            with pytest.raises(SystemExit) as ended:
                runpy.run_path(str(BENCHMARKS / "recompute.py"), run_name="__main__")
        return int(str(ended.value.code))

    assert recomputed() == 0, capsys.readouterr().err
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["numbers"] > 50
    told = (home / "both.csv").read_text()
    first = rows[0]["test_losses"].split()[0]
    (home / "both.csv").write_text(told.replace(first, repr(float(first) + 0.001), 1))
    assert recomputed() == 1
    assert "from the losses" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"'both\.csv' is there already"):
        add("mine:best", "again", "new", losses="both", folder=home)


def test_a_shipped_program_gets_new_results(
    optsearch: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optsearch.runs.commands.evaluate.run_job", train)
    monkeypatch.chdir(tmp_path)
    name = "bounded-root"
    told = optsearch("evaluate", name, "--task", "digits", *HELD_OUT[4:], *FEW, "--json").out
    Path("told.json").write_text(told)
    one = add(name, name, evaluation=Path("told.json"), folder=tmp_path)
    was = DISCOVERED[name].record
    assert (one.record.origin, one.record.chosen_on, one.record.description) == (
        was.origin,
        was.chosen_on,
        was.description,
    )
    assert one.record.cost["search"] == was.cost["search"]
    assert one.record.cost["evaluation"].runs == 3 * 2 * (TuningBudget(6).runs + 8)
    assert [result.task for result in one.record.held_out.results] == ["digits"]
    with pytest.raises(ConfigError, match="pass its new results with --evaluation"):
        add(name, "other", folder=tmp_path)
    for damaged in ("", "{}", told.replace('"cost"', '"coast"'), told.replace('"constants"', '"content"')):
        Path("told.json").write_text(damaged)
        with pytest.raises(RunError, match="is no output of `optsearch evaluate --json`"):
            add(name, "other", evaluation=Path("told.json"), folder=tmp_path)
    Path("told.json").write_text(optsearch("evaluate", name, "--task", "mlm", *HELD_OUT[4:], *FEW, "--json").out)
    with pytest.raises(RunError, match="made from the same data"):
        add(name, "other", evaluation=Path("told.json"), folder=tmp_path)


def test_further_results_stand_beside_those_on_held_out_tasks(
    optsearch: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optsearch.runs.commands.evaluate.run_job", train)
    monkeypatch.chdir(tmp_path)
    name = "bounded-root"
    was = DISCOVERED[name].record
    Path("told.json").write_text(optsearch("evaluate", name, "--task", "mlm", *HELD_OUT[4:], *FEW, "--json").out)
    for _ in range(2):  # the same table of losses again: the results are replaced
        one = add(name, name, evaluation=Path("told.json"), further=True, losses="shared", folder=tmp_path)
    assert one == Discoveries(tmp_path)[name]
    assert one.record.held_out == was.held_out
    assert one.record.cost == was.cost
    assert one.record.further[:-1] == was.further
    assert one.record.further[-1].tasks == ["mlm"]
    assert (tmp_path / "shared.csv").read_text().count("mlm,") == 3 * 2
    assert one.commands[-1].startswith(f"optsearch evaluate {name} --task mlm --baseline adamw --baseline lion ")
    for wrong in ({"losses": None}, {"reference": "root-scale"}):
        asked = {"reference": name, "losses": "shared"} | wrong
        with pytest.raises(ConfigError, match="--further adds results to a shipped program"):
            add(asked.pop("reference"), name, evaluation=Path("told.json"), further=True, folder=tmp_path, **asked)
    with pytest.raises(ConfigError, match="same table of losses"):
        add(name, name, evaluation=Path("told.json"), further=True, losses=was.held_out.losses[:-4], folder=tmp_path)
    for task in was.chosen_on:
        Path("told.json").write_text(optsearch("evaluate", name, "--task", task, *HELD_OUT[4:], *FEW, "--json").out)
        with pytest.raises(ConfigError, match=f"'{task}' is not held out"):
            add(name, name, evaluation=Path("told.json"), further=True, losses="other", folder=tmp_path)
        with pytest.raises(ConfigError, match=r"'shared\.csv' is there already, from another evaluation"):
            add(name, name, evaluation=Path("told.json"), further=True, losses="shared", folder=tmp_path)


def test_what_chose_a_discovered_program_is_said(optsearch: Command, run: Path) -> None:
    name, one = next(iter(DISCOVERED.items()))
    options = ["--task", one.record.origin.tasks[0], "--tune", "0", "--seeds", "2", "--workers", "0", "--json"]
    (warning,) = optsearch("evaluate", name, *options).json()["warnings"]
    assert f"Not held out: {name} was selected on '{one.record.origin.tasks[0]}' by its search" in warning


def test_damaged_entries_are_errors(tmp_path: Path) -> None:
    name = next(iter(DISCOVERED))
    home = Path(str(DISCOVERED.folder))
    texts = {ending: (home / f"{name}.{ending}").read_text(encoding="utf-8") for ending in ("txt", "yaml")}
    task = DISCOVERED[name].record.held_out.results[0].task

    def damaged(ending: str, old: str, new: str) -> str:
        assert old in texts[ending]
        for other, text in texts.items():
            (tmp_path / f"x.{other}").write_text(text.replace(old, new, 1) if other == ending else text)
        with pytest.raises(ConfigError) as error:
            Discoveries(tmp_path)["x"]
        return str(error.value)

    assert "x.txt: the program has another meaning than x.yaml records" in damaged("txt", "m / ", "m * ")
    assert "x.txt, or raw in x.yaml: line" in damaged("txt", " = ", " ! ")
    assert "origin.raw: the program has another meaning" in damaged("yaml", "m / ", "m * ")
    assert f"'{task}' is not held out: its search chose" in damaged(
        "yaml", "chosen_on:\n", f"chosen_on:\n  {task}: its search\n"
    )
    assert "x.yaml:2: fingerprnt" in damaged("yaml", "fingerprint", "fingerprnt")
    assert "must be a whole number" in damaged("yaml", "  trials: ", "  trials: many")
    (tmp_path / "x.txt").unlink()
    with pytest.raises(ConfigError, match=r"x\.txt: cannot be read"):
        Discoveries(tmp_path)["x"]


@pytest.mark.parametrize("options", [[], ["--shared"]])
def test_an_entry_comes_from_the_records_of_its_run(run: Path, optsearch: Command, options: list[str]) -> None:
    with pytest.raises(RunError, match="has recorded no evaluation of this program"):
        add("mine:best", "mine", "new", folder=run.parent)
    evaluated = optsearch("evaluate", "mine:best", *HELD_OUT, *FEW, *options, "--json").json()
    one = add("mine:best", "mine", "new", folder=run.parent)
    shown = optsearch("show", "mine:best", "--json").json()
    origin, held = one.record.origin, one.record.held_out
    assert one == Discoveries(run.parent)["mine"]
    assert str(one.program) == (run.parent / "mine.txt").read_text() == shown["pruned"]
    assert origin.raw == shown["text"]
    assert origin.population_digest == optsearch("show", "mine", "--json").json()["population_digest"]
    assert read_yaml(origin.campaign).data["budget"]["programs"] == 60
    assert [result.task for result in held.results] == ["digits", "teach"]
    rows = [(result.task, row.baseline, row.verdict) for result in held.results for row in result.against]
    assert rows == [(row["task"], row["baseline"], row["verdict"]) for row in evaluated["comparisons"]]
    called = f"mine:{origin.program}"
    losses = [row["test_loss"] for row in evaluated["rows"] if row["task"] == "digits" and row["contender"] == called]
    assert held.results[0].loss[0] == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert one.record.chosen_on == {"ae": "its search", "X_ae": "its meta-validation"}
    assert ("--shared" in one.record.held_out.command.split(), "one setting" in method(one)) == (bool(options),) * 2
    with pytest.raises(ConfigError, match="is there already"):
        add("mine:best", "mine", "new", folder=run.parent)


def test_a_simplified_program_needs_an_evaluation_of_its_own(run: Path, optsearch: Command) -> None:
    best = load_program("mine:best").program
    Path("short.txt").write_text(str(at_rate(prune(best), 0.5)))
    optsearch("evaluate", "mine:best", *HELD_OUT, *FEW)
    with pytest.raises(RunError, match="a simplified program is evaluated together with the one"):
        add("mine:best", "short", "new", program=Path("short.txt"), folder=run.parent)
    optsearch("evaluate", "mine:best", "short.txt", *HELD_OUT, *FEW)
    one = add("mine:best", "short", "new", program=Path("short.txt"), folder=run.parent)
    assert one.record.origin.distilled == "simplified"
    assert one.program == parse(Path("short.txt").read_text())
    assert one.record.held_out.programs[1] == "short"
    assert len(one.record.held_out.programs) == 2


def test_a_task_that_chose_the_program_is_no_proof(run: Path, optsearch: Command) -> None:
    optsearch("evaluate", "mine:best", *HELD_OUT, *FEW, "--task", "X_ae")
    with pytest.raises(RunError, match="selected on 'X_ae' by its meta-validation"):
        add("mine:best", "mine", "new", folder=run.parent)


def test_one_tuning_is_no_proof(run: Path, optsearch: Command) -> None:
    optsearch("evaluate", "mine:best", *HELD_OUT, "--replicates", "1")
    with pytest.raises(RunError, match="every contender was tuned once"):
        add("mine:best", "mine", "new", folder=run.parent)


@pytest.mark.parametrize(("name", "says"), [("lion", "is a library program"), ("My Program", "is no name")])
def test_names_that_cannot_be_used(name: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=says):
        add("mine:best", name, "new", folder=tmp_path)


@pytest.mark.parametrize("name", DISCOVERED)
def test_a_program_is_distilled_on_every_task_of_its_search(name: str) -> None:
    assert load_program(name).tasks == tuple(DISCOVERED[name].record.origin.tasks)
    assert len(load_program("bounded-root").tasks) == 3
