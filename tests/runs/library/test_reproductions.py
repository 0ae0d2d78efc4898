"""Every table of the documentation has its command and digest; small versions match the recorded digests."""

from __future__ import annotations

import re
import shlex
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import typer

from optsearch.runs.cli.app import app
from optsearch.runs.library.discovery import DISCOVERED
from optsearch.runs.reference.markdown import GENERATED
from optsearch.runs.store.environment import made_with

ROOT = Path(__file__).parents[3]
sys.path.append(str(ROOT / "benchmarks"))
reproduce: ModuleType = import_module("reproduce")

digests: ModuleType = import_module("digests")

KNOWN = digests.read()
"""Digests of each kind of machine: ``benchmarks/reproduce.py --record`` adds those of this one."""

LATEST = [one for one in KNOWN if one.small][-1]
"""The newest record with small versions."""

NOT_MEASURED = {
    "docs/cluster.md": {"Reproducibility across machines"},
    "docs/distil.md": {"Distilling and exporting", "Export"},
    "docs/language.md": {"Kinds", "Functions", "At the edges"},
    "docs/python.md": {"Callbacks", "Python API", "Trackers"},
    "docs/report.md": {"What a program does"},
    "docs/reproduce.md": {"The table"},
    "docs/scripts.md": {"Baselines", "The contract, version 1", "What can go wrong"},
    "docs/selection.md": {"Baselines", "Tuning"},
    "docs/targets.md": {"Data", "Rungs"},
}
"""Sections whose tables say what something is, not what was measured."""

TOLERANCE = 0.05
"""By what share losses may differ between kinds of machines."""


def tables(path: Path) -> set[str]:
    """Headings of the sections of a page that hold a table."""
    found, heading = set[str](), ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if title := re.match(r"#+ (.*)", line):
            heading = title[1]
        elif line.startswith("|--"):
            found.add(heading)
    return found


def test_the_page_holds_the_table() -> None:
    text = reproduce.PAGE.read_text(encoding="utf-8")
    assert reproduce.page(text) == text, "run `python benchmarks/reproduce.py --write`"


def test_every_table_of_the_documentation_can_be_made_again() -> None:
    shown = {place for entry in reproduce.ENTRIES for place in entry.shows}
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "benchmarks" / "peers.md"):
        page = path.relative_to(ROOT).as_posix()
        if path.read_text(encoding="utf-8").startswith(GENERATED):
            continue  # made from the code, which holds no measurements
        missing = (
            tables(path) - NOT_MEASURED.get(page, set()) - {p.partition(": ")[2] for p in shown if p.startswith(page)}
        )
        assert not missing, f"{page}: add what makes the tables under {missing} to benchmarks/reproductions.py"


def test_entries_name_sections_that_are_there() -> None:
    for entry in reproduce.ENTRIES:
        for place in entry.shows:
            page, _, heading = place.partition(": ")
            assert place.startswith("optsearch show ") or f"# {heading}\n" in (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("entry", reproduce.ENTRIES, ids=lambda entry: entry.name)
def test_commands_are_ones_that_users_can_type(entry: object) -> None:
    group = typer.main.get_command(app)
    for command in (*entry.commands, *entry.small):
        program, first, *rest = shlex.split(command)
        if program == "python":
            script = (ROOT / first).read_text(encoding="utf-8")
            assert all(f'"{option}"' in script for option in rest if option.startswith("--")), command
        else:
            group.commands[first].make_context(first, rest)


def test_digests_count_results_alone() -> None:
    one = {"loss": 0.1234561, "seconds": 3.0, "rows": [{"loss": -1e-9, "run": "here"}]}
    other = {"loss": 0.1234559, "seconds": 4.0, "rows": [{"loss": 0.0, "run": "there"}]}
    assert reproduce.digest(one) == reproduce.digest(other) != reproduce.digest({"loss": 0.12347})
    assert reproduce.digest({"population_digest": "0123456789abcdef"}) == "0123456789ab"


def test_small_versions_are_known() -> None:
    assert set(LATEST.small) == {entry.name for entry in reproduce.ENTRIES if entry.small}


def test_digests_are_of_entries_that_have_one() -> None:
    for record in KNOWN:
        for name in record.full:
            assert not reproduce.BY_NAME[name].expect


def test_the_searches_of_discovered_programs_are_known() -> None:
    for name, one in DISCOVERED.items():
        assert one.record.origin.population_digest[:12] in [record.full.get(f"search-{name}") for record in KNOWN]


def test_records_belong_to_an_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A digest is added to those of this environment; those of others stay as they are."""
    monkeypatch.setattr(digests, "PATH", tmp_path / "digests.json")
    elsewhere = digests.Digests("fingerprint 0; search 0; another processor", {"quickstart": "0" * 12})
    digests.write([elsewhere])
    reproduce.record({"quickstart": "1" * 12}, {})
    reproduce.record({"lion": "2" * 12}, {"lion": digests.Small("3" * 12, {"statements": 9})})
    ours = digests.Digests(
        made_with(), {"quickstart": "1" * 12, "lion": "2" * 12}, {"lion": digests.Small("3" * 12, {"statements": 9})}
    )
    assert digests.read() == [elsewhere, ours]
    assert digests.here(digests.read()) == ours
    assert digests.latest(digests.read(), "quickstart") == ("1" * 12, ours)
    assert digests.latest(digests.read(), "path") is None
    assert digests.latest(digests.read(), "lion", small=True) == ("3" * 12, ours)
    assert digests.latest(digests.read(), "quickstart", small=True) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", LATEST.small)
def test_small_version(name: str) -> None:
    entry = reproduce.BY_NAME[name]
    found = reproduce.small(entry)
    known = digests.here(KNOWN).small.get(name)
    if known is not None:
        assert found == known
    else:
        assert reproduce.small(entry) == found, "the same command, another result"
        assert found.near == pytest.approx(LATEST.small[name].near, rel=TOLERANCE)
