"""Plug-ins of installed distributions: a task, a baseline, an export format and a tracker, in one tiny distribution."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import Command
from small_campaign import SETTINGS

import optsearch as api
from optsearch.proxy_tasks import plugins
from optsearch.proxy_tasks.plugins import PlugInError, plug_ins
from optsearch.proxy_tasks.registry import TASKS, get_task
from optsearch.proxy_tasks.task import TaskError
from optsearch.runs.library.export import FORMS
from optsearch.runs.trackers.by_name import TRACKERS
from optsearch.selection.baselines.table import BASELINES
from optsearch.selection.contender import baseline

MODULE = '''
import jax.numpy as jnp
import numpy as np
import optax


class Line:
    """A line through noisy points."""

    batch_size, steps = 8, 60

    def __init__(self):
        self.train, self.validation, self.test = (self._points(seed) for seed in range(3))

    def _points(self, seed):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((64, 3)).astype(np.float32)
        return list(zip(x, (x @ np.array([1.0, 2.0, 3.0])).astype(np.float32)))

    def init(self, key):
        return {"slope": jnp.zeros(3)}

    def loss(self, params, batch):
        x, y = batch
        return jnp.mean((x @ params["slope"] - y) ** 2)


def halving(learning_rate, b1=0.9):
    return optax.chain(optax.trace(b1), optax.scale_by_learning_rate(learning_rate), optax.scale(0.5))


def to_words(program, title, notes):
    return f"{title} has {len(program.body)} statements. {notes[0]}"


class Diary:
    """A tracker that writes lines."""

    def start(self, run):
        self.file = run.folder.parent / "diary.txt"
        self.say(f"start {run.name}")

    def log(self, values, step):
        self.say(f"log {step} {sorted(values)}")

    def program(self, search, text, step):
        self.say(f"program {search} {step}")

    def finish(self, status, report):
        self.say(f"finish {status} {len(report)}")

    def say(self, line):
        with self.file.open("a") as file:
            file.write(line + "\\n")
'''

ENTRIES = """
[optsearch.tasks]
straight = {0}:Line

[optsearch.baselines]
halved = {0}:halving

[optsearch.exports]
words = {0}:to_words

