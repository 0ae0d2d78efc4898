"""Contenders by name, for benchmarks that compare programs with baselines."""

from __future__ import annotations

from optsearch.runs.library.references import load_program
from optsearch.selection.baselines.table import BASELINES
from optsearch.selection.contender import Contender, baseline


def contender_of(name: str) -> Contender:
    """A baseline or a program by name."""
    return baseline(name) if name in BASELINES else Contender(name, load_program(name).program)
