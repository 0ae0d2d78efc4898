"""Help, tables and paragraphs in narrow terminals and in pipes."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Command
from made_up_run import made_up_run

from optsearch.runs.cli.app import app
from optsearch.runs.terminal import tables
from optsearch.runs.terminal.tables import PlainConsole, say, table, wrapped

ENTRY = [sys.executable, "-c", "from optsearch.runs.cli.app import main; main()"]
COMMANDS = sorted(str(one.callback.__name__) for one in app.registered_commands if one.callback)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    file = io.StringIO()
    monkeypatch.setattr(tables, "console", PlainConsole(file=file, width=60, force_terminal=True, color_system=None))
    return file


def test_paragraphs_end_between_words(narrow: io.StringIO) -> None:
    text = "  - The update is bounded as far as the probes show: it stayed below 0.0139, a-very-long-word-" + "x" * 60
    say(text)
    lines = narrow.getvalue().splitlines()
    assert [line for line in lines if len(line) > 60] == ["    a-very-long-word-" + "x" * 60]
    assert lines[1].startswith("    "), "further lines are indented"
    assert " ".join(narrow.getvalue().split()) == " ".join(text.split())
    command = "optsearch export " + "folder/" * 10 + "run:best --to optax --out found.py"
    say(command, whole=True)
    assert command in narrow.getvalue().splitlines()
    assert wrapped("", 60) == ""


def test_tables_keep_words_whole(narrow: io.StringIO) -> None:
    columns = ["contender", "difference", "interval", "verdict", "explanation"]
    row = ["adamw-with-a-long-name", "-0.00947", "[-0.01308, -0.00587]", "undecided", "explanatory words"]
    table(columns, [row])
    assert all(len(line) <= 60 for line in narrow.getvalue().splitlines())
    for word in " ".join(row).split():
        assert word in narrow.getvalue(), word
    narrow.truncate(0)
    longer = ["x" * 30, "y" * 30, "z" * 30, "", "w"]
    table(columns, [longer])
    assert narrow.getvalue().replace("\0", "").splitlines() == [
        "x" * 30, f"  difference: {'y' * 30}", f"  interval: {'z' * 30}", "  explanation: w",
    ]  # fmt: skip


def test_a_list_of_rows_has_no_colon_without_a_heading(narrow: io.StringIO) -> None:
    table(["contender", "", "test loss"], [["x" * 30, "program", "y" * 30]])
    assert narrow.getvalue().splitlines() == ["x" * 30, "  program", f"  test loss: {'y' * 30}"]


def test_piped_tables_honour_columns(monkeypatch: pytest.MonkeyPatch, optsearch: Command) -> None:
    for columns, width in (("70", 70), ("", tables.PIPED_WIDTH), ("x", tables.PIPED_WIDTH)):
        monkeypatch.setenv("COLUMNS", columns)
        lines = optsearch("functions").out.splitlines()
        assert max(map(len, lines)) <= width
        assert (max(map(len, lines)) > 70) == (width > 70)


def test_each_task_is_one_line_of_80_columns(monkeypatch: pytest.MonkeyPatch, optsearch: Command) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    names = [row["name"] for row in optsearch("tasks", "--json").json()]
    rows = [line for line in optsearch("tasks").out.splitlines() if line.startswith("  ")]
    assert max(map(len, rows)) <= 80
    assert [line.split()[0] for line in rows if line.split()[0] != "task"] == names


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_shows_no_type_of_flags_and_fits(
    command: str, optsearch: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    words = optsearch(*filter(None, [command]), "--help").out
    assert "--help" in words
    assert "<bool>" not in words
    assert max(map(len, words.splitlines())) <= 60


def test_no_colour_is_honoured(tmp_path: Path) -> None:
    folder = made_up_run(tmp_path / "run", programs=20)
    plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")}
    for more, colours in (({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)):
        done = subprocess.run([*ENTRY, "show", str(folder)], capture_output=True, text=True, env=plain | more)
        assert done.returncode == 0, done.stderr
        assert bool(re.search(r"\x1b\[(\d+;)*3\d", done.stdout)) == colours


def test_the_shell_completes_commands_and_options() -> None:
    for words, place, expected in (("optsearch sel", 1, "select"), ("optsearch report --fig", 2, "--figures")):
        asked = {"_OPTSEARCH_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(place)}
        code = "import sys; sys.argv = ['optsearch']; from optsearch.runs.cli.app import main; main()"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | asked)
        assert expected in done.stdout.split(), done.stderr


def test_a_run_that_does_not_exist_is_answered_with_those_that_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optsearch: Command
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "there are no runs in optsearch-runs" in optsearch("show", "d9").err
    made_up_run(tmp_path / "optsearch-runs" / "quickstart-seed0", programs=20)
    assert "the runs in optsearch-runs are quickstart-seed0" in optsearch("show", "d9").err
    assert "did you mean 'quickstart-seed0'" in optsearch("show", "quickstart-seed").err


def test_the_version_is_printed(optsearch: Command) -> None:
    said = optsearch("--version")
    assert (said.code, said.out.startswith("optsearch ")) == (0, True)


def test_a_report_says_in_json_what_it_wrote(tmp_path: Path, optsearch: Command) -> None:
    folder = made_up_run(tmp_path / "run", programs=20)
    view = optsearch("report", folder, "--out", tmp_path / "r.html", "--json").json()
    assert view["bytes"] == (tmp_path / "r.html").stat().st_size
    assert view["runs"] == [{"run": str(folder), "status": "finished", "copies": []}]
    assert "progress" in [chart["name"] for chart in view["charts"]]
