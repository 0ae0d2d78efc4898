"""The command line: real campaigns, exit codes, and error messages."""

import importlib.util
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from importlib.metadata import version
from inspect import signature
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from command_line import SMALL, Command

from optsearch.dsl.library import LIBRARY
from optsearch.dsl.syntax import parse
from optsearch.dsl.transform import to_transformation
from optsearch.runs.library.discovery import DISCOVERED
from optsearch.runs.store.lock import WriterLock
from optsearch.runs.summary.sentences import SIGNS


def test_a_run_in_one_object(optsearch: Command, small_run: Path) -> None:
    view = optsearch("show", small_run, "--json").json()
    assert (view["name"], view["status"], view["seed"], view["generated"]) == ("quickstart", "finished", 0, 60)
    assert view["evaluated"] + view["cache_hits"] == 60
    assert sum(view["outcomes"].values()) == view["evaluated"]
    assert view["seconds"] > 0
    best = view["best"]
    assert best["fitness"] <= view["warm_start"]["fitness"]
    assert len(parse(best["pruned"]).body) <= len(parse(best["text"]).body)
    assert len(view["population_digest"]) == 64
    (control,) = view["controls"]
    assert control["evaluated"] == view["evaluated"], "the control has the same number of evaluations"
    for entry in (best, control["best"], view["warm_start"]):
        assert entry["fresh"]["seeds"] == [3000000, 3000001, 3000002]
        assert np.isclose(entry["fresh"]["mean"], np.mean(entry["fresh"]["losses"]))
    gap = np.mean(best["fresh"]["losses"]) - np.mean(view["warm_start"]["fresh"]["losses"])
    assert np.isclose(view["comparison"][0]["difference"], gap)


def test_the_control_changes_constants_alone(optsearch: Command, small_run: Path) -> None:
    control = optsearch("show", small_run, "--json").json()["controls"][0]
    found, start = parse(control["best"]["text"]), LIBRARY["adamw"]
    assert [s.target for s in found.body] == [s.target for s in start.body]
    assert [s.function for s in found.body] == [s.function for s in start.body]
    names = [[a for a in s.args if isinstance(a, str)] for s in found.body]
    assert names == [[a for a in s.args if isinstance(a, str)] for s in start.body]


def test_lineage_leads_to_the_warm_start(optsearch: Command, small_run: Path) -> None:
    view = optsearch("show", f"{small_run}:best", "--json").json()
    assert view["lineage"][0]["id"] == view["id"]
    assert (view["lineage"][-1]["id"], view["lineage"][-1]["mutation"]) == ("0", "warm start")
    assert {row["purpose"] for row in view["evaluations"]} == {"search", "finalist", "fresh seed"}


def test_words_for_people_hold_the_numbers(optsearch: Command, small_run: Path) -> None:
    view, words = optsearch("show", small_run, "--json").json(), optsearch("show", small_run).out
    assert f"{view['best']['fresh']['mean']:.5f}" in words
    assert f"Best program {view['best']['id']}" in words
    assert "control" in words or "beats" in words or "No difference" in words
    assert "adamw as given" in words
    assert words.count(SIGNS) == 1


def test_the_leaderboard_marks_the_best_program_and_says_what_decided(optsearch: Command, small_run: Path) -> None:
    view, words = optsearch("show", small_run, "--json").json(), optsearch("show", small_run).out
    (best,) = [row for row in view["leaderboard"] if row["best"]]
    assert best["id"] == view["best"]["id"]
    means = [row["finalist"] for row in view["leaderboard"] if row["finalist"] is not None]
    assert best["finalist"] == min(means) == view["best"]["finalist"]["mean"]
    assert len(means) > 1
    row = next(line for line in words.splitlines() if line.startswith(f"{best['id']} * "))
    assert f"{best['finalist']:.5f}" in row
    assert "it has the lowest mean over the seeds of the finalists" in words


def test_the_same_search_again_changes_nothing(optsearch: Command, small_run: Path) -> None:
    before = optsearch("show", small_run, "--json").json()
    again = optsearch("search", "quickstart", *SMALL, "--out", small_run, "--workers", "0", "--json")
    assert again.code == 0
    after = again.json()
    shown = {name: before[name] for name in ("leaderboard", "front", "proposals", "studies")}
    assert {**after, **shown, "seconds": 0} == {**before, "seconds": 0}


