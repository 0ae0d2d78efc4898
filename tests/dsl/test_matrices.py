"""Functions of matrices, rows and columns: against LAPACK and optax, at the edges, and the memory of state."""

from __future__ import annotations

import math
import runpy
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exported import made
from optax.contrib._muon import orthogonalize_via_newton_schulz

from optsearch.dsl.cost import cost
from optsearch.dsl.execute import first_state, reference_state, reference_step, step
from optsearch.dsl.export.optax import to_optax_source
from optsearch.dsl.export.torch import to_torch_source
from optsearch.dsl.functions import FUNCTIONS, NEWTON_SCHULZ, NEWTON_SCHULZ_STEPS, Function, Scope
from optsearch.dsl.generate import random_program
from optsearch.dsl.library import LIBRARY
from optsearch.dsl.program import Program
from optsearch.dsl.syntax import parse
from optsearch.dsl.types import Kind
from optsearch.dsl.verify import state_kinds, verify

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


KEEPING = [row for row in FUNCTIONS.values() if row.scope is Scope.MATRIX and not row.removes]


@pytest.mark.parametrize("shape", [*SHAPES, *VECTORS])
@pytest.mark.parametrize("row", KEEPING, ids=lambda row: row.name)
def test_the_transposed_matrix_gives_the_transposed_result(row: Function, shape: tuple[int, ...]) -> None:
    x = drawn(shape)
    np.testing.assert_allclose(row.reference(as_matrix(x).T).T, as_matrix(row.reference(x)), atol=1e-9)


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


ADAFACTOR_LIKE = parse(
    """def train(w, g, r, c, m, lr):
  g2 = square(g)
  rows = row_mean(g2)
  columns = column_mean(g2)
  r = interp(rows, r, 0.9)
  c = interp(columns, c, 0.9)
  size = row_mean(c)
  v = r * c
  v = v / size
  v = sqrt(v)
  m = interp(g, m, 0.9)
  update = m / v
  update = update * lr
  return update, r, c, m
"""
)
LEAVES = ((4, 3), (5,), (), (2, 2, 3))


def tree(seed: int) -> list[np.ndarray]:
    return [drawn(shape, seed + place) for place, shape in enumerate(LEAVES)]


def test_state_takes_the_memory_that_its_values_need() -> None:
    assert state_kinds(ADAFACTOR_LIKE) == (Kind.PER_ROW, Kind.PER_COLUMN, Kind.LEAF)
    assert [[x.shape for x in state] for state in first_state(ADAFACTOR_LIKE, tree(0))] == [
        [(4, 1), (1,), (), (2, 2, 1)],
        [(1, 3), (5,), (), (1, 1, 3)],
        list(LEAVES),
    ]
    assert cost(ADAFACTOR_LIKE).state == 1


def test_compact_state_gives_the_same_updates_as_state_of_every_parameter() -> None:
    compact: Sequence[object] = reference_state(ADAFACTOR_LIKE, tree(0))
    whole: Sequence[object] = [[np.zeros(shape) for shape in LEAVES] for _ in range(3)]
    for number in range(5):
        g = tree(10 * number + 1)
        one, compact = reference_step(ADAFACTOR_LIKE, tree(0), g, compact, 0.1)  # pyright: ignore[reportArgumentType]
        other, whole = reference_step(ADAFACTOR_LIKE, tree(0), g, whole, 0.1)  # pyright: ignore[reportArgumentType]
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
        assert [x.shape for x in compact[0]] == [(4, 1), (1,), (), (2, 2, 1)]


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        ("s = interp(row_norm(g), s, 0.9)", (Kind.PER_ROW,)),
        ("s = interp(column_norm(g), s, 0.9)", (Kind.PER_COLUMN,)),
        ("s = interp(norm(g), s, 0.9)", (Kind.LEAF,)),
        ("s = s * 0.9", (Kind.LEAF,)),
        ("s = interp(row_norm(g), s, 0.9)\n  s = s + column_norm(g)", (Kind.LEAF,)),
        ("s = interp(row_norm(g), s, 0.9)\n  d = dot(s, g)\n  update = update * d", (Kind.LEAF,)),
    ],
)
def test_smallest_kinds(body: str, kinds: tuple[Kind, ...]) -> None:
    lines = [line.strip() for line in body.split("\n")]
    statements = ["update = g * lr"]
    for line in lines:  # one call a statement
        inner = [part for part in ("row_norm(g)", "column_norm(g)", "norm(g)") if part in line]
        if inner:
            statements.append(f"x = {inner[0]}")
            line = line.replace(inner[0], "x")
        statements.append(line)
    program = parse("def train(w, g, s, lr):\n" + "".join(f"  {x}\n" for x in statements) + "  return update, s\n")
    assert state_kinds(program) == kinds


@pytest.mark.parametrize("count", [600, pytest.param(4_000, marks=pytest.mark.slow)])
def test_generated_programs_keep_the_shapes_of_their_state(count: int) -> None:
    rng = np.random.default_rng(5)
    chosen = [FUNCTIONS[n] for n in ("row_mean", "row_norm", "column_mean", "column_norm", "interp", "add")]
    narrow = 0
    for _ in range(count):
        program = random_program(rng, state=("m", "v"), statements=8, functions=chosen)
        verify(program)
        state: Sequence[Sequence[np.ndarray]] = reference_state(program, tree(0))
        shapes = [[x.shape for x in variable] for variable in state]
        narrow += any(kind is not Kind.LEAF for kind in state_kinds(program))
        for number in range(2):
            update, state = reference_step(program, tree(0), tree(number), state, 0.1)
            assert [[x.shape for x in variable] for variable in state] == shapes, program
            assert [x.shape for x in update] == list(LEAVES), program
    assert narrow > count / 800


