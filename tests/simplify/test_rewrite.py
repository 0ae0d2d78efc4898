"""Laws of rewriting: sound, never longer, idempotent, deterministic, and bounded in time."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from obfuscation import obfuscate

from optsearch.dsl.dataflow import prune
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program
from optsearch.dsl.syntax import parse
from optsearch.dsl.verify import verify
from optsearch.simplify.rewriting.recognise import recognise
from optsearch.simplify.rewriting.rewrite import Rewritten, rewrite
from optsearch.simplify.rewriting.rules import Exactness

LIMIT_S = 10.0

Generated = Callable[[int, int], list[Program]]


REJECTED = 0.04
"""Share of generated programs of which a rewritten form may be rejected."""


@cache
def rewritten(name: str) -> Rewritten:
    """The result for a library program."""
    return rewrite(LIBRARY[name])


def check(program: Program) -> bool:
    """Checks the laws; returns whether the rewritten form was rejected."""
    began = time.process_time()
    result = rewrite(program)
    assert time.process_time() - began < LIMIT_S, program
    verify(result.program)
    short = prune(program)
    assert len(result.program.body) <= len(short.body)
    assert len(result.program.state) <= len(short.state)
    return result.rejected is not None


def test_generated_programs_are_rewritten_soundly(generated: Generated) -> None:
    assert not any(map(check, generated(0, 8)))


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(50))
def test_10_000_generated_programs_are_rewritten_soundly(shard: int, generated: Generated) -> None:
    first = 1000 + 200 * shard
    assert sum(map(check, generated(first, first + 200))) <= REJECTED * 200


def comes_back(name: str, seed: int) -> None:
    """Checks that a library program made as unreadable as it gets is rewritten to its own form or a shorter one."""
    goal = rewritten(name).program
    result = rewrite(obfuscate(LIBRARY[name], np.random.default_rng(seed), share=1.0)).program
    assert len(result.body) <= len(goal.body), seed
    assert len(result.state) <= len(goal.state), seed
    found = recognise(result)
    assert found is not None, seed
    assert found.name == ("lion" if name == "lion-raw" else name), seed


QUICK = ("adafactor", "adamw", "lion", "muon", "nesterov", "rmsprop")
"""Library programs of the default tests, which cover state, matrices, rows and signs."""


@pytest.mark.parametrize(
    ("name", "seed"),
    [
        *(pytest.param(name, 3, marks=[] if name in QUICK else pytest.mark.slow) for name in LIBRARY),
        ("lion-raw", 1),
        pytest.param("lion-raw", 15, marks=pytest.mark.slow),
    ],
)
def test_obfuscated_library_programs_come_back(name: str, seed: int) -> None:
    comes_back(name, seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", LIBRARY)
def test_all_obfuscations_of_library_programs_come_back(name: str) -> None:
    for seed in range(30):
        comes_back(name, seed)


def test_forty_statements_end_in_time() -> None:
    program = LIBRARY["lion-raw"]
    for seed in range(20):
        program = obfuscate(LIBRARY["lion-raw"], np.random.default_rng(seed), share=1.0)
        if len(prune(program).body) >= 30:
            break
    statements = [f"  x{n} = {f}(x{n - 1})\n" for n, f in enumerate(["tanh", "arctan", "sinh", "cbrt"] * 10, start=1)]
    check(program)
    check(parse(f"def train(w, g, lr):\n  x0 = g * lr\n{''.join(statements)}  update = x40 * lr\n  return update\n"))


@pytest.mark.parametrize("name", LIBRARY)
def test_rewriting_again_changes_nothing(name: str) -> None:
    once = rewritten(name).program
    assert rewrite(once).program == once


def test_the_same_text_gives_the_same_result(generated: Generated) -> None:
    for program in generated(203, 210):
        assert rewrite(program) == rewrite(parse(str(program)))


def test_the_published_raw_program_keeps_only_clip_and_arcsin_beside_lion() -> None:
    result, lion = rewritten("lion-raw"), rewritten("lion").program
    assert [s.function for s in result.program.body] == ["clip", "arcsin", *(s.function for s in lion.body)]
    assert len(result.program.state) == 1
    assert result.exact is Exactness.GUARD
    assert {"interp of interp", "root of a square", "value over its size"} <= set(result.rules)


def test_constants_are_those_of_float32_with_the_fewest_digits() -> None:
    program = parse(
        "def train(w, g, m, lr):\n  m = interp(g, m, 0.8999999761581421)\n  update = m * lr\n  return update, m\n"
    )
    assert "0.9)" in str(rewrite(program).program)


def test_a_rejected_form_is_looked_for_again_with_fewer_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "optsearch.simplify.rewriting.rewrite.same_updates", lambda original, rewritten: "cbrt" in str(rewritten)
    )
    text = (
        "  a = cube(g)\n  b = cbrt(a)\n  b = b * 1.0\n  c = b + b\n  d = c * 0.25\n  update = d * lr\n  return update\n"
    )
    result = rewrite(parse(f"def train(w, g, lr):\n{text}"))
    assert result.rejected is not None
    assert "cbrt" not in str(result.rejected)
    assert [statement.function for statement in result.program.body].count("multiply") <= 2
    assert len(result.program.body) == 4
