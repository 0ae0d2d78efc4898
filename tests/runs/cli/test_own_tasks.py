"""Custom tasks from the command line to the workers, and the commands about tasks."""

from __future__ import annotations

import linecache
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import SMALL, Command

from optsearch.proxy_tasks.registry import TASKS, import_tasks
from optsearch.search.config import load_campaign
from optsearch.search.settings.config_errors import ConfigError

MODULE = """
import jax.numpy as jnp
import numpy as np

class Line:
    '''A line through points.'''
    batch_size, steps = 8, 20
    def __init__(self):
        rng = np.random.default_rng(0)
        self.train, self.validation, self.test = (
            [(x, x.sum() + 0.1 * rng.normal()) for x in rng.normal(size=(64, 3))] for _ in range(3)
        )
    def init(self, key):
        return {"slope": jnp.zeros(3)}
    def loss(self, params, batch):
        x, y = batch
        return jnp.mean((x @ params["slope"] - y) ** 2)

class Shipped:
    '''A shipped task with other settings.'''
    def __new__(cls):
        from dataclasses import replace
        from optsearch.proxy_tasks.registry import get_task
        return replace(get_task("quadratic"), steps=20, batch_size=8)

class Leaking(Line):
    def __init__(self):
        super().__init__()
        self.validation = self.train
"""

TALKING = """
class Talking(Line):
    print("imported")
    def __init__(self):
        print("made")
        super().__init__()
    def loss(self, params, batch):
        print("traced")
        return super().loss(params, batch)
"""

TINY = """
from dataclasses import replace
import numpy as np
from optsearch.proxy_tasks import hub
from optsearch.proxy_tasks.datasets.text import ALPHABET

rng = np.random.default_rng(0)

def cifar10():
    rows = [{"img": rng.integers(0, 256, (32, 32, 3), np.uint8), "label": int(rng.integers(10))} for _ in range(90)]
    return replace(hub.cifar10_task({"train": rows, "test": rows}, counts=(64, 20, 20)), steps=10)

def wikitext():
    text = [{"text": "".join(rng.choice(list(ALPHABET), 1300))}]
    return replace(hub.wikitext_task({"train": text, "validation": text, "test": text}), steps=10)
"""

CAMPAIGN = """
name: mine
imports: [lines:Line]
task: line
budget: {programs: 20}
population: {size: 8, tournament: 2}
look_ahead: 8
finalists: {count: 2, seeds: 2}
controls: []
fresh_seeds: 2
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr("optsearch.proxy_tasks.registry._IMPORTED", {})
    monkeypatch.delitem(sys.modules, "lines", raising=False)
    (tmp_path / "lines.py").write_text(MODULE)
    (tmp_path / "mine.yaml").write_text(CAMPAIGN)
    return tmp_path


def test_a_check_says_each_law(optsearch: Command, folder: Path) -> None:
    said = optsearch("tasks", "--import", "lines:Line", "--check", "Line")
    assert said.code == 0, said.out
    lines = said.out.splitlines()
    assert all(line.startswith("ok   ") for line in lines)
    assert {"gradient", "no leak", "deterministic"} <= {line[5:].split(":")[0] for line in lines}


def test_a_check_fails_with_what_is_wrong(optsearch: Command, folder: Path) -> None:
    said = optsearch("tasks", "--import", "lines:Leaking", "--check", "Leaking")
    assert said.code == 1
    assert "FAIL no leak: train and validation share 64 of their examples" in said.out


CHANCE = """
import random, jax

class Chance(Line):
    def __init__(self):
        super().__init__()
        self.start, noise = START, NOISE
        self.train = [(x, y + noise) for x, y in self.train]
    def init(self, key):
        return {"slope": self.start + jax.random.normal(key, 3)}
