"""Fixtures for the tests of simplification."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from optsearch.dsl.generate import random_program
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program
from optsearch.search.variation.mutate import Mutator
from optsearch.search.variation.mutation_config import MutationWeights


@pytest.fixture(scope="session")
def generated() -> Callable[[int, int], list[Program]]:
    """``generated(first, last)``: programs by seed, half of them random, half mutated library programs."""
    mutator = Mutator(MutationWeights(delete=0.3))
    names = list(LIBRARY)

    def make(seed: int) -> Program:
        rng = np.random.default_rng(seed)
        if seed % 2:
            state = ("m", "v", "s")[: int(rng.integers(4))]
            return random_program(rng, state=state, statements=int(rng.integers(1, 41)))
        program = LIBRARY[names[seed // 2 % len(names)]]
        for _ in range(int(rng.integers(1, 100))):
            program, _ = mutator.mutate(rng, program)
        return program

    return lambda first, last: [make(seed) for seed in range(first, last)]
