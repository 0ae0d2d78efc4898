"""Commands where the packages of targets are not installed: listing works, training is refused before any worker."""

from __future__ import annotations

from importlib import metadata

import pytest
from command_line import Command

from optsearch.proxy_tasks.registry import TASKS

INSTALL = 'python -m pip install "optsearch[targets]"'
PACKAGES = {task.packaged.package.name for task in TASKS.values() if task.packaged}


@pytest.fixture(autouse=True)
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    found = metadata.version

    def version(name: str) -> str:
        if name in PACKAGES:
            raise metadata.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr(metadata, "version", version)
    for task in TASKS.values():
        if task.packaged:  # another test may have loaded its data into this process
            monkeypatch.delitem(vars(task), "data", raising=False)


def test_tasks_are_listed(optsearch: Command) -> None:
    words, rows = optsearch("tasks"), optsearch("tasks", "--json").json()
    assert words.code == 0
    assert max(map(len, words.out.splitlines())) <= 100
    for row in rows:
        assert row["installed"] is (row["package"] is None), row["name"]
    for name in PACKAGES:
        assert f"Package {name}==" in words.out
    assert words.out.count(INSTALL) == len({task.family for task in TASKS.values() if task.packaged})


@pytest.mark.parametrize(
    "command",
    [
        ["tasks", "--check", "land"],
        ["evaluate", "lion", "--task", "land", "--workers", "2"],
        ["simplify", "lion", "--task", "land"],
        ["search", "quickstart", "--set", "meta_validation.task=land"],
    ],
    ids=lambda command: command[0],
)
def test_training_is_refused_before_any_worker(
    command: list[str], optsearch: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: pytest.TempPathFactory
) -> None:
    monkeypatch.chdir(str(tmp_path))
    said = optsearch(*command)
    assert said.code == 2
    assert f"task 'land': package global-land-mask==1.0.0 is not installed: {INSTALL}" in " ".join(said.err.split())
    assert not any("ray" in word for word in said.err.lower().split())
