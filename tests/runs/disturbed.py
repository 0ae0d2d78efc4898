"""Searches in subprocesses that tests kill, starve and interrupt."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from command_line import SMALL

COMMAND = (sys.executable, "-c", "from optsearch.runs.cli.app import main; main()")
QUICK = (*SMALL, "--set", "controls=[]", "--set", "finalists.count=1", "--set", "finalists.seeds=1")
"""A search of a few seconds, without a control."""


def search_command(folder: Path, *more: str, workers: int = 0) -> list[str]:
    """The command of a search."""
    return [*COMMAND, "search", "quickstart", *QUICK, "--out", str(folder), "--workers", str(workers), *more]


def start(command: Sequence[str]) -> subprocess.Popen[str]:
    """The command in a session of its own, so that nothing that a test sends reaches the test."""
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def finish(command: Sequence[str]) -> dict[str, Any]:
    """Runs the command to its end and gives the run in one object."""
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def show(folder: Path) -> dict[str, Any]:
    """The run in one object, as it is."""
    done = subprocess.run([*COMMAND, "show", str(folder), "--json"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def result(view: dict[str, Any]) -> dict[str, Any]:
    """What no disturbance may change."""
    return {key: view[key] for key in ("population_digest", "best", "generated", "evaluated", "outcomes", "controls")}


def wait_for_line(process: subprocess.Popen[str], start_of_line: str) -> str:
    """Reads what the process says until a line begins so."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(start_of_line):
            return line
    raise AssertionError(f"it ended without saying '{start_of_line}'")


def descendants(process: int, name: str) -> list[int]:
    """Processes below a process whose command starts with, or contains, a name."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found: list[int] = []
    for number in parents:
        above = number
        while above in parents and above != process:
            above = parents[above]
        if above == process and number != process:
            try:
                if name.encode() in Path(f"/proc/{number}/cmdline").read_bytes():
                    found.append(number)
            except OSError:
                continue
    return found


def kill(process: int) -> None:
    """Kill -9, of a process that may be gone."""
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        time.sleep(0)
