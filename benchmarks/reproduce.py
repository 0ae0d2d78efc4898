"""Reproduces a table or figure of the documentation and compares the result with the expected digest.

    python benchmarks/reproduce.py --list                    prints the table of docs/reproduce.md; --write updates it
    python benchmarks/reproduce.py quickstart                runs its commands in this folder, and compares the digest
    python benchmarks/reproduce.py quickstart --small        a minute or less, in a temporary folder
    python benchmarks/reproduce.py --record FILE             records the small digests of this kind of machine for tests

The digest of a search is the first 12 characters of its ``population_digest``. Other digests are the first 12
characters of the SHA-256 of the JSON that the last command prints, without times, paths and machines (`VARYING`), with
floats rounded to five decimals as in the tables, and with sorted keys. The exit code is 0 if the digests are equal, 1
if they differ, and 2 if there is no expected digest. ``reproductions`` has the table.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reproductions import BY_NAME, ENTRIES, NOT_YET_RUN, Entry

from optsearch.runs.store.environment import made_with

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reproduce.md"
BEGIN, END = "<!-- table: begin (python benchmarks/reproduce.py --write) -->", "<!-- table: end -->"

VARYING = frozenset({"made_with", "seconds", "machine", "run", "known_runs", "trained_runs"})
"""Keys that are not results: times, machines, folders, previously known values."""

PROGRAMS = {
    "optsearch": [sys.executable, "-c", "from optsearch.runs.cli.app import main; main()"],
    "python": [sys.executable],
}
"""Command prefix that runs the commands of this checkout, regardless of other installations."""


def run(commands: Sequence[str], folder: Path, *, quiet: bool) -> str:
    """Runs commands sequentially.

    Args:
        commands: shell commands of this project.
        folder: working directory.
        quiet: if True, output is suppressed unless a command fails.

    Returns:
        The output of the last command.

    Raises:
        SystemExit: a command failed.
    """
    said = ""
    search_path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    for command in commands:
        program, *arguments = shlex.split(command)
        if program == "python" and arguments[0].startswith("benchmarks/"):
            arguments[0] = str(ROOT / arguments[0])
        if not quiet:
            sys.stderr.write(f"$ {command}\n")
        done = subprocess.run(  # noqa: S603 - commands of the table in this repository
            [*PROGRAMS[program], *arguments],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": search_path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if quiet else None,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"`{command}` ended with exit code {done.returncode}: {done.stderr or 'see above'}")
        said = done.stdout
    return said


def printed(said: str) -> Any:
    """Parses the JSON output of a command: the whole output, or its last line."""
    try:
        return json.loads(said)
    except json.JSONDecodeError:
        return json.loads(said.splitlines()[-1])


def result_of(value: Any) -> Any:
    """Normalises a JSON value: removes the keys of ``VARYING`` and rounds floats as in the tables."""
    if isinstance(value, dict):
        return {key: result_of(inner) for key, inner in value.items() if key not in VARYING}
    if isinstance(value, list):
        return [result_of(inner) for inner in value]
    return round(value, 5) + 0.0 if isinstance(value, float) else value  # no negative zero


def digest(value: Any) -> str:
    """Computes the digest of a result, 12 hexadecimal digits."""
    if isinstance(value, dict) and "population_digest" in value:
        return str(value["population_digest"])[:12]
    text = json.dumps(result_of(value), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def near(value: Any, entry: Entry) -> dict[str, float]:
    """Extracts the values of a small version that are approximately equal on other kinds of machines."""
    found: dict[str, float] = {}
    for path in entry.near:
        inner = value
        for key in path.split("."):
            inner = inner[int(key)] if isinstance(inner, list) else inner[key]
        found[path] = round(inner, 5)
    return found


def small(entry: Entry) -> dict[str, Any]:
    """Runs the small version of an entry in a temporary folder; returns its ``digest`` and its ``near`` values."""
    with tempfile.TemporaryDirectory() as scratch:
        value = printed(run(entry.small, Path(scratch), quiet=True))
    return {"digest": digest(value), "near": near(value, entry)}


def record() -> str:
    """Computes the small digests of this machine, as JSON text."""
    found = {entry.name: small(entry) for entry in ENTRIES if entry.small}
    return json.dumps({"made_with": made_with(), "small": found}, indent=1) + "\n"


def markdown() -> str:
    """Formats the table of docs/reproduce.md."""
    lines = ["| name | shows | commands | on two cores | digest to expect |", "|---|---|---|---|---|"]
    for entry in ENTRIES:
        commands = "<br>".join(f"`{command}`" for command in entry.commands)
        expected = f"none; {entry.expect}" if entry.digest is None else _known(entry.digest)
        cells = [f"`{entry.name}`", "<br>".join(entry.shows), commands, entry.takes, expected]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _known(expected: str) -> str:
    return f"- ({NOT_YET_RUN})" if expected == NOT_YET_RUN else f"`{expected}`"


def page(text: str) -> str:
    """Replaces the table in the text of the page by the current one."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{markdown()}{END}{after}"


def check(entry: Entry) -> int:
    """Reproduces an entry in this folder, prints the comparison, and returns the exit code."""
    said = run(entry.commands, Path.cwd(), quiet=False)
    if entry.digest is None:
        print(said)
        print(f"{entry.name}: no digest, since times vary; expect {entry.expect}")
        return 2
    found = digest(printed(said))
    if entry.digest == NOT_YET_RUN:
        print(f"{entry.name}: digest {found}; none is known to compare it with")
        return 2
    return _verdict(entry.name, found, entry.digest)


def check_small(entry: Entry) -> int:
    """Runs the small version of an entry, prints the comparison, and returns the exit code."""
    known = json.loads((ROOT / "tests" / "runs" / "reproductions.json").read_text(encoding="utf-8"))
    if not entry.small:
        print(f"{entry.name}: there is no small version, since nothing of it is the same everywhere")
        return 2
    if known["made_with"] != made_with():
        print(f"The digest below was made with {known['made_with']}; here is {made_with()}: expect it to differ.")
    return _verdict(entry.name, small(entry)["digest"], known["small"][entry.name]["digest"])


def _verdict(name: str, found: str, expected: str) -> int:
    same = found == expected
    print(f"{name}: digest {found}, {'as expected' if same else f'expected {expected}'}")
    if not same:
        print(f"Here is {made_with()}. docs/reproduce.md says what to compare when a digest differs.")
    return int(not same)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", choices=list(BY_NAME), metavar="NAME", help="a name that --list lists")
    parser.add_argument("--small", action="store_true", help="the small version, in a folder of its own")
    parser.add_argument("--list", action="store_true", help="print the table")
    parser.add_argument("--write", action="store_true", help="put the table into docs/reproduce.md")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the digests of all small versions")
    options = parser.parse_args()
    if options.write:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    elif options.record:
        options.record.write_text(record(), encoding="utf-8")
    elif options.list or options.name is None:
        print(markdown(), end="")
    else:
        entry = BY_NAME[options.name]
        raise SystemExit(check_small(entry) if options.small else check(entry))


if __name__ == "__main__":
    main()
