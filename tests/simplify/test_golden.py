"""Golden files of rewriting and recognition, in the language itself.

A file contains a comment that describes the case, a program, the line ``# becomes: ...`` with the recognised
optimizer, and the rewritten program.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from optsearch.dsl.dataflow import prune
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program
from optsearch.dsl.syntax import parse
from optsearch.simplify.rewriting.equivalence import same_updates
from optsearch.simplify.rewriting.recognise import Recognised, recognise
from optsearch.simplify.rewriting.rewrite import rewrite

FILES = sorted((Path(__file__).parent / "golden").glob("*.txt"))
LONG = (
    "adam-expanded", "adamw-expanded", "lion-raw-dead-code", "lion-raw-expanded", "momentum-expanded",
    "nesterov-expanded", "state-of-another-sign", "stores-a-multiple",
)  # fmt: skip
"""Files that take seconds, and whose laws the default suite also checks on shorter files and in `test_rewrite.py`."""


def read(path: Path) -> tuple[Program, str, Program]:
    before, after = path.read_text(encoding="utf-8").split("# becomes: ")
    words, text = after.split("\n", 1)
    return parse(before), words, parse(text)


@cache
def recognised(path: Path) -> Recognised | None:
    """The optimizer that a rewritten program is."""
    return recognise(read(path)[2])


@pytest.mark.parametrize(
    "path", [pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem in LONG)) for path in FILES]
)
def test_golden(path: Path) -> None:
    before, words, after = read(path)
    result = rewrite(before)
    assert result.rejected is None
    assert str(result.program) == str(after)
    assert str(recognised(path) or "nothing known") == words
    assert same_updates(before, after)
    assert len(after.body) <= len(prune(before).body)


def test_there_are_enough() -> None:
    assert len(FILES) >= 30


@pytest.mark.parametrize("name", LIBRARY)
def test_library_comes_back_from_both_obfuscations(name: str) -> None:
    library = LIBRARY[name]
    for path in FILES:
        if path.stem in (f"{name}-dead-code", f"{name}-expanded"):
            _, words, after = read(path)
            assert len(after.body) <= len(library.body)
            assert len(after.state) <= len(library.state)
            found = recognised(path)
            assert found is not None
            assert found.name == ("lion" if name == "lion-raw" else name)
            assert words == str(found)


@pytest.mark.parametrize("path", [path for path in FILES if path.stem.startswith("keeps-")], ids=lambda path: path.stem)
def test_what_must_stay_stays(path: Path) -> None:
    before, _, after = read(path)
    assert len(after.body) == len(before.body)
    assert sorted(s.function for s in after.body) == sorted(s.function for s in before.body)
