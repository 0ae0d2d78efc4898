"""Functions of matrices: against singular values from LAPACK, against optax, and at the edges."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from optax.contrib._muon import orthogonalize_via_newton_schulz

from optsearch.dsl.execute import reference_step, step
from optsearch.dsl.functions import FUNCTIONS, NEWTON_SCHULZ, NEWTON_SCHULZ_STEPS
from optsearch.dsl.syntax import parse

ORTH = FUNCTIONS["orthogonalize"]
SHAPES = [(8, 6), (6, 8), (5, 5), (3, 3, 4, 7), (2, 64), (64, 2)]
VECTORS = [(5,), (1,), (), (1, 9), (9, 1), (1, 1), (1, 1, 6), (6, 1, 1)]


def drawn(shape: Sequence[int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def as_matrix(x: np.ndarray) -> np.ndarray:
    return x.reshape(-1, x.shape[-1]) if x.ndim > 1 else x.reshape(1, -1)


def iterated(values: np.ndarray) -> np.ndarray:
    """What the iteration makes of singular values whose squares add up to 1."""
    a, b, c = NEWTON_SCHULZ
    for _ in range(NEWTON_SCHULZ_STEPS):
        values = a * values + b * values**3 + c * values**5
    return values


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_vectors_stay_and_singular_values_go_to_one(shape: tuple[int, ...]) -> None:
    x = drawn(shape)
    left, values, right = np.linalg.svd(as_matrix(x), full_matrices=False)
    size = math.sqrt(max(as_matrix(x).shape))
    expected = left @ np.diag(size * iterated(values / np.linalg.norm(values))) @ right
    found = ORTH.reference(x)
    assert found.shape == x.shape
    np.testing.assert_allclose(as_matrix(found), expected, atol=1e-10)
    if values[-1] > 0.01 * np.linalg.norm(values):
        reached = np.linalg.svd(as_matrix(found), compute_uv=False) / size
        assert 0.67 < reached.min() <= reached.max() < 1.22
        assert 0.67 < np.sqrt(np.mean(found**2)) < 1.22


@pytest.mark.parametrize("shape", SHAPES[:3])
def test_a_second_time_changes_singular_values_within_the_tolerance_of_the_iteration(shape: tuple[int, ...]) -> None:
    once = ORTH.reference(drawn(shape))
    left, _, right = np.linalg.svd(once, full_matrices=False)
    twice = left.T @ ORTH.reference(once) @ right.T / math.sqrt(max(shape))
    np.testing.assert_allclose(twice, np.diag(np.diag(twice)), atol=1e-10)
    assert np.all((np.diag(twice) > 0.67) & (np.diag(twice) < 1.22))


@pytest.mark.parametrize("shape", [(8, 6), (6, 8), (16, 16)])
def test_it_is_the_iteration_of_optax(shape: tuple[int, int]) -> None:
    x = jnp.asarray(drawn(shape), jnp.float32)
    theirs = orthogonalize_via_newton_schulz(x, jnp.asarray(NEWTON_SCHULZ), NEWTON_SCHULZ_STEPS)
    np.testing.assert_allclose(ORTH.jax(jnp, x), math.sqrt(max(shape)) * theirs, atol=1e-5)


@pytest.mark.parametrize("shape", VECTORS)
def test_vectors_are_divided_by_their_root_mean_square(shape: tuple[int, ...]) -> None:
    x = drawn(shape)
    np.testing.assert_allclose(ORTH.reference(x), x / np.sqrt(np.mean(x**2)), rtol=1e-14)


@pytest.mark.parametrize("shape", [*SHAPES, *VECTORS])
def test_scale_and_sign(shape: tuple[int, ...]) -> None:
    x = jnp.asarray(drawn(shape), jnp.float32)
    plain = ORTH.jax(jnp, x)
    for factor in (2.0**100, 2.0**-100, 2.0, -1.0, -(2.0**-30)):
        np.testing.assert_array_equal(ORTH.jax(jnp, factor * x), math.copysign(1.0, factor) * plain)


@pytest.mark.parametrize("shape", [(3, 4), (5,), ()])
def test_edges(shape: tuple[int, ...]) -> None:
    zeros = np.zeros(shape)
    np.testing.assert_array_equal(ORTH.reference(zeros), zeros)
    for bad in (math.nan, math.inf, -math.inf):
        damaged = np.ones(shape)
        damaged.flat[0] = bad
        with np.errstate(all="ignore"):
            assert np.isnan(ORTH.reference(damaged)).all()
        assert jnp.isnan(ORTH.jax(jnp, jnp.asarray(damaged, jnp.float32))).all()


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 3)])
def test_empty_arrays(shape: tuple[int, ...]) -> None:
    assert ORTH.reference(np.zeros(shape)).shape == ORTH.jax(jnp, jnp.zeros(shape)).shape == shape


def test_a_matrix_of_low_rank_keeps_its_rank() -> None:
    x = np.outer(drawn((6,)), drawn((8,), 1))
    values = np.linalg.svd(ORTH.reference(x), compute_uv=False) / math.sqrt(8)
    assert 0.67 < values[0] < 1.22
    assert np.all(values[1:] < 1e-10)


def test_arrays_of_a_tree_are_independent() -> None:
    program = parse("def train(w, g, lr):\n  update = orthogonalize(g)\n  return update\n")
    tree = [drawn((4, 3)), drawn((5,), 1), drawn((2, 2, 3), 2), drawn((), 3)]
    alone = [ORTH.reference(leaf) for leaf in tree]
    for whole, part in zip(reference_step(program, tree, tree, [], 1.0)[0], alone, strict=True):
        np.testing.assert_array_equal(whole, part)
    leaves = [jnp.asarray(leaf, jnp.float32) for leaf in tree]
    damaged = [leaves[0].at[0, 0].set(jnp.nan), *leaves[1:]]
    update, _ = jax.jit(lambda w, g: step(program, w, g, (), 1.0))(leaves, damaged)
    assert jnp.isnan(update[0]).all()
    for whole, part in zip(update[1:], alone[1:], strict=True):
        np.testing.assert_allclose(whole, part, atol=1e-5)