def test_exported_optax_keeps_compact_state(tmp_path: Path) -> None:
    path = tmp_path / "made.py"
    path.write_text(to_optax_source(ADAFACTOR_LIKE))
    optimizer = made(runpy.run_path(str(path))["optimizer"], 0.1)
    params = [jnp.asarray(x, jnp.float32) for x in tree(0)]
    state, expected = optimizer.init(params), first_state(ADAFACTOR_LIKE, params)
    assert [x.shape for x in state.r] == [(4, 1), (1,), (), (2, 2, 1)]
    for number in range(3):
        g = [jnp.asarray(x, jnp.float32) for x in tree(10 * number + 1)]
        updates, state = optimizer.update(g, state, params)
        change, expected = step(ADAFACTOR_LIKE, params, g, expected, 0.1)
        for a, b in zip(updates, change, strict=True):
            np.testing.assert_allclose(a, -b, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["muon", "orthogonal-adamw", "adafactor"])
def test_exported_torch_matches(name: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "made.py"
    path.write_text(to_torch_source(LIBRARY[name]))
    params = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in tree(0)]
    optimizer = made(runpy.run_path(str(path))["Optimizer"], 0.1, params)
    w: list[np.ndarray] = tree(0)
    state: Sequence[Sequence[np.ndarray]] = reference_state(LIBRARY[name], w)
    for number in range(3):
        g = tree(10 * number + 1)
        for p, gradient in zip(params, g, strict=True):
            p.grad = torch.tensor(gradient)
        optimizer.step()
        update, state = reference_step(LIBRARY[name], w, g, state, 0.1)
        w = [a - b for a, b in zip(w, update, strict=True)]
        for p, expected in zip(params, w, strict=True):
            np.testing.assert_allclose(p.detach().numpy(), expected, rtol=1e-6, atol=1e-9)


OF_MATRICES = [row.name for row in FUNCTIONS.values() if row.scope is Scope.MATRIX]
ON_VECTORS = {
    "row_norm": lambda x: np.full(x.shape, np.linalg.norm(x)),
    "row_mean": lambda x: np.full(x.shape, x.mean()),
    "column_norm": np.abs,
    "column_mean": lambda x: x,
    "orthogonalize": lambda x: x / np.sqrt(np.mean(x**2)),
}
"""What functions of matrices are on a vector, which is a matrix of one row."""


def called(name: str) -> Program:
    return parse(f"def train(w, g, lr):\n  x = {name}(g)\n  update = x + w\n  update = update * lr\n  return update\n")


@pytest.mark.parametrize("name", OF_MATRICES)
def test_every_function_of_matrices_is_defined_on_vectors(name: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    program, zeros = called(name), [np.zeros(7), np.zeros(3)]
    g = [drawn((7,)), drawn((3,), 1)]
    expected = [ON_VECTORS[name](x) for x in g]
    single = [jnp.asarray(x, jnp.float32) for x in g]
    found = {
        "reference": reference_step(program, zeros, g, [], 1.0)[0],
        "jax": step(program, [0.0 * x for x in single], single, (), 1.0)[0],
    }
    path = tmp_path / "optax_file.py"
    path.write_text(to_optax_source(program))
    optimizer, start = made(runpy.run_path(str(path))["optimizer"], 1.0), [jnp.zeros(7), jnp.zeros(3)]
    found["optax"] = [-u for u in optimizer.update(single, optimizer.init(start), start)[0]]
    path = tmp_path / "torch_file.py"
    path.write_text(to_torch_source(program))
    weights = [torch.zeros(7, requires_grad=True), torch.zeros(3, requires_grad=True)]
    for w, x in zip(weights, g, strict=True):
        w.grad = torch.tensor(x, dtype=torch.float32)
    made(runpy.run_path(str(path))["Optimizer"], 1.0, weights).step()
    found["torch"] = [-w.detach().numpy() for w in weights]
    for way, arrays in found.items():
        for one, other in zip(arrays, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7, err_msg=way)


@pytest.mark.parametrize("name", OF_MATRICES)
def test_every_function_of_matrices_is_defined_on_a_tree_without_arrays(name: str, tmp_path: Path) -> None:
    program = called(name)
    assert step(program, {}, {}, (), 1.0) == ({}, ())
    path = tmp_path / "made.py"
    path.write_text(to_optax_source(program))
    optimizer = made(runpy.run_path(str(path))["optimizer"], 0.1)
    assert optimizer.update({}, optimizer.init({}), {})[0] == {}


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 3)])
@pytest.mark.parametrize("name", OF_MATRICES)
def test_exported_files_take_empty_arrays(name: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "optax_file.py"
    path.write_text(to_optax_source(called(name)))
    optimizer, params = made(runpy.run_path(str(path))["optimizer"], 0.1), [jnp.zeros(shape), jnp.ones((2, 2))]
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    assert [u.shape for u in updates] == [shape, (2, 2)]
    path = tmp_path / "torch_file.py"
    path.write_text(to_torch_source(called(name)))
    weights = [torch.zeros(shape, requires_grad=True), torch.ones((2, 2), requires_grad=True)]
    for w in weights:
        w.grad = torch.ones_like(w)
    made(runpy.run_path(str(path))["Optimizer"], 0.1, weights).step()
    np.testing.assert_allclose(weights[1].detach().numpy(), 1.0 + updates[1], atol=1e-6)
