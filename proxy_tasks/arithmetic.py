"""Multiply-adds of the matrix products and convolutions of a function, counted in its trace."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any


def multiply_adds(function: Callable[..., Any], *arguments: Any) -> int:
    """Counts the multiply-adds of products in a call; nothing is computed.

    A loop of known length counts all its iterations, another loop one. Of branches the most expensive counts.

    Args:
        function: the function.
        *arguments: its arguments, or their shapes as `jax.ShapeDtypeStruct`.
    """
    import jax

    return _count(jax.make_jaxpr(function)(*arguments).jaxpr)


def _count(jaxpr: Any) -> int:
    total = 0
    for equation in jaxpr.eqns:
        name, parameters = equation.primitive.name, equation.params
        if name == "dot_general":
            (contracted, _), _ = parameters["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            total += prod(equation.outvars[0].aval.shape) * prod(shape[axis] for axis in contracted)
        elif name == "conv_general_dilated":
            kernel, features = equation.invars[1].aval.shape, parameters["dimension_numbers"].rhs_spec[0]
            total += prod(equation.outvars[0].aval.shape) * prod(kernel) // max(kernel[features], 1)
        else:
            counts = [_count(inner) for inner in _functions(parameters)]
            total += parameters.get("length", 1) * (max if name == "cond" else sum)(counts or [0])
    return total


def _functions(parameters: dict[str, Any]) -> list[Any]:
    """The functions among the parameters of an operation."""
    found = [one for value in parameters.values() for one in (value if isinstance(value, tuple) else (value,))]
    return [inner for one in found if hasattr(inner := getattr(one, "jaxpr", one), "eqns")]
