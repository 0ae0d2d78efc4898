"""Program steps: JAX agrees with float64 NumPy on parameter trees of all shapes."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optsearch.dsl.execute import first_state, reference_state, reference_step, step
from optsearch.dsl.functions import FUNCTIONS
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program
from optsearch.dsl.syntax import parse
from optsearch.dsl.types import Kind
from optsearch.dsl.verify import state_kinds

TREES: dict[str, tuple[tuple[int, ...], ...]] = {
    "scalar": ((),),
    "one leaf": ((3,),),
    "many leaves": ((2, 3), (), (3,), (1, 2, 1)),
    "empty leaf": ((0,), (2,)),
    "only empty leaves": ((0, 3), (0,)),
    "no leaves": (),
}


def flat(trees: object) -> np.ndarray:
    leaves = [np.ravel(np.asarray(leaf, np.float64)) for leaf in jax.tree.leaves(trees)]
    return np.concatenate(leaves) if leaves else np.zeros(0)


@pytest.mark.parametrize("count", [30, pytest.param(300, marks=pytest.mark.slow)])
def test_jax_and_reference_agree_on_generated_programs(
    count: int,
    programs: Callable[..., list[Program]],
    random_leaves: Callable[..., list[np.ndarray]],
    trajectories: Callable[..., np.ndarray],
    beyond_rounding: Callable[..., tuple[np.ndarray, np.ndarray]],
) -> None:
    """To what rounding explains: to a multiple of what float32's rounding does to the float64 result."""
    leaves, gradients = random_leaves(1), np.random.default_rng(99)
    g = [np.float32(gradients.standard_normal(leaf.shape)) for leaf in leaves]
    compared = total = 0
    for program in [*LIBRARY.values(), *programs(count, seed=1)]:
        update, _ = step(program, leaves, g, first_state(program, leaves), 0.1)
        runs = trajectories(program, leaves, steps=1, runs=10, size=1.5e-7, single=True)
        differs, comparable = beyond_rounding(flat(update), runs)
        assert not differs.any(), f"{program}\n{flat(update)}\n{runs[0]}"
        compared += comparable.sum()
        total += comparable.size
    assert compared > 0.6 * total


def test_the_reference_is_the_exact_meaning_of_the_library(random_leaves: Callable[..., list[np.ndarray]]) -> None:
    w, g, lr = random_leaves(1), random_leaves(2), 0.5
    update, (m,) = reference_step(LIBRARY["lion"], w, g, [[np.full(leaf.shape, 0.3) for leaf in w]], lr)
    for index, leaf in enumerate(w):
        gradient = g[index].astype(np.float64)
        np.testing.assert_allclose(m[index], 0.01 * gradient + 0.99 * 0.3, rtol=1e-12)
        expected = (np.sign(0.1 * gradient + 0.9 * 0.3) + 0.1 * leaf.astype(np.float64)) * (lr * 1e-4)
        np.testing.assert_allclose(update[index], expected, rtol=1e-12)


@pytest.mark.parametrize("shapes", TREES.values(), ids=TREES)
def test_results_have_the_shapes_and_types_of_the_parameters(
    shapes: tuple[tuple[int, ...], ...],
    programs: Callable[..., list[Program]],
    random_leaves: Callable[..., list[np.ndarray]],
) -> None:
    """Through JAX's abstract evaluation, which compiles nothing."""
    w, g = random_leaves(1, shapes), random_leaves(2, shapes)
    for program in [*LIBRARY.values(), *programs(20, seed=6)]:
        update, state = jax.eval_shape(lambda p=program: step(p, w, g, first_state(p, w), 0.1))
        assert len(state) == len(program.state)
        for tree, kind in zip((update, *state), (Kind.LEAF, *state_kinds(program)), strict=True):
            assert tuple(x.shape for x in tree) == kind.shapes(tuple(x.shape for x in w))
            assert all(x.dtype == np.float32 for x in tree)


def share_compiled_like_the_definition(chosen: list[Program], w: list[np.ndarray], g: list[np.ndarray]) -> float:
    """Compiled as a whole against statement by statement; gives the share of equal numbers.

    Fused arithmetic rounds differently and ill-conditioned programs amplify that, so that a few numbers may differ.
    """
    close = total = 0
    for program in chosen:
        definition, _ = step(program, w, g, first_state(program, w), 0.1)
        compiled, _ = jax.jit(lambda *args, p=program: step(p, *args))(w, g, first_state(program, w), 0.1)
        close += np.isclose(flat(compiled), flat(definition), rtol=1e-4, atol=1e-6, equal_nan=True).sum()
        total += flat(definition).size
    return close / total


