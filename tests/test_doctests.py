"""Examples in docstrings give the shown output."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = [path for package in ("dsl", "optsearch") for path in sorted((ROOT / package).rglob("*.py"))]
MODULES = [
    ".".join(("optsearch", *path.relative_to(ROOT).with_suffix("").parts))
    .replace("optsearch.optsearch", "optsearch")
    .removesuffix(".__init__")
    for path in FILES
    if path.name != "__main__.py"
]
WITH_EXAMPLES = {
    "optsearch",
    *(f"optsearch.dsl.{name}" for name in ("dataflow", "fingerprint", "generate", "library", "rate")),
    *(f"optsearch.dsl.{name}" for name in ("syntax", "transform", "verify")),
}
"""Modules of the names that users begin with."""


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    done = doctest.testmod(import_module(name))
    assert done.failed == 0
    assert done.attempted > 0 or name not in WITH_EXAMPLES
