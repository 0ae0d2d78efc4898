"""The function table: all functions that a program can call, one row per function.

Verification, execution, printing, export, fingerprints, generation and tests are derived from the rows.

Source: the functions are those of Chen et al. 2023 (arXiv:2302.06675), with their conventions: roots and logarithms use
the absolute value of the operand, and division adds ``GUARD`` to the divisor. Two cases are fixed here: ``clip`` and
``clip_by_global_norm`` use the absolute value of their limit, so that they are odd in their first operand.

Functions of matrices are not among them. They read an array with more than two axes as a matrix of its leading axes
against its last one, as the weights of a convolution; a vector is a matrix with one row, a scalar one with one entry.
``orthogonalize`` is the iteration of Muon (Jordan et al. 2024, Muon: an optimizer for hidden layers in neural
networks), with its five steps and coefficients.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from optsearch.dsl import definitions
from optsearch.dsl.laws import EVEN, NONE, ODD, Laws
from optsearch.dsl.rows import (
    ANY,
    COLUMN_BIT,
    GUARD,
    LEAVES,
    OPERATION_COST,
    ROW_BIT,
    SCALARS,
    WIDE,
    WITH_COLUMNS,
    WITH_ROWS,
    Function,
    Operation,
    Scope,
    constant,
    elementwise,
    of_absolute,
    reduction,
    unary,
)
from optsearch.dsl.types import Kind

__all__ = [
    "ANY",
    "EVEN",
    "FUNCTIONS",
    "GUARD",
    "LEAVES",
    "NONE",
    "ODD",
    "OPERATION_COST",
    "SCALARS",
    "Function",
    "Laws",
    "Operation",
    "Scope",
]

_ARITHMETIC, _DIVISION, _TRANSCENDENTAL = Operation.ARITHMETIC, Operation.DIVISION, Operation.TRANSCENDENTAL
_POSITIVE, _UNIT, _RIGHT_ANGLE = (0.0, math.inf), (-1.0, 1.0), math.pi / 2


def _jax_dot(jnp: Any, xs: list[Any], ys: list[Any]) -> Any:
    return sum((jnp.sum(x * y) for x, y in zip(xs, ys, strict=True)), start=jnp.float32(0.0))


def _jax_norm(jnp: Any, xs: list[Any]) -> Any:
    return jnp.sqrt(_jax_dot(jnp, xs, xs))


def _jax_cosine(jnp: Any, xs: list[Any], ys: list[Any]) -> Any:
    return _jax_dot(jnp, xs, ys) / (_jax_norm(jnp, xs) * _jax_norm(jnp, ys) + GUARD)


def _jax_clip_norm(jnp: Any, xs: list[Any], limit: Any) -> list[Any]:
    factor = jnp.minimum(1.0, jnp.abs(limit) / (_jax_norm(jnp, xs) + GUARD))
    return [x * factor for x in xs]


def _dot(xs: list[Any], ys: list[Any]) -> Any:
    return sum((np.sum(x * y) for x, y in zip(xs, ys, strict=True)), start=np.float64(0.0))


def _norm(xs: list[Any]) -> Any:
    return np.sqrt(_dot(xs, xs))


def _cosine(xs: list[Any], ys: list[Any]) -> Any:
    return _dot(xs, ys) / (_norm(xs) * _norm(ys) + GUARD)


def _clip_norm(xs: list[Any], limit: Any) -> list[Any]:
    factor = np.minimum(1.0, np.abs(limit) / (_norm(xs) + GUARD))
    return [x * factor for x in xs]


NEWTON_SCHULZ_STEPS = 5
NEWTON_SCHULZ = (3.4445, -4.775, 2.0315)
"""Coefficients of the odd polynomial ``a*x + b*x**3 + c*x**5`` that the iteration applies to singular values."""


def _orthogonalize(jnp: Any, x: Any, **precise: Any) -> Any:
    """The iteration in JAX or, with its module, in NumPy: every singular value goes to about 1, from 0.68 to 1.21.

    The array is divided by its largest magnitude first, so that squares neither overflow nor vanish. A NaN or an
    infinity makes all numbers of the array NaN. A matrix with one row or column is exactly divided by its norm.
    """
    columns = x.shape[-1] if x.ndim else 1
    rows = x.size // max(columns, 1)
    y = jnp.reshape(x, (rows, columns))
    y = y if rows <= columns else y.T
    largest = jnp.max(jnp.abs(y), initial=0.0)
    y = y / jnp.where(largest == 0.0, 1.0, largest)
    norm = jnp.sqrt(jnp.sum(y * y))
    y = y / jnp.where(norm == 0.0, 1.0, norm)
    a, b, c = NEWTON_SCHULZ
    for _ in range(NEWTON_SCHULZ_STEPS if min(rows, columns) > 1 else 0):
        gram = jnp.matmul(y, y.T, **precise)
        y = a * y + jnp.matmul(b * gram + c * jnp.matmul(gram, gram, **precise), y, **precise)
    y = y if rows <= columns else y.T
    return jnp.reshape(max(rows, columns) ** 0.5 * y, x.shape)


def _over_rows(x: Any) -> tuple[int, ...]:
    """Axes of the columns' entries: all but the last."""
    return tuple(range(x.ndim - 1))


