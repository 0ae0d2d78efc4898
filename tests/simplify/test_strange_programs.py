"""Programs with extreme constants or constant state are simplified and described like others."""

from __future__ import annotations

import time

import numpy as np
import pytest

from optsearch.dsl.generate import random_program
from optsearch.dsl.program import Program
from optsearch.dsl.syntax import parse
from optsearch.dsl.verify import verify
from optsearch.simplify.behaviour.stability import restraint, stability
from optsearch.simplify.rewriting.recognise import recognise
from optsearch.simplify.rewriting.rewrite import rewrite
from optsearch.simplify.rewriting.saturate import SaturationLimits

EXTREME = (3e38, -3e38, 1e30, 1e-30, 1e-38, 1e8, 1e-8, 0.0, 1.0, -1.0)
"""Constants at the ends of float32, where combining them overflows, underflows or divides by zero."""

FEW = SaturationLimits(rounds=4, nodes=300)


def strange(seed: int) -> Program:
    """A random program, half of whose constants are extreme."""
    rng = np.random.default_rng(seed)
    program = random_program(rng, state=("m", "v")[: int(rng.integers(3))], statements=int(rng.integers(1, 16)))
    body = tuple(
        s._replace(
            args=tuple(
                a if isinstance(a, str) or rng.random() < 0.5 else EXTREME[int(rng.integers(len(EXTREME)))]
                for a in s.args
            )
        )
        for s in program.body
    )
    return Program(program.state, body)


def test_constants_that_cannot_be_combined_are_left_alone() -> None:
    program = parse("def train(w, g, lr):\n  a = 3e38 * lr\n  b = a - g\n  update = b * 1.0\n  return update\n")
    verify(rewrite(program).program)
    recognise(program)


@pytest.mark.parametrize("last", ["a0 * 1.0", "a0 * w"])
def test_state_that_nothing_moves_is_described(last: str) -> None:
    program = parse(f"def train(w, g, v, lr):\n  a0 = maximum(lr, v)\n  update = {last}\n  return update, v\n")
    reached = restraint(program).reached
    assert reached is None or np.isfinite(reached)
    stability(program)


def test_strange_programs_are_rewritten_and_described() -> None:
    for seed in range(20):
        verify(rewrite(strange(seed), FEW).program)
        restraint(strange(seed))


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(20))
def test_20_000_strange_programs_are_rewritten_and_described(shard: int) -> None:
    ends = time.monotonic() + 300.0
    for seed in range(1000 * shard, 1000 * (shard + 1)):
        if time.monotonic() > ends:
            break
        verify(rewrite(strange(seed), FEW).program)
        restraint(strange(seed))
