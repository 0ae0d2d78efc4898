"""Crossover carries a value over with its definition, and leaves everything else as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from optsearch.dsl.dataflow import prune
from optsearch.dsl.execute import step
from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.generate import random_program
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program, Statement
from optsearch.dsl.syntax import parse
from optsearch.dsl.verify import verify
from optsearch.search.member import Member
from optsearch.search.variation.crossover import carried
from optsearch.search.variation.mutate import MutationError, Mutator
from optsearch.search.variation.mutation_config import LimitsConfig, MutationWeights

CROSS = MutationWeights(**{name: float(name == "cross") for name in MutationWeights.model_fields})
ALL_ALIVE = parse("""def train(w, g, m, v, z, lr):
  m = m + g
  v = v + m
  z = z + v
  update = z * lr
  return update, m, v, z
""")
NOTHING = parse("def train(w, g, m, v, lr):\n  update = g * lr\n  return update, m, v\n")


def crossed(parent: Program, mate: Program, seed: int, **limits: int) -> tuple[Program, str]:
    mutator = Mutator(CROSS, limits=LimitsConfig(**limits))
    child, mutation = mutator.mutate(np.random.default_rng(seed), parent, mate=lambda _: Member(7, mate, 0.5))
    return child, str(mutation)


def test_children_are_valid_and_differ_from_the_parent_in_one_operand() -> None:
    for seed in range(60):
        rng = np.random.default_rng(seed)
        parent, mate = (random_program(rng, statements=int(rng.integers(2, 15))) for _ in range(2))
        child, mutation = crossed(parent, mate, seed)
        verify(child)
        assert child.state == parent.state
        added = len(child.body) - len(parent.body)
        assert added >= 1
        place = next(at for at, (a, b) in enumerate(zip(child.body, parent.body, strict=False)) if a != b)
        assert child.body[place + added + 1 :] == parent.body[place + 1 :]
        old, reader = parent.body[place], child.body[place + added]
        assert (reader.target, reader.function) == (old.target, old.function)
        assert sum(a != b for a, b in zip(old.args, reader.args, strict=True)) == 1
        assert mutation.startswith(f"cross line {place + 2}: `{old}` -> `")
        assert mutation.endswith("from 7`")


def test_a_carried_value_is_the_mates_value() -> None:
    """With all state in use by the parent, so that both programs read the same state."""
    tree = lambda rng: {"a": rng.standard_normal((3, 4)).astype(np.float32)}  # noqa: E731
    for seed in range(60):
        rng = np.random.default_rng(seed)
        mate = random_program(rng, statements=int(rng.integers(1, 12)))
        live = prune(Program((*mate.state, "z"), mate.body))
        place = int(rng.integers(len(live.body)))
        found = carried(lambda _, place=place: place, ALL_ALIVE, live, taken=ALL_ALIVE.signature.inputs)
        assert found is not None
        statements, value = found
        body = live.body[: place + 1]
        ours = Program(("m", "v", "z"), (*statements, Statement("update", "add", (value, "z"))))
        theirs = Program(("m", "v", "z"), (*body, Statement("update", "add", (body[-1].target, "z"))))
        inputs = tree(rng), tree(rng), (tree(rng), tree(rng), tree(rng)), np.float32(0.5)
        (one, _), (other, _) = (step(program, *inputs) for program in (ours, theirs))
        np.testing.assert_array_equal(one["a"], other["a"])


def test_unused_state_is_taken_over_with_its_update() -> None:
    momentum = parse("def train(w, g, m, v, lr):\n  m = interp(g, m, 0.9)\n  update = m * lr\n  return update, m, v\n")
    children = {fingerprint(crossed(NOTHING, momentum, seed)[0]) for seed in range(60)}
    assert fingerprint(momentum) in children


def test_state_is_taken_over_where_it_is_read_before_its_update() -> None:
    mate = parse("def train(w, g, m, v, lr):\n  s = sign(m)\n  m = m + g\n  update = s * lr\n  return update, m, v\n")
    children = [crossed(NOTHING, mate, seed)[0] for seed in range(60)]
    assert fingerprint(mate) in {fingerprint(child) for child in children}


def test_state_in_use_keeps_the_parents_update() -> None:
    parent = parse("def train(w, g, m, v, lr):\n  m = interp(g, m, 0.5)\n  update = m * lr\n  return update, m, v\n")
    for seed in range(40):
        child, _ = crossed(parent, replace(LIBRARY["adamw"], state=("m", "v")), seed)
        assert [line.target for line in child.body].count("m") == 1


def test_state_that_the_parent_lacks_is_not_carried() -> None:
    mate = parse("def train(w, g, s, lr):\n  s = s + g\n  update = s * lr\n  return update, s\n")
    for seed in range(20):
        try:
            child, _ = crossed(LIBRARY["adamw"], mate, seed)
        except MutationError:
            continue
        assert child.state == LIBRARY["adamw"].state


def test_without_a_mate_it_does_not_apply() -> None:
    with pytest.raises(MutationError):
        Mutator(CROSS).mutate(np.random.default_rng(0), LIBRARY["adamw"])


def test_the_limit_of_statements_holds() -> None:
    for seed in range(30):
        try:
            child, _ = crossed(LIBRARY["adamw"], LIBRARY["adamw"], seed, statements=10)
        except MutationError:
            continue
        assert len(child.body) <= 10