def test_interrupted_and_resumed_is_undisturbed(small_run: Path, optsearch: Command, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from optsearch.runs.cli.app import main; main()", "search", "quickstart", *SMALL]
    command += ["--out", str(tmp_path / "run"), "--workers", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("search:"):
            break
    process.send_signal(signal.SIGINT)
    process.stderr.read()
    assert process.wait(timeout=60) == 130
    stopped = optsearch("show", tmp_path / "run", "--json").json()
    assert stopped["status"] == "interrupted"
    assert stopped["generated"] < 60
    resumed = optsearch(*command[3:], "--json").json()
    undisturbed = optsearch("show", small_run, "--json").json()
    for key in ("status", "generated", "evaluated", "outcomes", "best", "controls", "population_digest"):
        assert resumed[key] == undisturbed[key], key


def test_killed_and_resumed_is_undisturbed(small_run: Path, optsearch: Command, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from optsearch.runs.cli.app import main; main()", "search", "quickstart", *SMALL]
    command += ["--out", str(tmp_path / "run"), "--workers", "0"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wal = tmp_path / "run" / "run.sqlite-wal"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (wal.exists() and wal.stat().st_size > 100_000):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=60)
    assert optsearch("show", tmp_path / "run", "--json").json()["status"] == "crashed"
    resumed = optsearch(*command[3:], "--json").json()
    undisturbed = optsearch("show", small_run, "--json").json()
    assert resumed["population_digest"] == undisturbed["population_digest"]
    assert resumed["best"] == undisturbed["best"]


@pytest.mark.slow  # tests/search/test_workers.py compares whole searches in the default suite
def test_workers_do_not_change_the_result(small_run: Path, optsearch: Command, tmp_path: Path) -> None:
    undisturbed = optsearch("show", small_run, "--json").json()
    for workers in ("1", "2"):
        out = tmp_path / workers
        view = optsearch("search", "quickstart", *SMALL, "--out", out, "--workers", workers, "--json").json()
        for key in ("population_digest", "best", "controls", "outcomes"):
            assert view[key] == undisturbed[key], f"{key} with {workers} workers"


def test_a_budget_can_be_extended(small_run: Path, optsearch: Command, tmp_path: Path) -> None:
    short = [*SMALL, "--set", "budget.programs=25"]
    optsearch("search", "quickstart", *short, "--out", tmp_path / "run", "--workers", "0", "--json")
    view = optsearch("search", "quickstart", *SMALL, "--out", tmp_path / "run", "--workers", "0", "--json").json()
    assert view["generated"] == 60
    assert view["population_digest"] == optsearch("show", small_run, "--json").json()["population_digest"]


def test_exported_best_is_the_program(small_run: Path, optsearch: Command, tmp_path: Path) -> None:
    file = tmp_path / "found.py"
    assert optsearch("export", f"{small_run}:best", "--to", "optax", "--out", file).code == 0
    spec = importlib.util.spec_from_file_location("found", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    program = parse(optsearch("show", f"{small_run}:best", "--json").json()["text"])
    schedule = optax.cosine_decay_schedule(1.0, 100)
    argument, own = next(
        (name, parameter.default) for name, parameter in signature(module.optimizer).parameters.items()
    )
    ours, exported = (
        to_transformation(program, schedule),
        module.optimizer(**{argument: lambda count: own * schedule(count)}),
    )
    params = {"w": jnp.asarray([1.0, -0.5, 2.0]), "b": jnp.asarray(0.25)}
    state, other = ours.init(params), exported.init(params)
    for _ in range(20):
        gradient = jax.tree.map(lambda x: 0.1 * x, params)
        updates, state = ours.update(gradient, state, params)
        same, other = exported.update(gradient, other, params)
        for a, b in zip(jax.tree.leaves(updates), jax.tree.leaves(same), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
        params = optax.apply_updates(params, updates)


def test_nothing_is_overwritten(small_run: Path, optsearch: Command, tmp_path: Path) -> None:
    file = tmp_path / "there.py"
    file.write_text("precious")
    refused = optsearch("export", "lion", "--out", file)
    assert refused.code == 2
    assert "--force" in refused.err
    assert file.read_text() == "precious"
    assert optsearch("export", "lion", "--out", file, "--force").code == 0
    other = optsearch(
        "search", "quickstart", *SMALL, "--set", "mutation.insert=5", "--out", small_run, "--workers", "0"
    )
    assert other.code == 2
    assert "mutation.insert is 3.0 there and 5.0 here" in other.err
    assert optsearch("search", "quickstart", "--out", tmp_path, "--workers", "0").code == 2, "holds other files"


def test_one_writer(small_run: Path, optsearch: Command) -> None:
    lock = WriterLock(small_run)
    try:
        refused = optsearch("search", "quickstart", *SMALL, "--out", small_run, "--workers", "0")
        assert refused.code == 2
        assert f"process {os.getpid()}" in refused.err
        assert optsearch("show", small_run).code == 0, "reading goes on"
    finally:
        lock.release()


MISTAKES = [
    (["search", "quikstart"], "did you mean 'quickstart'?"),
    (["search", "absent.yaml"], "absent.yaml: cannot be read"),
    (["search", "quickstart", "--set", "populaton.size=3"], "did you mean 'population'?"),
    (["search", "quickstart", "--set", "budget.programs=-1"], "budget.programs: must be at least 1"),
    (["search", "quickstart", "--set", "task=digits"], "held out"),
    (["search", "quickstart", "--set", "task=aee"], "unknown task 'aee'"),
    (["search", "quickstart", "--set", "functions=[sine]"], "unknown function 'sine'"),
    (["search", "quickstart", "--workers=-1"], "--workers"),
    (["show", "absent"], "is not a run"),
    (["show", "absent:3"], "is not a run"),
    (["simplify", "lion", "--steps", "prune,rewite"], "did you mean 'rewrite'?"),
    (["simplify", "lionn"], "did you mean 'lion'?"),
    (["export", "lion", "--to", "tensorflow"], "tensorflow"),
    (["evaluate", "lion", "--task", "digts"], "did you mean 'digits'?"),
    (["evaluate", "lion", "--baseline", "adamww"], "did you mean 'adamw'?"),
    (["evaluate", "lion", "--seeds", "0"], "--seeds"),
    (["evaluate", "lion", "--batch", "16,x"], "'16,x' is not a list of batch sizes"),
    (["evaluate", "lion", "--task", "digits", "--batch", "1000000"], "training examples"),
    (["evaluate", "lion", "--steps", "1,4"], "'1,4' is not a list of multiples"),
    (["evaluate", "lion", "--steps", "1x,1.0x"], "duplicate number of steps"),
    (["evaluate", "lion", "--steps", "0x"], "must lie between 0 and"),
    (["select", "nothing"], "'nothing' is not a run"),
    (["select", "x", "--funnel", "laddr"], "did you mean 'ladder'?"),
    (["select", "x", "--set", "stages.0=1"], "stages"),
    (["select", "x", "--set", "candidates.mst=1"], "candidates.mst: unknown key; did you mean 'most'?"),
    (["doctor", "quikstart"], "did you mean 'quickstart'?"),
    (["doctor", "quickstart", "--set", "lanes=0"], "lanes: must be at least 1"),
    (["doctor", "--device-memory", "40"], "CAMPAIGN"),
    (["frobnicate"], "frobnicate"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=lambda value: str(value))
def test_mistakes_are_named(
    arguments: list[str], message: str, optsearch: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = optsearch(*arguments)
    assert said.code == 2
    assert message in said.err
    assert "Traceback" not in said.err
    assert list(tmp_path.iterdir()) == [], "nothing was started"


def test_a_malformed_program_file(optsearch: Command, tmp_path: Path) -> None:
    file = tmp_path / "bad.txt"
    file.write_text("def train(w, g, lr):\n  # a comment\n  update = sqrt(lr, g)\n  return update\n")
    said = optsearch("simplify", file)
    assert said.code == 2
    assert said.err.startswith(f"error: {file}: line 3: ")
    assert "update = sqrt(lr, g)" in said.err
    assert "sqrt takes 1 operand, got 2" in said.err
    file.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in optsearch("export", file).err


def test_a_malformed_campaign_file(optsearch: Command, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\ntask: ae\npopulaton: {size: 3}\nbudget: {programs: many}\n")
    said = optsearch("search", file)
    assert said.code == 2
    assert f"{file}:3: populaton: unknown key; did you mean 'population'?" in said.err
    assert f"{file}:4: budget.programs: must be a whole number, got 'many'" in said.err


def test_a_damaged_run_is_said(small_run: Path, optsearch: Command, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    data = (small_run / "run.sqlite").read_bytes()
    (folder / "run.sqlite").write_bytes(data.replace(b"insert line", b"jnsert line"))
    said = optsearch("show", folder)
    assert said.code == 1
    assert "damaged" in said.err


def test_lists(optsearch: Command) -> None:
    for command in ("tasks", "functions", "library", "campaigns"):
        rows = optsearch(command, "--json").json()
        words = optsearch(command).out
        assert rows
        assert all(str(row["name"]) in words for row in rows)
    assert [row["name"] for row in optsearch("library", "--json").json()] == [*LIBRARY, *DISCOVERED]


def test_simplify_records_its_steps(optsearch: Command) -> None:
    said = optsearch("simplify", "lion-raw", "--steps", "prune,rewrite", "--json").json()
    assert said["state"] == ["m"]
    assert said["statements"] == len(parse(said["text"]).body) == 9
    assert said["recognised"]["name"] == "lion"
    assert [step["step"] for step in said["steps"]] == ["prune", "rewrite"]
    assert said["steps"][0]["statements"] == 12
    words = optsearch("simplify", "lion-raw", "--steps", "prune")
    assert len(parse(words.out).body) == 12
    assert "removed 9 of 21 statements" in words.err


@pytest.mark.parametrize("form", ["optax", "torch", "latex", "pseudocode", "json"])
def test_every_form_of_export(form: str, optsearch: Command) -> None:
    said = optsearch("export", "lion", "--to", form)
    assert said.code == 0
    assert "sign" in said.out
    if form == "json":
        assert parse(json.loads(said.out)["text"]) == LIBRARY["lion"]


def test_help_needs_neither_jax_nor_ray() -> None:
    code = "import sys; from optsearch.runs.cli.app import main; sys.argv = ['optsearch', '--help']\n"
    code += "try: main()\nexcept SystemExit: pass\n"
    code += "print(*[m for m in ('jax', 'ray', 'numpy', 'optax') if m in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "search" in done.stdout
    assert done.stderr.strip() == ""


def test_the_version_is_that_of_the_installed_package(optsearch: Command) -> None:
    said = optsearch("--version")
    assert (said.code, said.out, said.err) == (0, f"optsearch {version('optsearch')}\n", "")


def test_json_is_json_only(optsearch: Command, small_run: Path) -> None:
    said = optsearch("show", small_run, "--json")
    assert json.dumps(json.loads(said.out), indent=2) + "\n" == said.out


def test_exported_files_say_where_from_and_how_good(optsearch: Command, small_run: Path) -> None:
    view = optsearch("show", small_run, "--json").json()
    best, control = view["best"], view["controls"][0]["best"]
    about = optsearch("show", f"{small_run}:best", "--json").json()
    for form in ("optax", "torch", "latex", "pseudocode", "json"):
        text = " ".join(optsearch("export", f"{small_run}:best", "--to", form).out.split())
        said = [f"Program {best['id']} of the run {small_run.name} (campaign quickstart, seed 0)", about["fingerprint"]]
        said += [
            "on task ae, seeds 0",
            "On 3 seeds that the search never used",
            "Controls on the same seeds: warm start adamw",
        ]
        said += [f"{entry['fresh']['mean']:.6g} (" for entry in (best, view["warm_start"], control)]
        for words in said:
            assert words in text


def test_a_program_that_does_not_train_cannot_be_ablated(optsearch: Command, tmp_path: Path) -> None:
    file = tmp_path / "huge.txt"
    file.write_text("def train(w, g, lr):\n  big = exp(1000.0)\n  update = g * big\n  return update\n")
    command = ["simplify", file, "--workers", "0", "--kept-in", tmp_path / "kept"]
    said = optsearch(*command)
    assert said.code == 1
    assert "does not train on ae with any learning rate that was tried: choose another task" in said.err
    assert "Traceback" not in said.err
    with closing(sqlite3.connect(tmp_path / "kept" / "trainings.sqlite")) as connection, connection:
        connection.execute("UPDATE trainings SET result = replace(result, 'null', '0.25')")
    said = optsearch(*command)
    assert said.code == 1
    assert "trainings.sqlite: a training run is not as it was written" in said.err
