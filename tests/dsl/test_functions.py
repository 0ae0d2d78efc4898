"""Every row of the function table and every law of each row; all tests iterate over the table."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from optsearch.dsl.functions import ANY, EVEN, FUNCTIONS, LEAVES, ODD, Function, Operation, Scope
from optsearch.dsl.program import Program, Statement
from optsearch.dsl.syntax import format, parse
from optsearch.dsl.types import Kind
from optsearch.dsl.verify import result_kind

ROWS = list(FUNCTIONS.values())
UNARY = [row for row in ROWS if row.arity == 1 and row.scope is Scope.ELEMENT]
SHAPES = ((4, 3), (5,), ())
LAW_TOLERANCE = 3e-8  # the guard of divisions, 1e-8, is within it


@pytest.fixture(autouse=True)
def _silent() -> Iterator[None]:
    """Leaving a function's domain is part of what is tested."""
    with np.errstate(all="ignore"):
        yield


def rows(condition: Callable[[Function], bool] = lambda row: True) -> Any:
    """Parametrizes over the rows for which the condition holds."""
    chosen = [row for row in ROWS if condition(row)]
    return pytest.mark.parametrize("row", chosen, ids=[row.name for row in chosen])


def sample(row: Function, seed: int = 0, kind: Kind = Kind.LEAF, dtype: type = np.float64) -> list[Any]:
    """Operands in the row's domain: arrays or lists of arrays as its scope asks, the ends of the domain included."""
    rng = np.random.default_rng(seed)

    def array(interval: tuple[float, float], shape: tuple[int, ...]) -> np.ndarray:
        drawn = np.array(rng.uniform(*interval, shape))
        if drawn.size > 3:
            drawn.flat[:2] = interval
        return drawn.astype(dtype)

    operands: list[Any] = []
    for interval, accepted in zip(row.domain, row.operands, strict=True):
        wide = kind in accepted and kind is Kind.LEAF
        if row.scope is Scope.TREE:
            operands.append([array(interval, shape) for shape in SHAPES] if wide else array(interval, ()))
        else:
            shape = (8, 6) if row.scope is Scope.MATRIX else (64,)
            operands.append(array(interval, shape if wide else ()))
    return operands


def as_jax(operands: list[Any]) -> list[Any]:
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), operands)


def arrays(result: Any) -> list[np.ndarray]:
    return [np.asarray(x, np.float64) for x in (result if isinstance(result, list) else [result])]


