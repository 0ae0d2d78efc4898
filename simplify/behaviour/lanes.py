"""The domain of a simulation: every value has a row for each lane.

Functions of arrays or of the whole tree are evaluated for all lanes at once where ``TOGETHER`` has a form for it, and
lane by lane otherwise. A form is the function's reference with another axis in front.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from optsearch.dsl.functions import GUARD, LEAVES, NEWTON_SCHULZ, NEWTON_SCHULZ_STEPS, Function, Scope

Array = np.ndarray[Any, np.dtype[np.float64]]


def _dot(x: Array, y: Array) -> Array:
    return np.add.reduce(x * y, axis=-1, keepdims=True)


def _norm(x: Array) -> Array:
    return np.sqrt(_dot(x, x))


def _rows(x: Array) -> tuple[int, ...]:
    """Axes of the columns' entries: all but that of the lanes and the last."""
    return tuple(range(1, x.ndim - 1))


def _mean(x: Array, axes: tuple[int, ...]) -> Array:
    """The same as ``np.mean``, which takes five times as long for small arrays."""
    return np.add.reduce(x, axis=axes, keepdims=True) / math.prod([x.shape[axis] for axis in axes]) if axes else x


def _length(x: Array, axes: tuple[int, ...]) -> Array:
    return np.sqrt(np.add.reduce(x * x, axis=axes, keepdims=True))


def _orthogonalize(x: Array) -> Array:
    """The Newton-Schulz iteration on a stack of matrices; vectors count as matrices of one row."""
    rows, columns = int(np.prod(x.shape[1:-1])), x.shape[-1]
    y = x.reshape(len(x), rows, columns)
    y = y if rows <= columns else y.swapaxes(1, 2)
    largest = np.max(np.abs(y), axis=(1, 2), keepdims=True, initial=0.0)
    y = y / np.where(largest == 0.0, 1.0, largest)
    norm = np.sqrt(np.sum(y * y, axis=(1, 2), keepdims=True))
    y = y / np.where(norm == 0.0, 1.0, norm)
    a, b, c = NEWTON_SCHULZ
    for _ in range(NEWTON_SCHULZ_STEPS if min(rows, columns) > 1 else 0):
        gram = y @ y.swapaxes(1, 2)
        y = a * y + (b * gram + c * (gram @ gram)) @ y
    y = y if rows <= columns else y.swapaxes(1, 2)
    return (max(rows, columns) ** 0.5 * y).reshape(x.shape)


TOGETHER: Mapping[str, Callable[..., Array]] = {
    "norm": _norm,
    "global_norm": _norm,
    "dot": _dot,
    "cosine_sim": lambda x, y: _dot(x, y) / (_norm(x) * _norm(y) + GUARD),
    "clip_by_global_norm": lambda x, limit: x * np.minimum(1.0, np.abs(limit) / (_norm(x) + GUARD)),
    "row_norm": lambda x: _length(x, (x.ndim - 1,)),
    "row_mean": lambda x: _mean(x, (x.ndim - 1,)),
    "column_norm": lambda x: _length(x, _rows(x)),
    "column_mean": lambda x: _mean(x, _rows(x)),
    "orthogonalize": _orthogonalize,
}
"""Forms of functions for all lanes at once, of arrays ``(lanes, parameters)``, or ``(lanes, *shape)`` for matrices."""


class LanesDomain:
    """Leaves are ``(lanes, parameters)``, scalars ``(lanes, 1)``; reductions act on each lane separately.

    Args:
        lanes: number of lanes.
        shape: shape of the array that a lane's parameters form.
        together: forms of functions for all lanes at once. Defaults to ``TOGETHER``.
    """

    def __init__(self, lanes: int, shape: tuple[int, ...], together: Mapping[str, Callable[..., Array]] = TOGETHER):
        self._lanes, self._shape, self._together = lanes, shape, together

    def constant(self, value: float) -> Any:
        """A constant, which broadcasts."""
        return np.float64(value)

    def apply(self, function: Function, operands: list[Any]) -> Any:
        """Evaluates a function in every lane."""
        if function.scope is Scope.ELEMENT:
            return function.reference(*operands)
        if function.scope is Scope.MATRIX:
            return self._of_matrices(function, operands[0])
        if function.name in self._together:
            return self._together[function.name](*operands)
        rows = [
            np.broadcast_to(operand, (self._lanes, np.shape(operand)[-1] if np.ndim(operand) else 1))
            for operand in operands
        ]
        results: list[Any] = []
        for lane in range(self._lanes):
            args: list[Any] = []
            for row, kinds in zip(rows, function.operands, strict=True):
                leaf = kinds == LEAVES
                args.append(
                    [row[lane]] if leaf and function.scope is Scope.TREE else row[lane] if leaf else row[lane, 0]
                )
            result = function.reference(*args)
            results.append(np.ravel(result[0] if isinstance(result, list) else result))
        return np.stack(results)

    def _of_matrices(self, function: Function, operand: Array) -> Array:
        stack = operand.reshape(self._lanes, *self._shape)
        if function.name in self._together:
            found = self._together[function.name](stack)
        else:
            found = np.stack([np.broadcast_to(function.reference(one), self._shape) for one in stack])
        whole = np.empty(stack.shape)
        whole[...] = found
        return whole.reshape(self._lanes, -1)
