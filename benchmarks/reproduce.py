"""Reproduces a table or figure of the documentation and compares the result with the expected digest.

    python benchmarks/reproduce.py --list                    prints the table of docs/reproduce.md; --write updates it
    python benchmarks/reproduce.py quickstart                runs its commands in this folder, and compares the digest
    python benchmarks/reproduce.py quickstart --small        a minute or less, in a temporary folder
    python benchmarks/reproduce.py quickstart --record       the same, and keeps the digest for this kind of machine
    python benchmarks/reproduce.py --record                  keeps the digests of all small versions

The digest of a search is the first 12 characters of its ``population_digest``. Other digests are the first 12
characters of the SHA-256 of the JSON that the last command prints, without times, paths and machines (`VARYING`), with
floats rounded to five decimals as in the tables, and with sorted keys. The exit code is 0 if the digests are equal, 1
if they differ, and 2 if no digest is known for this machine and these versions. ``reproductions`` has the table, and
``digests.json`` the digests of each kind of machine.
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

from digests import Digests, Small, here, latest, read, write
from reproductions import BY_NAME, ENTRIES, Entry

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


def small(entry: Entry) -> Small:
    """Runs the small version of an entry in a temporary folder."""
    with tempfile.TemporaryDirectory() as scratch:
        value = printed(run(entry.small, Path(scratch), quiet=True))
    return Small(digest(value), near(value, entry))


def record(full: dict[str, str], shrunk: dict[str, Small]) -> None:
    """Adds digests to those of this machine and these versions, or replaces them."""
    known = read()
    found = here(known)
    kept = [one for one in known if one.made_with != found.made_with]
    write([*kept, Digests(found.made_with, found.full | full, found.small | shrunk)])


def markdown() -> str:
    """Formats the table of docs/reproduce.md."""
    lines = ["| name | shows | commands | on two cores | digest to expect |", "|---|---|---|---|---|"]
    for entry in ENTRIES:
        commands = "<br>".join(f"`{command}`" for command in entry.commands)
        expected = f"none; {entry.expect}" if entry.expect else _known(entry.name)
        cells = [f"`{entry.name}`", "<br>".join(entry.shows), commands, entry.takes, expected]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _known(name: str) -> str:
    """The digests of an entry by the versions of fingerprint and search that made them, the newest first."""
    by_versions: dict[str, list[str]] = {}
    for one in reversed(read()):
        if name in one.full:
            by_versions.setdefault(one.versions, []).append(f"`{one.full[name]}`")
    return (
        "<br>".join(f"{', '.join(found)} ({versions})" for versions, found in by_versions.items()) or "- (not yet run)"
    )


def page(text: str) -> str:
    """Replaces the table in the text of the page by the current one."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{markdown()}{END}{after}"


def check(entry: Entry, *, keep: bool) -> int:
    """Reproduces an entry in this folder, prints the comparison, and returns the exit code."""
    said = run(entry.commands, Path.cwd(), quiet=False)
    if entry.expect:
        print(said)
        print(f"{entry.name}: no digest; expect {entry.expect}")
        return 2
    known = read()
    found, expected = digest(printed(said)), here(known).full.get(entry.name)
    if keep:
        record({entry.name: found}, {})
    return _verdict(entry.name, found, expected, latest(known, entry.name))


def check_small(entry: Entry, *, keep: bool) -> int:
    """Runs the small version of an entry, prints the comparison, and returns the exit code."""
    if not entry.small:
        print(f"{entry.name}: there is no small version, since nothing of it is the same everywhere")
        return 2
    known = read()
    found, expected = small(entry), here(known).small.get(entry.name)
    if keep:
        record({}, {entry.name: found})
    return _verdict(entry.name, found.digest, expected and expected.digest, latest(known, entry.name, small=True))


def _verdict(name: str, found: str, expected: str | None, other: tuple[str, Digests] | None) -> int:
    """Prints the comparison with the digest of this environment, else with the latest of another one."""
    if expected is not None:
        print(f"{name}: digest {found}, {'as expected' if found == expected else f'expected {expected}'}")
        return int(found != expected)
    print(f"{name}: digest {found}; none is known for {made_with()}.")
    if other is not None:
        print(f"It was {other[0]} with {other[1].made_with}. docs/reproduce.md says what to compare.")
    return 2


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", choices=list(BY_NAME), metavar="NAME", help="a name that --list lists")
    parser.add_argument("--small", action="store_true", help="the small version, in a folder of its own")
    parser.add_argument("--list", action="store_true", help="print the table")
    parser.add_argument("--write", action="store_true", help="put the table into docs/reproduce.md")
    parser.add_argument("--record", action="store_true", help="keep the digest, or those of all small versions")
    options = parser.parse_args()
    if options.write:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    elif options.record and options.name is None:
        record({}, {entry.name: small(entry) for entry in ENTRIES if entry.small})
    elif options.list or options.name is None:
        print(markdown(), end="")
    else:
        entry = BY_NAME[options.name]
        raise SystemExit((check_small if options.small else check)(entry, keep=options.record))


if __name__ == "__main__":
    main()