def _over_columns(x: Any) -> tuple[int, ...]:
    """Axes of the rows' entries: the last one, which a scalar does not have."""
    return tuple(range(x.ndim))[-1:]


def _mean(jnp: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """Mean over axes, which keep a length of 1; 0 over an axis of length 0."""
    count = math.prod([x.shape[axis] for axis in axes])
    return jnp.sum(x, axis=axes, keepdims=True) / max(count, 1)


def _length(jnp: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """Euclidean norm over axes, which keep a length of 1."""
    return jnp.sqrt(jnp.sum(x * x, axis=axes, keepdims=True))


def _jax_log1p(jnp: Any, x: Any) -> Any:
    return jnp.where(x > -1.0, jnp.log1p(x), jnp.log(jnp.abs(1.0 + x)))


def _log1p(x: Any) -> Any:
    return np.where(np.greater(x, -1.0), np.log1p(np.maximum(x, -1.0)), np.log(np.abs(1.0 + np.asarray(x))))


def _guarded(x: Any) -> Any:
    return np.asarray(x) + GUARD


def _word(name: str) -> str:
    return rf"\operatorname{{{{{name}}}}}\left({{0}}\right)"


_ROWS = (
    # Constants
    constant("pi", math.pi, r"\pi"),
    constant("e", math.e, r"\mathrm{{e}}"),
    constant("eps", 1e-8, r"\epsilon"),
    # Operators
    elementwise("add", lambda jnp, x, y: x + y, np.add, "{0} + {1}", "{0} + {1}", WIDE, WIDE, infix="+",
        commutative=True, associative=True, identity=0.0, total=True),
    elementwise("subtract", lambda jnp, x, y: x - y, np.subtract, "{0} - {1}", "{0} - {1}", WIDE, WIDE, infix="-",
        identity=0.0, cancels=0.0, total=True),
    elementwise("multiply", lambda jnp, x, y: x * y, np.multiply, "{0} * {1}", r"{0} \cdot {1}", WIDE, WIDE, infix="*",
        commutative=True, associative=True, parity=(ODD, ODD), degree=(1.0, 1.0), identity=1.0, absorbing=0.0,
        total=True),
    elementwise("divide", lambda jnp, x, y: x / (y + GUARD), lambda x, y: x / _guarded(y), "{0} / ({1} + 1e-8)",
        r"\frac{{{0}}}{{{1} + 10^{{-8}}}}", WIDE, (0.1, 4.0), infix="/", operation=_DIVISION,
        parity=(ODD, NONE), degree=(1.0, None), identity=1.0, total=True),
    # Sign, powers and roots
    unary("abs", latex=r"\left|{0}\right|", parity=EVEN, degree=1.0, operation=_ARITHMETIC,
        idempotent=True, range=_POSITIVE, total=True),
    unary("sign", code=("jnp.sign({0})", "sign({0})"), latex=_word("sign"), parity=ODD, degree=0.0,
        operation=_ARITHMETIC, idempotent=True, range=_UNIT, keeps_sign=True, total=True,
        torch_definition=definitions.SIGN),
    unary("negative", (lambda jnp, x: -x, np.negative), "-{0}", "-{0}", parity=ODD, degree=1.0, operation=_ARITHMETIC,
        inverse="negative", total=True),
    unary("reciprocal", (lambda jnp, x: 1.0 / (x + GUARD), lambda x: 1.0 / _guarded(x)), "1.0 / ({0} + 1e-8)",
        r"\frac{{1}}{{{0} + 10^{{-8}}}}", domain=(0.1, 4.0), operation=_DIVISION, total=True),
    unary("square", (lambda jnp, x: x * x, np.square), "{0} * {0}", "{0}^2", parity=EVEN, degree=2.0,
        operation=_ARITHMETIC, range=_POSITIVE, total=True),
    unary("cube", (lambda jnp, x: x * x * x, lambda x: np.asarray(x) ** 3), "{0} * {0} * {0}", "{0}^3",
        parity=ODD, degree=3.0, operation=_ARITHMETIC, operations=2, inverse="cbrt", keeps_sign=True, total=True),
    of_absolute("sqrt", r"\sqrt{{\left|{0}\right|}}", degree=0.5, operation=_DIVISION, range=_POSITIVE, total=True),
    unary("cbrt", code=("jnp.cbrt({0})", "torch.sign({0}) * torch.abs({0}) ** (1 / 3)"), latex=r"\sqrt[3]{{{0}}}",
        parity=ODD, degree=1 / 3, inverse="cube", keeps_sign=True, total=True),
    # Exponentials and logarithms
    unary("exp", range=_POSITIVE, inverse="log"),
    unary("exp2", latex="2^{{{0}}}", range=_POSITIVE, inverse="log2"),
    unary("exp10", (lambda jnp, x: jnp.power(10.0, x), lambda x: np.power(10.0, x)), "10.0 ** {0}", "10^{{{0}}}",
        range=_POSITIVE, inverse="log10"),
    unary("expm1", latex=r"\left(\mathrm{{e}}^{{{0}}} - 1\right)", range=(-1.0, math.inf), inverse="log1p",
        keeps_sign=True),
    of_absolute("log", r"\ln\left|{0}\right|", domain=(0.1, 4.0), inverse="exp"),
    of_absolute("log2", r"\log_2\left|{0}\right|", domain=(0.1, 4.0), inverse="exp2"),
    of_absolute("log10", r"\log_{{10}}\left|{0}\right|", domain=(0.1, 4.0), inverse="exp10"),
    unary("log1p", (_jax_log1p, _log1p), "jnp.where({0} > -1.0, jnp.log1p({0}), jnp.log(jnp.abs(1.0 + {0})))",
        r"\ln\left|1 + {0}\right|", domain=(-0.9, 4.0), inverse="expm1"),
    # Trigonometric and hyperbolic functions and their inverses
    unary("sin", parity=ODD, domain=(-1.5, 1.5), inverse="arcsin", range=_UNIT, total=True),
    unary("cos", parity=EVEN, range=_UNIT, total=True),
    unary("tan", parity=ODD, domain=(-1.4, 1.4), inverse="arctan", total=True),
    unary("arcsin", parity=ODD, domain=(-0.95, 0.95), inverse="sin", range=(-_RIGHT_ANGLE, _RIGHT_ANGLE)),
    unary("arccos", domain=(-0.95, 0.95), inverse="cos", range=(0.0, math.pi)),
    unary("arctan", parity=ODD, inverse="tan", range=(-_RIGHT_ANGLE, _RIGHT_ANGLE), keeps_sign=True, total=True),
    unary("sinh", parity=ODD, inverse="arcsinh", keeps_sign=True),
    unary("cosh", parity=EVEN, range=(1.0, math.inf)),
    unary("tanh", parity=ODD, domain=(-2.0, 2.0), inverse="arctanh", range=_UNIT, keeps_sign=True, total=True),
    unary("arcsinh", latex=_word("arsinh"), parity=ODD, inverse="sinh", keeps_sign=True, total=True),
    unary("arccosh", latex=_word("arcosh"), domain=(1.1, 4.0), inverse="cosh", range=_POSITIVE),
    unary("arctanh", latex=_word("artanh"), parity=ODD, domain=(-0.9, 0.9), inverse="tanh"),
    # Several operands
    elementwise("power", lambda jnp, x, y: jnp.power(x, y), np.power, "{0} ** {1}", "{{{0}}}^{{{1}}}",
        (0.1, 4.0), (-2.0, 2.0), operation=_TRANSCENDENTAL, identity=1.0),
    elementwise("maximum", lambda jnp, x, y: jnp.maximum(x, y), np.maximum, "jnp.maximum({0}, {1})",
        r"\max\left({0}, {1}\right)", WIDE, WIDE, commutative=True, associative=True, idempotent=True, total=True),
    elementwise("minimum", lambda jnp, x, y: jnp.minimum(x, y), np.minimum, "jnp.minimum({0}, {1})",
        r"\min\left({0}, {1}\right)", WIDE, WIDE, commutative=True, associative=True, idempotent=True, total=True),
    elementwise("clip", lambda jnp, x, a: jnp.clip(x, -jnp.abs(a), jnp.abs(a)),
        lambda x, a: np.minimum(np.maximum(x, -np.abs(a)), np.abs(a)), "jnp.clip({0}, -jnp.abs({1}), jnp.abs({1}))",
        r"\operatorname{{clip}}\left({0}, {1}\right)", WIDE, WIDE,
        torch_code="torch.minimum(torch.maximum({0}, -torch.abs({1})), torch.abs({1}))",  # faster than torch.clip
        operations=2, associative=True, parity=(ODD, EVEN), idempotent=True, absorbing=0.0, total=True),
    elementwise("interp", lambda jnp, x, y, a: (1.0 - a) * x + a * y,
        lambda x, y, a: (1.0 - np.asarray(a)) * x + np.asarray(a) * y, "(1.0 - {2}) * {0} + {2} * {1}",
        r"\left(1 - {2}\right) {0} + {2} \, {1}", WIDE, WIDE, (-1.0, 2.0),
        operations=3, total=True),
    # Reductions
    reduction("norm", (LEAVES,), Kind.PER_LEAF,
        lambda jnp, x: jnp.sqrt(jnp.sum(x * x)), lambda x: np.sqrt(np.sum(x * x)),
        r"\left\|{0}\right\|_{{\mathrm{{leaf}}}}", scope=Scope.LEAF, code="jnp.sqrt(jnp.sum({0} * {0}))",
        parity=(EVEN,), degree=(1.0,), range=_POSITIVE, total=True),
    reduction("global_norm", (LEAVES,), Kind.SCALAR, _jax_norm, _norm, r"\left\|{0}\right\|",
        parity=(EVEN,), degree=(1.0,), range=_POSITIVE, total=True,
        definitions=definitions.NORM),
    reduction("dot", (LEAVES, LEAVES), Kind.SCALAR, _jax_dot, _dot, r"\left\langle {0}, {1} \right\rangle",
        commutative=True, parity=(ODD, ODD), degree=(1.0, 1.0), total=True,
        definitions=definitions.DOT),
    reduction("cosine_sim", (LEAVES, LEAVES), Kind.SCALAR, _jax_cosine, _cosine, r"\cos\angle\left({0}, {1}\right)",
        operations=3, commutative=True, parity=(ODD, ODD), degree=(None, None), range=_UNIT, total=True,
        definitions=definitions.COSINE),
    reduction("clip_by_global_norm", (LEAVES, SCALARS), Kind.LEAF, _jax_clip_norm, _clip_norm,
        r"\operatorname{{clip}}_{{\|\cdot\| \le {1}}}\left({0}\right)",
        operations=2, parity=(ODD, EVEN), degree=(None, None), absorbing=0.0, total=True,
        definitions=definitions.CLIP),
    # Rows and columns of matrices
    reduction("row_norm", (WITH_COLUMNS,), None,
        lambda jnp, x: _length(jnp, x, _over_columns(x)), lambda x: _length(np, x, _over_columns(x)),
        r"\left\|{0}\right\|_{{\mathrm{{row}}}}", scope=Scope.MATRIX, removes=COLUMN_BIT,
        parity=(EVEN,), degree=(1.0,), range=_POSITIVE, total=True, definitions=definitions.ROW_NORM),
    reduction("row_mean", (WITH_COLUMNS,), None,
        lambda jnp, x: _mean(jnp, x, _over_columns(x)), lambda x: _mean(np, x, _over_columns(x)),
        r"\operatorname{{mean}}_{{\mathrm{{row}}}}\left({0}\right)", scope=Scope.MATRIX, removes=COLUMN_BIT,
        parity=(ODD,), degree=(1.0,), total=True, definitions=definitions.ROW_MEAN),
    reduction("column_norm", (WITH_ROWS,), None,
        lambda jnp, x: _length(jnp, x, _over_rows(x)), lambda x: _length(np, x, _over_rows(x)),
        r"\left\|{0}\right\|_{{\mathrm{{column}}}}", scope=Scope.MATRIX, removes=ROW_BIT,
        parity=(EVEN,), degree=(1.0,), range=_POSITIVE, total=True, definitions=definitions.COLUMN_NORM),
    reduction("column_mean", (WITH_ROWS,), None,
        lambda jnp, x: _mean(jnp, x, _over_rows(x)), lambda x: _mean(np, x, _over_rows(x)),
        r"\operatorname{{mean}}_{{\mathrm{{column}}}}\left({0}\right)", scope=Scope.MATRIX, removes=ROW_BIT,
        parity=(ODD,), degree=(1.0,), total=True, definitions=definitions.COLUMN_MEAN),
    # Matrices
    reduction("orthogonalize", (LEAVES,), Kind.LEAF,
        lambda jnp, x: _orthogonalize(jnp, x, precision="highest"), lambda x: _orthogonalize(np, x),
        r"\operatorname{{orth}}\left({0}\right)", scope=Scope.MATRIX, operation=Operation.MATRIX,
        operations=6 * NEWTON_SCHULZ_STEPS, parity=(ODD,), degree=(0.0,), total=True,
        definitions=definitions.ORTHOGONALIZE),
)  # fmt: skip

FUNCTIONS: Mapping[str, Function] = MappingProxyType({row.name: row for row in _ROWS})
"""Every function by name, in the order of the opcodes."""

DEFAULT_FUNCTIONS = tuple(name for name, row in FUNCTIONS.items() if row.scope is not Scope.MATRIX)
"""Functions of a search that lists none: all but those of rows, columns and matrices, so that campaigns without a list
keep their meaning."""
