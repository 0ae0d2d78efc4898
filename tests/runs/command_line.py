"""The command line in this process, for tests."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from optsearch.runs.cli import app as cli

SMALL = ["--set", "budget.programs=60", "--set", "population.size=20", "--set", "population.tournament=4"]
SMALL += ["--set", "look_ahead=16", "--set", "fresh_seeds=3"]
SMALL += ["--set", "finalists.count=2", "--set", "finalists.seeds=2", "--set", "first_stage=~"]
SMALL += ["--set", "training_seeds=[0]", "--set", "controls=[constants]"]
"""Settings that make the quickstart campaign a matter of seconds."""


@dataclass(frozen=True)
class Said:
    """What a command ended with and said."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Said]


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: Sequence[str]) -> Said:
    monkeypatch.setattr("sys.argv", ["optsearch", *arguments])
    capsys.readouterr()
    code: object = 0
    try:
        cli.main()
    except SystemExit as end:
        code = end.code
    said = capsys.readouterr()
    return Said(code if isinstance(code, int) else int(code is not None), said.out, said.err)
