"""A campaign starts from programs of other runs, records their texts, and resumes without those runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command_line import Command
from made_up_run import made_up_run

import optsearch as optsearch_package
from optsearch.dsl.library import LIBRARY
from optsearch.runs.commands.search import load_named
from optsearch.runs.library.references import load_program
from optsearch.runs.store.writer import RunStore
from optsearch.search.settings.config_errors import ConfigError


def test_programs_of_another_run_are_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optsearch: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    made_up_run(tmp_path / "first", programs=40)
    started = load_program("first:best").program
    setting = "warm_start=['first:best', lion]"
    second = made_up_run(tmp_path / "second", setting, programs=40)
    with RunStore.read(second) as store:
        config, search = store.config, store.search("search")
        assert store.ticket(search, 0).candidate.program == started
        assert store.ticket(search, 1).candidate.program == LIBRARY["lion"]
        assert store.ticket(search, 1).candidate.mutation == "warm start 2"
        digest = store.population_digest(search, config.population.size)
    again = made_up_run(tmp_path / "again", setting, programs=40)
    with RunStore.read(again) as store:
        assert store.population_digest(store.search("search"), config.population.size) == digest
    assert config.warm_start_references == ["first:best", "lion"]
    assert "first:best as given" in optsearch("show", "second").out
    shutil.rmtree(tmp_path / "first")
    overrides = [f"{key}={value}" for key, value in (("name", "quickstart"), ("warm_start", "['first:best', lion]"))]
    resumed, _ = load_named("quickstart", overrides, second)
    assert (resumed.warm_start_programs[0], resumed.warm_start_references) == (started, config.warm_start_references)
    with pytest.raises(ConfigError, match="'first' is not a run"):
        load_named("quickstart", overrides, second, resume=False)
    with pytest.raises(ConfigError, match="'first' is not a run"):
        load_named("quickstart", overrides, tmp_path / "third")


def test_a_mapping_of_settings_starts_from_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made_up_run(tmp_path / "first", programs=40)
    settings = {"name": "mine", "task": "ae", "warm_start": "first:best", "budget": {"programs": 10}}
    settings |= {"controls": [], "fresh_seeds": 2, "finalists": {"count": 1, "seeds": 2}}
    run = optsearch_package.search(settings, out="second", workers=0, quiet=True)
    shutil.rmtree(tmp_path / "first")
    resumed = optsearch_package.search(settings, out="second", settings={"budget.programs": 12}, workers=0, quiet=True)
    assert (run.summary.counts.generated, resumed.summary.counts.generated) == (10, 12)


def test_files_and_discovered_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").write_text(str(LIBRARY["signum"]))
    config, _ = load_named("quickstart", ["warm_start=[mine.txt, root-scale]"])
    assert config.warm_start_programs == [LIBRARY["signum"], load_program("root-scale").program]
    assert config.warm_start_name == "mine.txt"
