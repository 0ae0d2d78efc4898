"""Random search samples valid programs within the campaign's bounds, as a function of the random numbers only."""

from __future__ import annotations

import numpy as np
from made_up import Ledger, MadeUpEvaluator, make_evolution

from optsearch.dsl.library import LIBRARY
from optsearch.dsl.verify import verify
from optsearch.search.budget import Budget
from optsearch.search.session import Session
from optsearch.search.variation.mutate import Mutator
from optsearch.search.variation.mutation_config import ConstantsConfig, MutationWeights
from optsearch.search.variation.random_programs import RandomPrograms


def test_programs_are_valid_and_ignore_the_parent() -> None:
    draw = RandomPrograms(("m", "v"), 12, ["add", "multiply", "square"])
    for seed in range(200):
        one, _ = draw.mutate(np.random.default_rng(seed), LIBRARY["adamw"])
        other, _ = draw.mutate(np.random.default_rng(seed), LIBRARY["lion"])
        verify(one)
        assert one == other
        assert 1 <= len(one.body) <= 12
        assert one.state == ("m", "v")
        assert {statement.function for statement in one.body} <= {"add", "multiply", "square"}


def test_drawn_programs_have_no_parent() -> None:
    ledger = Ledger()
    evolution = make_evolution(variation=RandomPrograms(("m",), 6), budget=Budget(programs=50))
    Session(evolution, MadeUpEvaluator(), ledger).run()
    assert {item.candidate.parent for item in ledger.settled} == {None}
    assert evolution.progress.generated == 50


def test_constants_follow_the_campaign() -> None:
    weights = MutationWeights(insert=0, delete=0, modify=0, scale=0, complement=0, redraw=1, retune=0, wrap=0)
    mutator = Mutator(weights, constants=ConstantsConfig(mean=5.0, spread=0.01))
    before = {arg for s in LIBRARY["adamw"].body for arg in s.args if not isinstance(arg, str)}
    for seed in range(50):
        child, _ = mutator.mutate(np.random.default_rng(seed), LIBRARY["adamw"])
        new = {arg for s in child.body for arg in s.args if not isinstance(arg, str)} - before
        assert all(4.9 < value < 5.1 for value in new)
        assert new
    inserting = Mutator(
        MutationWeights(delete=0, modify=0, scale=0, complement=0, redraw=0, retune=0, wrap=0),
        constants=ConstantsConfig(mean=5.0, spread=0.01),
    )
    everywhere = RandomPrograms(("m",), 6, constants=ConstantsConfig(mean=5.0, spread=0.01, share=1.0).new)
    drawn = set[float]()
    for seed in range(200):
        for variation in (inserting, everywhere):
            child, _ = variation.mutate(np.random.default_rng(seed), LIBRARY["sgd"])
            drawn |= {arg for s in child.body for arg in s.args if isinstance(arg, float)}
    assert drawn
    assert all(4.9 < value < 5.1 for value in drawn - {arg for s in LIBRARY["sgd"].body for arg in s.args})
