"""Printed text from untrusted sources contains no terminal control sequences."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from command_line import Command
from rich.live import Live
from rich.text import Text

from optsearch.runs.terminal import tables as terminal
from optsearch.runs.terminal.tables import PlainConsole
from optsearch.runs.text.plain import printable

OBEYED = [*map(chr, range(9)), *map(chr, range(11, 32)), *map(chr, range(127, 160)), "\u202e", "\u2066", "\ud800"]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a colour terminal is sent."""
    sent = io.StringIO()
    console = PlainConsole(file=sent, force_terminal=True, color_system="truecolor", width=80)
    monkeypatch.setattr(terminal, "console", console)
    return sent


@pytest.mark.parametrize("control", OBEYED)
def test_no_control_character_is_printable(control: str) -> None:
    assert printable(f"a{control}b\tc\n") == "ab\tc\n"


def test_every_way_to_the_terminal_is_clean(shown: io.StringIO) -> None:
    hostile = f"name{''.join(OBEYED)}[/x][bold]"
    terminal.say(hostile, "bold")
    terminal.table([hostile], [[hostile], [hostile]], right=[hostile])
    with Live(Text(hostile), console=terminal.console, refresh_per_second=1):
        pass
    terminal.console.print(hostile, markup=False)
    sent = shown.getvalue()
    assert sent.count("name") == sent.count("[/x][bold]") >= 6
    assert "\x1b[1mname" in sent  # our own styles stay
    assert not {c for c in OBEYED if c != "\x1b"} & set(sent.replace("\r", ""))
    assert "\x1b[/x]" not in sent


@pytest.mark.parametrize("text", ["name: a\x1b]0;title\x07b\n", "\x1b[31mnam: x\n", '"\\e[2J": 1\n', '"\\ud800": 1\n'])
def test_errors_name_hostile_keys_without_what_they_do(text: str, optsearch: Command, tmp_path: Path) -> None:
    path = tmp_path / "campaign.yaml"
    path.write_text(text)
    said = optsearch("search", path, "--workers", "0")
    assert said.code == 2
    assert said.err.startswith("error: ")
    assert "\x1b" not in said.err
    assert "\x07" not in said.err


def test_a_folder_with_a_hostile_name(optsearch: Command, tmp_path: Path) -> None:
    said = optsearch("show", tmp_path / "no\x1b[2Jsuch")
    assert said.code == 2
    assert "\x1b" not in said.err


@pytest.mark.parametrize(
    ("machine", "quiet", "says"),
    [
        ("processor P; jax 1; accelerator NVIDIA H200", False, "The workers train on NVIDIA H200."),
        ("processor P; jax 1; accelerator NVIDIA H200", True, ""),
        ("processor P; jax 1", True, "but JAX has not found it and trains on the CPU"),
    ],
)
def test_the_device_of_workers_is_said(
    machine: str, quiet: bool, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.say_device(machine, quiet=quiet)
    said = " ".join(capsys.readouterr().err.split())
    assert (says in said, bool(said)) == (True, bool(says))
