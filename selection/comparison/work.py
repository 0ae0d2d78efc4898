"""Arithmetic cost and state of an optimizer step per parameter, measured equally for programs and baselines.

The step is traced on a square matrix. Each operation of the trace counts the size of its result; a matrix product
counts all its multiplications and additions. Fusion and elimination by the compiler are not considered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

from optsearch.dsl.dataflow import prune
from optsearch.dsl.transform import to_transformation
from optsearch.selection.baselines.table import get_baseline
from optsearch.selection.contender import Contender

SIDE = 64
"""Rows and columns of the matrix."""

_FREE = frozenset(
    [
        "broadcast_in_dim",
        "convert_element_type",
        "reshape",
        "squeeze",
        "copy",
        "copy_p",
        "slice",
        "transpose",
        "stop_gradient",
        "concatenate",
        "expand_dims",
        "dynamic_slice",
        "dynamic_update_slice",
        "iota",
        "optimization_barrier",
    ]
)
"""Operations that only move or rename data."""

_INNER = ("jaxpr", "call_jaxpr", "body_jaxpr", "fun_jaxpr")


def operations_per_parameter(contender: Contender) -> float | None:
    """Arithmetic operations of one optimizer step per parameter of a square matrix, excluding the gradient.

    A baseline of torch counts as the one of optax with the same arithmetic; None if there is none.
    """
    import jax

    if (shapes := _shapes(contender)) is None:
        return None
    optimizer, weights, state = shapes
    traced = jax.make_jaxpr(lambda g, s, w: optimizer.update(g, s, w))(weights, state, weights)
    return _count(traced.jaxpr) / SIDE**2


def state_bytes_per_parameter(contender: Contender) -> float | None:
    """Bytes of optimizer state per parameter of a square matrix: 4 for each float32 array of its shape.

    None for a baseline of torch that has no counterpart in optax.
    """
    import jax

    if (shapes := _shapes(contender)) is None:
        return None
    _, _, state = shapes
    return float(sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state) if leaf.shape)) / SIDE**2


def _shapes(contender: Contender) -> tuple[Any, Any, Any] | None:
    """A contender's optimizer, and the shapes of the weights and of its state; None if optax has no such optimizer."""
    import jax
    import jax.numpy as jnp

    schedule: Callable[[Any], Any] = lambda count: jnp.float32(1e-3)  # noqa: E731
    if contender.program is not None:
        optimizer = to_transformation(prune(contender.program), schedule)
    elif contender.torch is not None:
        if not contender.torch.like:
            return None
        optimizer = get_baseline(contender.torch.like).optimizer(schedule)
    else:
        optimizer = contender.row.optimizer(schedule)
    weights = {"w": jax.ShapeDtypeStruct((SIDE, SIDE), jnp.float32)}
    return optimizer, weights, jax.eval_shape(optimizer.init, weights)


def _count(jaxpr: Any) -> float:
    """Counts the operations of a trace: all iterations of a loop if their number is known, the longest branch."""
    total = 0.0
    for equation in jaxpr.eqns:
        name, parameters = equation.primitive.name, equation.params
        if name == "cond":
            total += max(_count(branch.jaxpr) for branch in parameters["branches"])
        elif inner := [parameters[key] for key in _INNER if key in parameters]:
            total += _turns(parameters) * sum(_count(getattr(one, "jaxpr", one)) for one in inner)
        elif name == "dot_general":
            total += _product(equation, parameters)
        elif name not in _FREE:
            shapes = [v.aval.shape for v in (*equation.outvars, *equation.invars) if hasattr(v.aval, "shape")]
            total += max((float(prod(shape)) for shape in shapes), default=0.0)
    return total


def _turns(parameters: Mapping[str, Any]) -> int:
    return int(parameters.get("length", 1))


def _product(equation: Any, parameters: Mapping[str, Any]) -> float:
    (contracted, _), _ = parameters["dimension_numbers"]
    left = equation.invars[0].aval.shape
    return 2.0 * prod(equation.outvars[0].aval.shape) * prod(left[axis] for axis in contracted)
