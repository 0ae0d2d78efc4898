"""A program at another rate gives the updates of the program called with another learning rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optsearch.dsl.execute import reference_step
from optsearch.dsl.generate import random_program
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import MAX_STATEMENTS, Program, ProgramError, Statement
from optsearch.dsl.rate import at_rate
from optsearch.dsl.syntax import parse
from optsearch.dsl.verify import verify

RATES = (1 / 3, 3.0, 0.02)


def path(program: Program, lr: float) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    weights, state = [rng.normal(size=(3, 2))], [[np.zeros((3, 2))] for _ in program.state]
    updates: list[np.ndarray] = []
    for number in range(4):
        update, state = reference_step(program, weights, [rng.normal(size=(3, 2))], state, lr * (1.0 - 0.2 * number))
        updates.append(update[0])
    return updates


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", LIBRARY)
def test_updates_are_those_at_the_other_rate(name: str, rate: float) -> None:
    program = LIBRARY[name]
    for mine, theirs in zip(path(at_rate(program, rate), 0.1), path(program, 0.1 * rate), strict=True):
        assert np.allclose(mine, theirs, rtol=1e-6)
    assert at_rate(program, 1.0) is program


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.sampled_from(RATES))
def test_generated_programs_too(seed: int, rate: float) -> None:
    program = random_program(np.random.default_rng(seed), statements=12)
    scaled = at_rate(program, rate)
    verify(scaled)
    assert parse(str(scaled)) == scaled
    mine, theirs = path(scaled, 0.1), path(program, 0.1 * rate)
    if all(np.isfinite(update).all() and np.abs(update).max() < 1e6 for update in theirs):
        for one, other in zip(mine, theirs, strict=True):
            assert np.allclose(one, other, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  lr = lr * 0.001\n  update = g * lr", "  lr = lr * 0.003\n  update = g * lr"),
        ("  a = 0.1 * lr\n  b = lr * 0.2\n  c = a + b\n  update = g * c",
         "  a = 0.3 * lr\n  b = lr * 0.6\n  c = a + b\n  update = g * c"),
        ("  a = sin(lr)\n  lr = lr * 2.0\n  update = g * lr", "  a = sin(lr)\n  lr = lr * 6.0\n  update = g * lr"),
        ("  lr = 0.5 * 2.0\n  lr = lr * 2.0\n  update = g * lr",
         "  lr = 0.5 * 2.0\n  lr = lr * 2.0\n  update = g * lr"),
        ("  update = g * lr", "  lr = lr * 3.0\n  update = g * lr"),
        ("  lr = lr * 2e38\n  update = g * lr", "  lr = lr * 3.0\n  lr = lr * 2e38\n  update = g * lr"),
    ],
    ids=["folded", "folded twice", "dead reading", "not the caller's", "read otherwise", "out of range"],
)  # fmt: skip
def test_the_rate_goes_into_a_constant_where_it_can(text: str, expected: str) -> None:
    head, tail = "def train(w, g, lr):\n", "\n  return update\n"
    assert at_rate(parse(head + text + tail), 3.0) == parse(head + expected + tail)


def test_a_program_of_the_largest_size_is_not_made_larger() -> None:
    longest = Program((), (Statement("update", "multiply", ("g", "lr")),) * MAX_STATEMENTS)
    with pytest.raises(ProgramError, match="at most 200 statements, and scaling its learning rate would add one"):
        at_rate(longest, 0.5)
    verify(at_rate(Program((), longest.body[1:]), 0.5))