[optsearch.trackers]
diary = {0}:Diary
"""


def distribution(folder: Path, name: str, entries: str, module: str = MODULE) -> Path:
    """Installs a distribution with one module of its name in a folder."""
    about = folder / f"{name}-1.5.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
    (about / "entry_points.txt").write_text(entries.format(name))
    (folder / f"{name}.py").write_text(module)
    return folder


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The tiny distribution, on the path of this process."""
    folder = distribution(tmp_path_factory.mktemp("site"), "tiny_plugins", ENTRIES)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A further folder of distributions."""
    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site"


def test_a_search_uses_the_task_and_the_tracker(installed: Path, tmp_path: Path, optsearch: Command) -> None:
    (tmp_path / "line.yaml").write_text(json.dumps({**SETTINGS, "task": "straight"}))
    said = optsearch(
        "search", tmp_path / "line.yaml", "--out", tmp_path / "run", "--workers", "0", "--track", "diary", "--json"
    )
    assert said.code == 0, said.err
    assert said.json()["task"] == "straight"
    diary = (tmp_path / "diary.txt").read_text().splitlines()
    assert diary[0] == "start run"
    assert diary[-1].startswith("finish finished ")
    assert any(line.startswith("program search") for line in diary)
    assert get_task("Straight").description == "A line through noisy points."
    assert "straight" in {row["name"] for row in optsearch("tasks", "--json").json()}
    assert all(check.agrees is not False for check in api.verify(tmp_path / "run", 2))
    code = "import sys, optsearch; assert optsearch.load('run').summary.tasks == ('straight',); "
    code += "assert 'tiny_plugins' not in sys.modules, 'opening a run imports no plug-in'"
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_baseline_is_tuned_and_cached_by_its_code(tmp_path: Path) -> None:
    found = api.evaluate(
        "sgd",
        "straight",
        seeds=2,
        baselines=["halved"],
        trials=2,
        replicates=1,
        kept_in=tmp_path,
        workers=0,
        quiet=True,
    )
    tuned = next(row for row in found.evaluation.tuning if row.contender == "halved")
    assert {name for name, _ in tuned.tuned.values} == {"rate", "b1"}
    assert {row.contender for row in found.losses()} == {"sgd", "halved"}
    assert baseline("halved").meaning.startswith("own:halved:"), "an edited file is another optimizer"


def test_the_format_exports(tmp_path: Path, optsearch: Command) -> None:
    text = api.export("lion", "words", tmp_path / "lion.txt")
    assert text == (tmp_path / "lion.txt").read_text()
    assert text.startswith("lion has 7 statements. Library program lion, fingerprint ")
    assert optsearch("export", "lion", "--to", "words").out == text
    refused = optsearch("export", "lion", "--to", "word")
    assert (refused.code, "did you mean 'words'?" in refused.err) == (2, True)


@pytest.mark.slow
def test_workers_of_ray_see_the_plug_ins(installed: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "optsearch", "evaluate", "sgd", "--task", "straight", "--baseline", "halved"]
    command += ["--tune", "0", "--seeds", "2", "--replicates", "1", "--workers", "1", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert {(row["contender"], row["outcome"]) for row in rows} == {("sgd", "ok"), ("halved", "ok")}


USES = {
    "tasks": ["evaluate", "sgd", "--task", "broken", "--workers", "0"],
    "baselines": ["evaluate", "sgd", "--task", "ae", "--baseline", "broken", "--workers", "0"],
    "exports": ["export", "sgd", "--to", "broken"],
    "trackers": ["search", "quickstart", "--track", "broken"],
}


@pytest.mark.parametrize("kind", USES)
def test_a_broken_plug_in_is_an_error_only_where_it_is_used(kind: str, path: Path, optsearch: Command) -> None:
    entries = f"[optsearch.{kind}]\nbroken = {{0}}:Thing\n"
    distribution(path, f"broken_{kind}", entries, "raise OSError('no licence found')")
    assert optsearch("--help").code == 0
    assert optsearch("library").code == 0
    said = optsearch(*USES[kind])
    assert said.code == 2
    message = " ".join(said.err.split())
    assert f"plug-in 'broken' (optsearch.{kind}) of the distribution broken_{kind} 1.5 cannot be imported" in message
    assert "OSError: no licence found" in message
    assert optsearch("tasks").code == 0


@pytest.mark.parametrize(
    ("group", "shipped"),
    [
        (plugins.TASKS, TASKS),
        (plugins.BASELINES, BASELINES),
        (plugins.EXPORTS, FORMS),
        (plugins.TRACKERS, TRACKERS),
    ],
)
def test_names_that_are_taken_are_refused(group: str, shipped: Any, path: Path) -> None:
    name = next(iter(shipped))
    before = plug_ins(group, shipped)
    assert len(before) == 1
    distribution(path / "one", "first", f"[{group}]\n{name} = {{0}}:Thing\n")
    sys.path.insert(0, str(path / "one"))
    with pytest.raises(PlugInError, match=f"'{name}' .* of the distribution first 1.5 has the name of something"):
        plug_ins(group, shipped)
    sys.path.remove(str(path / "one"))
    distribution(path / "two", "second", f"[{group}]\n{next(iter(before))} = {{0}}:Thing\n")
    sys.path.insert(0, str(path / "two"))
    with pytest.raises(PlugInError, match=r"has the name of one of .* 1\.5, and is refused"):
        plug_ins(group, shipped)
    sys.path.remove(str(path / "two"))


def test_what_is_no_task_is_refused(path: Path) -> None:
    distribution(path, "no_task", "[optsearch.tasks]\nnothing = {0}:NUMBER\n", "NUMBER = 3")
    with pytest.raises(PlugInError, match=r"of the distribution no_task 1\.5 is not a task: .* it has no train"):
        get_task("nothing")
    with pytest.raises(TaskError, match="did you mean 'straight'"):
        get_task("straigth")


def test_a_baseline_of_optax_keeps_its_name(path: Path, optsearch: Command) -> None:
    distribution(path, "optax_again", "[optsearch.baselines]\nfromage = {0}:halving\n")
    said = optsearch("evaluate", "sgd", "--task", "ae", "--baseline", "fromage", "--workers", "0")
    assert (said.code, "has the name of an optimizer of optax" in " ".join(said.err.split())) == (2, True)