"""


@pytest.mark.parametrize(
    ("start", "noise", "differs"),
    [
        ("0.0", "np.random.normal()", "data or settings differ in another process"),
        pytest.param("random.random()", "0.0", "and, in another process, ", marks=pytest.mark.slow),
        pytest.param(
            "len(str(hash('a')))", "hash('a') % 7", "data or settings differ in another process", marks=pytest.mark.slow
        ),
    ],
)
def test_random_numbers_that_no_key_decides_are_found(
    start: str, noise: str, differs: str, optsearch: Command, folder: Path
) -> None:
    (folder / "lines.py").write_text(MODULE + CHANCE.replace("START", start).replace("NOISE", noise))
    said = optsearch("tasks", "--import", "lines:Chance", "--check", "Chance", "--json")
    (law,) = (law for law in said.json() if law["law"] == "deterministic")
    assert said.code == 1
    assert differs in law["says"]
    assert "draw them from jax.random with the key" in law["says"]


def test_what_a_task_prints_leaves_the_json_alone(optsearch: Command, folder: Path) -> None:
    (folder / "lines.py").write_text(MODULE + TALKING)
    said = optsearch("tasks", "--import", "lines:Talking", "--json")
    assert said.json()[-1]["name"] == "Talking"
    assert {"imported", "made", "traced"} <= set(said.err.splitlines())
    assert "imported" not in optsearch("campaigns", "--json").err


def test_a_task_is_imported_by_a_process_that_is_limited(folder: Path) -> None:
    """In a process of its own, which has not computed before; the module computes while it is imported."""
    (folder / "lines.py").write_text(
        "import os, jax\nprint(jax.config.jax_platforms, os.environ['XLA_FLAGS'])\njax.numpy.ones(3).sum()\n" + MODULE
    )
    code = "from optsearch.search.scoring.evaluate import import_own_tasks as take\n"
    code += "import sys; assert 'jax' not in sys.modules\n"
    code += "take(['lines:Line']); import os; assert 'JAX_PLATFORMS' not in os.environ"
    environment = {name: value for name, value in os.environ.items() if name not in ("JAX_PLATFORMS", "XLA_FLAGS")}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path != str(folder))
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "cpu --xla_cpu_multi_thread_eigen=false"


def test_a_campaign_names_its_imports(optsearch: Command, folder: Path) -> None:
    done = optsearch("search", "mine.yaml", "--out", "run", "--workers", "0", "--json")
    assert done.code == 0, done.err
    assert (done.json()["task"], done.json()["status"]) == ("Line", "finished")
    assert optsearch("show", "run").code == 0
    refused = optsearch("verify", "run")
    assert refused.code == 2
    assert "verify with --import lines:Line" in refused.err
    assert optsearch("verify", "run", "--import", "lines:Line", "--sample", "3").code == 0
    for command in (["simplify", "run:best", "--workers", "0"], ["select", "run", "--workers", "0"]):
        refused = optsearch(*command)
        assert (refused.code, f"{command[0]} with --import lines:Line" in refused.err) == (2, True), refused.err


def test_a_misspelt_key_is_one_sentence_with_the_line(optsearch: Command, folder: Path) -> None:
    (folder / "lines.py").write_text(MODULE.replace('params["slope"]', 'params["slop"]'))
    for command in (["tasks", "--import", "lines:Line", "--check", "Line"], ["search", "mine.yaml", "--workers", "0"]):
        said = optsearch(*command)
        assert said.code == 2
        (line,) = said.err.strip().splitlines()
        assert line.startswith("error: import lines:Line: KeyError: 'slop' (line ")
        assert 'of lines.py: `return jnp.mean((x @ params["slop"] - y) ** 2)`' in line


def test_a_run_goes_on_only_with_the_task_that_it_was_trained_on(
    optsearch: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["search", "mine.yaml", "--out", "run", "--workers", "0", "--json"]
    before = optsearch(*command).json()
    (folder / "lines.py").write_text(MODULE.replace("return jnp.mean(", "return 0.01 * jnp.mean("))
    monkeypatch.setattr("optsearch.proxy_tasks.registry._IMPORTED", {})
    monkeypatch.delitem(sys.modules, "lines")
    for more in ([], ["--set", "budget.programs=40"]):
        refused = optsearch(*command, *more)
        assert refused.code == 2
        said = re.search(r"trained on version ([0-9a-f]{16}) of task 'Line', which is now ([0-9a-f]{16})", refused.err)
        assert said is not None, refused.err
        assert said[1] != said[2]
        assert "--force to start again" in refused.err
    checked = optsearch("verify", "run", "--import", "lines:Line")
    assert checked.code == 1
    assert "FAIL tasks: the run was trained on version" in checked.out
    assert optsearch("show", "run", "--json").json()["best"] == before["best"]
    assert optsearch(*command, "--force").json()["best"] != before["best"]


@pytest.mark.parametrize("name", ["Line", "Shipped"])
def test_the_version_of_an_own_task_follows_its_file(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions: list[str] = []
    for text in (MODULE, MODULE + "\nCHANGED = True\n", MODULE):
        (folder / "lines.py").write_text(text)
        monkeypatch.setattr("optsearch.proxy_tasks.registry._IMPORTED", {})
        monkeypatch.delitem(sys.modules, "lines", raising=False)
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        linecache.clearcache()
        versions.append(import_tasks([f"lines:{name}"])[0].version)
    assert versions[0] == versions[2] != versions[1]


@pytest.mark.slow
def test_workers_import_too(folder: Path) -> None:
    command = [sys.executable, "-c", "from optsearch.runs.cli.app import main; main()"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path != str(folder))}
    for arguments in (
        ["search", "quickstart", *SMALL, "--import", "lines:Line", "--set", "task=Line", "--workers", "1"],
        ["evaluate", "lion", "--import", "lines:Line", "--task", "Line", "--seeds", "2", "--workers", "1"],
    ):
        done = subprocess.run([*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "Line" in done.stdout


@pytest.mark.slow
def test_optional_data_are_evaluated_on(folder: Path, optsearch: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "tiny.py").write_text(TINY)
    monkeypatch.syspath_prepend(str(folder))
    command = ["evaluate", "lion", "--import", "tiny:cifar10", "--import", "tiny:wikitext"]
    command += [
        "--task",
        "cifar10",
        "--task",
        "wikitext",
        "--baseline",
        "adamw",
        "--seeds",
        "2",
        "--tune",
        "2",
        "--replicates",
        "1",
    ]
    result = optsearch(*command, "--workers", "0", "--json").json()
    assert [(row["task"], row["outcome"]) for row in result["rows"]] == [("cifar10", "ok")] * 4 + [
        ("wikitext", "ok")
    ] * 4
    assert all(row["accuracy"] is not None for row in result["rows"])


def test_reading_settings_imports_nothing(folder: Path) -> None:
    config = load_campaign(CAMPAIGN, "c.yaml")
    assert (config.task, config.setting.imports) == ("Line", ("lines:Line",))
    assert "lines" not in sys.modules


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("task: line", "task: lines", "unknown task 'lines'"),
        ("[lines:Line]", "[lines]", "imports: import lines: write it as module:object"),
        ("[lines:Line]", "[lines:ae]", "imports: import lines:ae: 'ae' is the name of a shipped task"),
        ("[lines:Line]", "lines:Line", "imports: "),
    ],
)
def test_bad_imports_in_a_campaign(old: str, new: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        load_campaign(CAMPAIGN.replace(old, new), "c.yaml")


@pytest.mark.parametrize("command", [["tasks", "--check", "Line"], ["evaluate", "lion", "--task", "Line"]])
def test_an_import_that_is_not_there(command: list[str], optsearch: Command, folder: Path) -> None:
    said = optsearch(*command, "--import", "absent:Line")
    assert said.code == 2
    assert "import absent:Line: there is no module 'absent'" in said.err


def test_tasks_in_words_and_as_json(optsearch: Command) -> None:
    words, rows = optsearch("tasks").out, optsearch("tasks", "--json").json()
    assert max(map(len, words.splitlines())) <= 100
    assert [row["name"] for row in rows] == list(TASKS)
    for row in rows:
        assert row["name"] in words
        assert len(row["version"]) == 16
        assert min(row["examples"]) > 0
