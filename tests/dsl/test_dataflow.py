"""Liveness is tracked across steps; pruning preserves observable behaviour."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optsearch.dsl.dataflow import liveness, prune
from optsearch.dsl.execute import step
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program
from optsearch.dsl.syntax import parse
from optsearch.dsl.verify import verify


def updates(program: Program, leaves: list[np.ndarray], steps: int, jit: bool = False) -> list[np.ndarray]:
    """The update of every step."""
    w = [jnp.asarray(leaf) for leaf in leaves]
    state = tuple([jnp.zeros_like(leaf) for leaf in w] for _ in program.state)
    run = jax.jit(lambda *args: step(program, *args)) if jit else (lambda *args: step(program, *args))
    out: list[np.ndarray] = []
    for index in range(steps):
        g = [jnp.sin(leaf * (index + 1)) for leaf in w]
        update, state = run(w, g, state, jnp.float32(0.1))
        w = [a - b for a, b in zip(w, update, strict=True)]
        out += [np.asarray(leaf) for leaf in update]
    return out


def same_bits(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


def test_pruned_programs_train_identically_to_the_bit(
    programs: Callable[..., list[Program]], random_leaves: Callable[..., list[np.ndarray]]
) -> None:
    leaves = random_leaves(1)
    shorter = 0
    for program in [*LIBRARY.values(), *programs(40, seed=2)]:
        pruned = prune(program)
        verify(pruned)
        shorter += len(pruned.body) < len(program.body)
        assert same_bits(updates(program, leaves, 3), updates(pruned, leaves, 3)), str(program)
    assert shorter > 20


def test_pruned_programs_train_identically_when_compiled(
    programs: Callable[..., list[Program]], random_leaves: Callable[..., list[np.ndarray]]
) -> None:
    leaves = random_leaves(2)
    for program in [LIBRARY["lion-raw"], *programs(4, seed=3)]:
        assert same_bits(updates(program, leaves, 3, jit=True), updates(prune(program), leaves, 3, jit=True))


def test_pruning_is_idempotent(programs: Callable[..., list[Program]]) -> None:
    for program in programs(300, seed=4):
        pruned = prune(program)
        assert prune(pruned) == pruned
        assert all(liveness(pruned).statements)
        assert all(liveness(pruned).state)


def test_the_raw_program_has_one_live_state_variable() -> None:
    """METHOD: the returned ``m`` is never read, so the program has one state variable."""
    pruned = prune(LIBRARY["lion-raw"])
    assert pruned.state == ("v",)
    assert [s.target for s in pruned.body].count("v968") == 0


@pytest.mark.parametrize(
    ("body", "state"),
    [
        ("v = v + m\n m = m + g\n update = g * lr", ()),  # neither reaches update
        ("update = v * lr\n v = m + g\n m = m * 0.9", ("m", "v")),  # m reaches update after two steps
        ("update = v * lr\n v = m + g\n m = g * 0.9", ("m", "v")),
        ("m = g * 2.0\n update = m * lr\n v = update * 1.0", ()),  # m is written before it is read
    ],
)
def test_state_is_live_when_it_reaches_update_at_any_later_step(body: str, state: tuple[str, ...]) -> None:
    program = parse(f"def train(w, g, m, v, lr):\n {body}\n return update, m, v\n")
    assert prune(program).state == state