def test_compiled_is_the_definition(
    programs: Callable[..., list[Program]], random_leaves: Callable[..., list[np.ndarray]]
) -> None:
    w, g = random_leaves(3), random_leaves(4)
    assert share_compiled_like_the_definition(list(LIBRARY.values()), w, g) == 1.0
    assert share_compiled_like_the_definition(programs(8, seed=11), w, g) > 0.97


@pytest.mark.slow
def test_compiled_is_the_definition_1_000(
    programs: Callable[..., list[Program]], random_leaves: Callable[..., list[np.ndarray]]
) -> None:
    assert share_compiled_like_the_definition(programs(1_000, seed=12), random_leaves(3), random_leaves(4)) > 0.97


def run_on_every_tree(count: int, seed: int, programs: Callable[..., list[Program]]) -> None:
    """Generated programs through the reference, which raises where shapes do not fit."""
    rng = np.random.default_rng(seed)
    trees = list(TREES.values())
    for index, program in enumerate(programs(count, seed=seed)):
        w = [np.asarray(rng.standard_normal(shape)) for shape in trees[index % len(trees)]]
        start = reference_state(program, w)
        update, state = reference_step(program, w, w, start, 0.1)
        for tree, like in zip((update, *state), (w, *start), strict=True):
            assert [x.shape for x in tree] == [x.shape for x in like], str(program)


def test_what_verification_accepts_executes(programs: Callable[..., list[Program]]) -> None:
    run_on_every_tree(3_000, 7, programs)


@pytest.mark.slow
def test_what_verification_accepts_executes_100_000(programs: Callable[..., list[Program]]) -> None:
    run_on_every_tree(100_000, 8, programs)


def trace_on_every_tree(count: int, seed: int, programs: Callable[..., list[Program]]) -> None:
    """Generated programs through JAX's abstract evaluation, on a tree of every shape."""
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for tree in TREES.values() for shape in tree]
    for program in programs(count, seed=seed):
        state = jax.eval_shape(lambda p=program: first_state(p, shapes))
        update, new_state = jax.eval_shape(lambda *args, p=program: step(p, *args), shapes, shapes, state, 0.1)
        for tree, like in zip((update, *new_state), (shapes, *state), strict=True):
            assert [x.shape for x in tree] == [x.shape for x in like]


def test_what_verification_accepts_compiles(programs: Callable[..., list[Program]]) -> None:
    trace_on_every_tree(20, 9, programs)


@pytest.mark.slow
def test_what_verification_accepts_compiles_1_000(programs: Callable[..., list[Program]]) -> None:
    trace_on_every_tree(1_000, 10, programs)


def test_a_function_of_every_kind_of_operand_executes(random_leaves: Callable[..., list[np.ndarray]]) -> None:
    """Every row with every mixture of kinds that it accepts."""
    names = {Kind.SCALAR: "lr", Kind.PER_LEAF: "p", Kind.PER_ROW: "r", Kind.PER_COLUMN: "c", Kind.LEAF: "g"}
    made = " p = norm(g)\n r = row_norm(g)\n c = column_norm(g)\n"
    w = random_leaves(1)
    for function in FUNCTIONS.values():
        for kind in Kind:
            args = [names[kind] if kind in accepted else names[max(accepted)] for accepted in function.operands]
            call = f"{function.name}({', '.join(args)})"
            program = parse(f"def train(w, g, lr):\n{made} x = {call}\n update = w + x\n return update\n")
            update, _ = step(program, w, w, (), 0.25)
            exact, _ = reference_step(program, w, w, (), 0.25)
            np.testing.assert_allclose(flat(update), flat(exact), rtol=1e-5, atol=1e-6, err_msg=call)


def test_leaves_of_several_types_keep_them() -> None:
    w = {"a": jnp.ones(2, jnp.bfloat16), "b": jnp.ones(3, jnp.float32)}
    state = ({"a": jnp.zeros(2, jnp.float32), "b": jnp.zeros(3, jnp.float32)},)
    update, (m,) = step(LIBRARY["lion"], w, w, state, 1.0)
    assert jax.tree.map(lambda x: x.dtype.name, update) == {"a": "bfloat16", "b": "float32"}
    assert jax.tree.map(lambda x: x.dtype.name, m) == {"a": "float32", "b": "float32"}


def test_half_precision_parameters_are_updated_in_single_precision() -> None:
    """In bfloat16 itself 0.999 would be 1, and Adam's second moment would never move."""
    state = tuple([jnp.zeros(2, jnp.float32)] for _ in range(2))
    half = [jnp.full(2, 0.5, jnp.bfloat16)]
    update, (_, v) = step(LIBRARY["adam"], half, half, state, 1.0)
    np.testing.assert_allclose(v[0], 0.001 * 0.25, rtol=1e-4)
    assert update[0].dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(update[0], np.float32), 0.001 * 0.05 / np.sqrt(0.001 * 0.25), rtol=1e-2)
