"""Makes a table or figure of the documentation again, and says whether it came out as expected.

    python benchmarks/reproduce.py --list                    the table of docs/reproduce.md; --write puts it there
    python benchmarks/reproduce.py quickstart                its commands, in this folder, and the digest
    python benchmarks/reproduce.py quickstart --small        a minute or less, in a folder of its own
    python benchmarks/reproduce.py --record FILE             the small digests of this kind of machine, for the tests

The digest of a search is the first 12 characters of its ``population_digest``. That of everything else is of the JSON
that the last command prints: without what names times, places and machines (`VARYING`), floats rounded to the five
decimals that tables print, keys sorted; sha256, the first 12 characters. Exit code 0 when it is as expected, 1 when it
differs, 2 when there is nothing to compare with. ``reproductions`` holds the table.
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

VARYING = frozenset({"seconds", "machine", "run", "known_runs", "trained_runs"})
"""Keys of what is no result: times, machines, folders, what was known before."""

PROGRAMS = {
    "optsearch": [sys.executable, "-c", "from optsearch.runs.cli.app import main; main()"],
    "python": [sys.executable],
}
"""How this checkout's own commands are run, whatever is installed beside it."""


def run(commands: Sequence[str], folder: Path, *, quiet: bool) -> str:
    """Runs commands one after the other.

    Args:
        commands: as users type them, of this project alone.
        folder: where.
        quiet: whether to keep their words to ourselves unless one fails.

    Returns:
        What the last one printed.

    Raises:
        SystemExit: one failed.
    """
    said = ""
    search_path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    for command in commands:
        program, *arguments = shlex.split(command)
        if program == "python" and arguments[0].startswith("benchmarks/"):
            arguments[0] = str(ROOT / arguments[0])
        if not quiet:
            sys.stderr.write(f"$ {command}\n")
        done = subprocess.run(  # noqa: S603 - commands of our own table
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
    """The JSON that a command printed: everything that it printed, or its last line."""
    try:
        return json.loads(said)
    except json.JSONDecodeError:
        return json.loads(said.splitlines()[-1])


def result_of(value: Any) -> Any:
    """What counts of a JSON value: without what varies, floats as tables print them."""
    if isinstance(value, dict):
        return {key: result_of(inner) for key, inner in value.items() if key not in VARYING}
    if isinstance(value, list):
        return [result_of(inner) for inner in value]
    return round(value, 5) + 0.0 if isinstance(value, float) else value  # no negative zero


def digest(value: Any) -> str:
    """12 hex digits of a result."""
    if isinstance(value, dict) and "population_digest" in value:
        return str(value["population_digest"])[:12]
    text = json.dumps(result_of(value), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def near(value: Any, entry: Entry) -> dict[str, float]:
    """The values of a small version that other kinds of machines give too, nearly."""
    found: dict[str, float] = {}
    for path in entry.near:
        inner = value
        for key in path.split("."):
            inner = inner[int(key)] if isinstance(inner, list) else inner[key]
        found[path] = round(inner, 5)
    return found


def small(entry: Entry) -> dict[str, Any]:
    """Runs the small version of an entry in a folder of its own: its ``digest``, and what is ``near`` it elsewhere."""
    with tempfile.TemporaryDirectory() as scratch:
        value = printed(run(entry.small, Path(scratch), quiet=True))
    return {"digest": digest(value), "near": near(value, entry)}


def record() -> str:
    """The small digests of this machine, as JSON text."""
    found = {entry.name: small(entry) for entry in ENTRIES if entry.small}
    return json.dumps({"made_with": made_with(), "small": found}, indent=1) + "\n"


def markdown() -> str:
    """The table of docs/reproduce.md."""
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
    """The page with the table as it is now."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{markdown()}{END}{after}"


def check(entry: Entry) -> int:
    """Makes an entry again in this folder and prints how it came out; the exit code."""
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
    """The small version of an entry, and how it came out; the exit code."""
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