def assert_close(one: Any, other: Any, tolerance: float = 2e-6) -> None:
    for a, b in zip(arrays(one), arrays(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# --- Meanings


@rows()
def test_eager_is_jit_is_reference(row: Function) -> None:
    for kind, seed in ((Kind.LEAF, 0), (Kind.LEAF, 1), (Kind.SCALAR, 2)):
        if kind is Kind.SCALAR and LEAVES in row.operands:
            continue
        operands = sample(row, seed, kind, np.float32)
        exact = row.reference(
            *[
                [x.astype(np.float64) for x in o]
                if isinstance(o, list)
                else np.float64(o)
                if o.ndim == 0
                else o.astype(np.float64)
                for o in operands
            ]
        )
        eager = row.jax(jnp, *as_jax(operands))
        compiled = jax.jit(lambda *args: row.jax(jnp, *args))(*as_jax(operands))
        assert_close(eager, exact, 5e-6 if row.scope is not Scope.MATRIX else 1e-5)
        assert_close(compiled, eager, 1e-6 if row.scope is not Scope.MATRIX else 1e-5)  # products add in any order
        assert all(np.asarray(x).dtype == np.float32 for x in jax.tree.leaves(eager))
        assert all(np.asarray(x).dtype == np.float64 for x in jax.tree.leaves(exact))


@rows()
def test_declared_signature_is_what_jax_gives(row: Function) -> None:
    """Every mixture of kinds that the row accepts, on a tree."""
    leaves = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in SHAPES]
    scalar = jax.ShapeDtypeStruct((), jnp.float32)
    for kinds in itertools.product(*(sorted(accepted) for accepted in row.operands)):
        expected = result_kind(row, kinds).shapes(SHAPES)
        if row.scope is Scope.TREE:
            operands = [leaves if kind is Kind.LEAF else scalar for kind in kinds]
            result = jax.eval_shape(lambda *args: row.jax(jnp, *args), *operands)
            assert tuple(x.shape for x in jax.tree.leaves(result)) == expected
            continue
        found: list[tuple[int, ...]] = []
        for place in range(len(SHAPES)):
            operands = [scalar if k is Kind.SCALAR else jax.ShapeDtypeStruct(k.shapes(SHAPES)[place], jnp.float32)
                        for k in kinds]  # fmt: skip
            found.append(jax.eval_shape(lambda *args: row.jax(jnp, *args), *operands).shape)
        ones = all(set(shape) <= {1} for shape in (*found, *expected))  # a mean of means keeps its axes
        assert tuple(found) == expected or ones


@rows()
def test_jax_code_is_the_jax_meaning(row: Function) -> None:
    """The template, as a tiny interpreter of expressions reads it, since nothing here evaluates text."""
    if row.jax_definition:
        assert row.jax_code.startswith(f"{row.name}(")  # the exported file defines it: see test_export
        return
    if row.arity == 0:
        assert float(row.jax_code) == pytest.approx(float(row.jax(jnp)))
        return
    operands = as_jax(sample(row, 3))
    text = row.jax_code.format(*"abc"[: row.arity])
    assert_close(evaluated(text, dict(zip("abc", operands, strict=False)), {"jnp": jnp}), row.jax(jnp, *operands))


@rows()
def test_torch_code_is_the_jax_meaning(row: Function) -> None:
    torch = pytest.importorskip("torch")
    if row.torch_definition:
        assert row.torch_code.startswith(f"{row.name}(")  # the exported file defines it: see test_export_torch
        return
    if row.arity == 0:
        assert float(row.torch_code) == pytest.approx(float(row.jax(jnp)))
        return
    operands = sample(row, 4, dtype=np.float32)
    text = row.torch_code.format(*"abc"[: row.arity])
    tensors = dict(zip("abc", map(torch.tensor, operands), strict=False))
    result = evaluated(text, tensors, {"torch": torch})
    assert_close(result.numpy(), row.jax(jnp, *as_jax(operands)), 5e-6)


SPECIAL = (math.nan, math.inf, -math.inf, 0.0, -1.0, 0.5, 2.0, -1e300, 1e300)


@rows()
def test_torch_code_keeps_what_is_not_finite(row: Function) -> None:
    torch = pytest.importorskip("torch")
    if row.scope is not Scope.ELEMENT or row.arity == 0 or row.name == "sign":
        return
    operands = np.array(list(itertools.product(SPECIAL, repeat=row.arity))).T
    text = row.torch_code.format(*"abc"[: row.arity])
    result = evaluated(text, dict(zip("abc", map(torch.tensor, operands), strict=False)), {"torch": torch}).numpy()
    with np.errstate(all="ignore"):
        expected = row.reference(*operands)
    np.testing.assert_array_equal(np.isnan(result), np.isnan(expected))
    infinite = np.isinf(expected)
    np.testing.assert_array_equal(result[infinite], expected[infinite])


def evaluated(text: str, values: dict[str, Any], modules: dict[str, Any]) -> Any:
    """The value of an arithmetic expression over arrays."""
    import ast
    import operator

    binary = {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.Div: operator.truediv,
        ast.Pow: operator.pow,
        ast.Gt: operator.gt,
    }

    def visit(node: ast.AST) -> Any:
        match node:
            case ast.Constant(value):
                return value
            case ast.Name(name):
                return values[name] if name in values else modules[name]
            case ast.Attribute(value, name):
                return getattr(visit(value), name)
            case ast.Call(function, args):
                return visit(function)(*map(visit, args))
            case ast.UnaryOp(ast.USub(), operand):
                return -visit(operand)
            case ast.BinOp(left, op, right):
                return binary[type(op)](visit(left), visit(right))
            case ast.Compare(left, [op], [right]):
                return binary[type(op)](visit(left), visit(right))
        raise TypeError(ast.dump(node))

    return visit(ast.parse(text, mode="eval").body)


# --- Text


@rows()
def test_prints_and_parses(row: Function) -> None:
    names = ["lr" if Kind.SCALAR in accepted else "w" for accepted in row.operands]
    body = (Statement("x", row.name, tuple(names)), Statement("update", "add", ("w", "x")))
    program = Program((), body)
    assert parse(format(program)) == program
    assert (f" {row.infix} " in str(body[0])) == (row.infix is not None)


@rows()
def test_latex_takes_the_operands(row: Function) -> None:
    text = row.latex.format(*(f"<{index}>" for index in range(row.arity)))
    assert all(f"<{index}>" in text for index in range(row.arity))
    assert text.count("{") == text.count("}")
    assert text.count(r"\left") == text.count(r"\right")


@rows()
def test_rows_are_complete(row: Function) -> None:
    assert len(row.domain) == row.arity
    assert all(low < high for low, high in row.domain)
    assert len(row.laws.parity) == len(row.laws.degree) == row.arity
    assert (row.operation is Operation.CONSTANT) == (row.arity == 0)
    assert (row.cost > 0.0) == (row.arity > 0)
    assert row.result is None or row.scope is not Scope.ELEMENT
    assert FUNCTIONS[row.name] is row
    assert row.signature.startswith("(")


def test_every_function_of_the_method_is_there() -> None:
    published = (
        "pi e eps abs cos sin tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh exp exp2 exp10 expm1 log "
        "log2 log10 log1p square sqrt cube cbrt sign reciprocal negative norm global_norm dot cosine_sim "
        "clip_by_global_norm add subtract multiply divide power maximum minimum clip interp"
    )
    assert set(published.split()) <= set(FUNCTIONS)


# --- Laws: what is declared holds, what holds is declared


def holds(one: Any, other: Any) -> bool:
    """Equality up to rounding wherever either is finite."""
    return all(
        np.allclose(a, b, rtol=LAW_TOLERANCE, atol=1e-14, equal_nan=True)
        for a, b in zip(arrays(one), arrays(other), strict=True)
    )


def scaled(operand: Any, factor: float) -> Any:
    return [factor * x for x in operand] if isinstance(operand, list) else factor * operand


def changed(operands: list[Any], position: int, value: Any) -> list[Any]:
    return [*operands[:position], value, *operands[position + 1 :]]


@rows(lambda row: row.arity == 2 and row.operands[0] == row.operands[1])
def test_commutative(row: Function) -> None:
    x, y = sample(row)
    assert holds(row.reference(x, y), row.reference(y, x)) == row.laws.commutative


@rows(lambda row: row.operands == (ANY, ANY))
def test_associative(row: Function) -> None:
    f, ((x, y), (z, _)) = row.reference, (sample(row), sample(row, 1))
    assert holds(f(f(x, y), z), f(x, f(y, z))) == row.laws.associative


@rows(lambda row: row.arity > 0)
def test_parity(row: Function) -> None:
    operands = sample(row)
    plain = row.reference(*operands)
    for position, declared in enumerate(row.laws.parity):
        turned = row.reference(*changed(operands, position, scaled(operands[position], -1.0)))
        odd, even = holds(turned, scaled(plain, -1.0)), holds(turned, plain)
        assert declared == (ODD if odd else EVEN if even else 0), f"operand {position + 1}"


@rows(lambda row: row.arity > 0)
def test_degree(row: Function) -> None:
    degrees = (-2.0, -1.0, -0.5, 0.0, 1 / 3, 0.5, 1.0, 1.5, 2.0, 3.0)
    cases = [sample(row), changed(sample(row, 1), 0, scaled(sample(row, 1)[0], 0.1))]  # a limit that binds, and one not
    for position, declared in enumerate(row.laws.degree):
        found = [
            degree
            for degree in degrees
            if all(
                holds(
                    row.reference(*changed(operands, position, scaled(operands[position], factor))),
                    scaled(row.reference(*operands), factor**degree),
                )
                for operands in cases
                for factor in (1e-6, 0.5, 2.0)
            )
        ]
        assert found == ([] if declared is None else [declared]), f"operand {position + 1}"


@rows(lambda row: row in UNARY or row.operands == (ANY, ANY))
def test_idempotent(row: Function) -> None:
    operands = sample(row)
    once = row.reference(*operands)
    if row.arity == 1:
        assert holds(row.reference(once), once) == row.laws.idempotent
    else:
        assert holds(row.reference(operands[0], operands[0]), operands[0]) == row.laws.idempotent


@rows(lambda row: row.arity == 2 and Kind.SCALAR in row.operands[1])
def test_identity_and_absorbing_elements(row: Function) -> None:
    x = sample(row)[0]
    tried = (-1.0, 0.0, 0.5, 1.0, 2.0, math.e)
    results = {z: row.reference(x, np.float64(z)) for z in tried}
    identities = [z for z in tried if holds(results[z], x)]
    absorbing = [z for z in tried if all(holds(np.full_like(part, z), part) for part in arrays(results[z]))]
    assert identities == ([] if row.laws.identity is None else [row.laws.identity])
    assert absorbing == ([] if row.laws.absorbing is None else [row.laws.absorbing])


@rows(lambda row: row.operands == (ANY, ANY))
def test_cancels(row: Function) -> None:
    x = np.array([1e-8, 0.1, 0.3, 2.0, 3.5])
    result = row.reference(x, x)
    constant = holds(result, np.full_like(x, result[0]))
    assert row.laws.cancels == (result[0] if constant else None)


@pytest.mark.parametrize("row", UNARY, ids=[row.name for row in UNARY])
def test_inverse(row: Function) -> None:
    (x,) = sample(row)
    found = [other.name for other in UNARY if holds(other.reference(row.reference(x)), x)]
    assert found == ([] if row.laws.inverse is None else [row.laws.inverse])


@rows(lambda row: row.arity > 0 and row.scope in (Scope.ELEMENT, Scope.LEAF))
def test_range(row: Function) -> None:
    """The least and the largest result over operands of every size are the declared ones."""
    near_one = [1.0, 1.0 - 1e-12, -1.0, 1e-12 - 1.0]
    sizes = np.concatenate([sign * np.logspace(-6, 6, 400) for sign in (-1, 1)])
    grid = np.concatenate([[0.0], near_one, sizes, np.linspace(-7, 7, 2001)])
    rng = np.random.default_rng(0)
    if row.arity == 1:
        values = np.array([row.reference(np.array([x])) for x in grid])
    else:
        values = row.reference(*(rng.permutation(np.tile(grid, 4)) for _ in range(row.arity)))
    values = values[~np.isnan(values)]
    for found, declared in ((values.min(), row.laws.range[0]), (values.max(), row.laws.range[1])):
        if math.isinf(declared):
            assert abs(found) > 5.0
        else:
            assert found == pytest.approx(declared, abs=1e-5)
    assert row.laws.range[0] - 1e-12 <= values.min()
    assert values.max() <= row.laws.range[1] + 1e-12


@rows(lambda row: row.scope in (Scope.TREE, Scope.MATRIX))
def test_range_over_trees(row: Function) -> None:
    values = []
    for seed in range(50):
        operands = sample(row, seed)
        cases = [operands]
        if row.arity == 2 and row.operands[0] == row.operands[1]:
            cases += [[operands[0], operands[0]], [operands[0], scaled(operands[0], -1.0)]]
        values += [np.ravel(part) for case in cases for part in arrays(row.reference(*case))]
        values += [np.ravel(part) for part in arrays(row.reference(*[scaled(x, 0.0) for x in operands]))]
    flat = np.concatenate(values)
    for found, declared in ((flat.min(), row.laws.range[0]), (flat.max(), row.laws.range[1])):
        assert abs(found) > 0.5 if math.isinf(declared) else found == pytest.approx(declared, abs=1e-6)


@pytest.mark.parametrize("row", UNARY, ids=[row.name for row in UNARY])
def test_keeps_sign(row: Function) -> None:
    x = np.concatenate([[0.0], *(sign * np.logspace(-6, 3, 200) for sign in (-1, 1)), np.linspace(-7, 7, 1001)])
    result = row.reference(x)
    assert bool(np.all(np.sign(result) == np.sign(x))) == row.laws.keeps_sign


@rows(lambda row: row.scope is not Scope.TREE and row.arity > 0)
def test_total(row: Function) -> None:
    grid = [0.0, *(sign * size for size in (1e-4, 0.5, 1.0, 3.0, 10.0, 100.0, 9999.0) for sign in (1.0, -1.0))]
    points = np.array(list(itertools.product(grid, repeat=row.arity))).T
    result = row.reference(*points) if row.scope is Scope.ELEMENT else row.reference(points[0])
    assert bool(np.all(np.isfinite(result))) == row.laws.total
