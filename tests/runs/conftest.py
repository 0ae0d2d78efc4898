"""Fixtures: one small real campaign shared by the tests of this folder, and the command line in this process."""

from pathlib import Path

import pytest
from command_line import SMALL, Command, Said, call


@pytest.fixture
def optsearch(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command line in this process."""

    def run(*arguments: str | Path) -> Said:
        return call(monkeypatch, capsys, [str(argument) for argument in arguments])

    return run


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished small campaign, undisturbed, in one process."""
    from optsearch.runs.commands.search import Campaign, load_named

    folder = tmp_path_factory.mktemp("runs") / "small"
    config, text = load_named("quickstart", SMALL[1::2])
    Campaign(config, text, folder).run(workers=0, quiet=True)
    return folder
