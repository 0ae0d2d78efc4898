"""Execution of one step of a program on a parameter tree. This module defines the semantics of the language.

``step`` runs in JAX at the precision of the parameters, but at least float32 (in bfloat16, 0.999 rounds to 1).
``reference_step`` runs in float64 NumPy, through the table's reference column, as an independent oracle. Faster forms
(the trainer's interpreter, exported files) are tested against these two.

A scalar is represented as one array; a value of any other kind as a list with one array per leaf.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from optsearch.dsl.functions import Function, Scope
from optsearch.dsl.program import LR, OUTPUT, G, Program, W
from optsearch.dsl.verify import state_kinds
from optsearch.dsl.walk import Domain, walk

if TYPE_CHECKING:
    from jax.typing import ArrayLike

Tree = Any
"""A pytree of arrays: the parameters of a model, or any pytree with the same structure."""


def apply_on_tree(meaning: Callable[..., Any], scope: Scope, operands: Sequence[Any]) -> Any:
    """Applies a function to scalars and lists of leaves, according to its scope."""
    if scope is Scope.TREE:
        return meaning(*operands)
    count = next((len(operand) for operand in operands if isinstance(operand, list)), None)
    if count is None:
        return meaning(*operands)
    columns = [operand if isinstance(operand, list) else [operand] * count for operand in operands]
    return [meaning(*column) for column in zip(*columns, strict=True)]


class _JaxDomain:
    """Values are JAX arrays of one floating-point dtype.

    Each value is opaque to the compiler. Otherwise XLA would rewrite across statements by laws of real numbers, such as
    ``(x * a) * b`` to ``x * (a * b)`` or ``log(exp(x))`` to ``x``. A program could then overflow in the interpreter and
    not in the compiled loop, or the reverse.
    """

    def __init__(self, dtype: Any):
        import jax
        import jax.numpy as jnp

        self._jax, self._jnp, self._dtype = jax, jnp, dtype

    def constant(self, value: float) -> Any:
        return self._opaque(self._jnp.asarray(value, self._dtype))

    def apply(self, function: Function, operands: list[Any]) -> Any:
        def meaning(*args: Any) -> Any:
            return function.jax(self._jnp, *args)

        result = apply_on_tree(meaning, function.scope, operands)
        return self._opaque(result) if operands else self.constant(result)

    def _opaque(self, value: Any) -> Any:
        return self._jax.tree.map(self._jax.lax.optimization_barrier, value)


class _ReferenceDomain:
    """Values are float64 NumPy arrays."""

    def constant(self, value: float) -> Any:
        return np.float64(value)

    def apply(self, function: Function, operands: list[Any]) -> Any:
        return apply_on_tree(function.reference, function.scope, operands)


def step(program: Program, w: Tree, g: Tree, state: Sequence[Tree], lr: ArrayLike) -> tuple[Tree, tuple[Tree, ...]]:
    """One optimizer step in JAX. The caller then computes ``w = w - update``.

    Args:
        program: a verified program.
        w: the parameters, a pytree of floating-point arrays.
        g: the gradient, with the structure and shapes of ``w``.
        state: one tree per variable of ``program.state``, with the structure of ``w``; at first that of `first_state`.
        lr: value of the learning-rate schedule at this step, a scalar.

    Returns:
        The update with the structure, shapes and dtypes of ``w``, and the new state with those of ``state``.
    """
    import jax
    import jax.numpy as jnp

    leaves, structure = jax.tree.flatten(w)
    dtype = jnp.promote_types(jnp.result_type(*leaves), jnp.float32) if leaves else jnp.float32
    like = [leaves, *(jax.tree.leaves(tree) for tree in state)]
    trees = [[jnp.asarray(x, dtype) for x in tree] for tree in (leaves, jax.tree.leaves(g), *like[1:])]
    outputs = _outputs(program, trees, jnp.asarray(lr, dtype), _JaxDomain(dtype))
    update, *new_state = (
        jax.tree.unflatten(structure, [x.astype(old.dtype) for x, old in zip(output, tree, strict=True)])
        for output, tree in zip(outputs, like, strict=True)
    )
    return update, tuple(new_state)


def first_state(program: Program, w: Tree) -> tuple[Tree, ...]:
    """The state before the first step: zeros, in the precision of the parameters but at least float32.

    Args:
        program: a verified program.
        w: the parameters, a pytree of arrays or of their shapes.

    Returns:
        One tree per variable of ``program.state``, with the structure of ``w`` and the shapes of the variable's kind.
    """
    import jax
    import jax.numpy as jnp

    leaves, structure = jax.tree.flatten(w)
    shapes = tuple(jnp.shape(leaf) for leaf in leaves)
    dtypes = [jnp.promote_types(jnp.result_type(leaf), jnp.float32) for leaf in leaves]
    return tuple(
        jax.tree.unflatten(structure, [jnp.zeros(*of) for of in zip(kind.shapes(shapes), dtypes, strict=True)])
        for kind in state_kinds(program)
    )


def reference_state(program: Program, w: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
    """The same state for `reference_step`: lists of float64 zeros."""
    shapes = tuple(np.shape(leaf) for leaf in w)
    return [[np.zeros(shape) for shape in kind.shapes(shapes)] for kind in state_kinds(program)]


def reference_step(
    program: Program,
    w: Sequence[np.ndarray],
    g: Sequence[np.ndarray],
    state: Sequence[Sequence[np.ndarray]],
    lr: float,
) -> tuple[list[np.ndarray], tuple[list[np.ndarray], ...]]:
    """The same step in float64 NumPy, on lists of leaves. The oracle for ``step``.

    Args:
        program: a verified program.
        w: the parameters, one array per leaf.
        g: the gradient, with the shapes of ``w``.
        state: one list per variable of ``program.state``; at first that of `reference_state`.
        lr: value of the learning-rate schedule at this step.

    Returns:
        The update and the new state, lists of float64 arrays with the shapes of ``w`` and of ``state``.
    """
    trees = [[np.asarray(leaf, np.float64) for leaf in tree] for tree in (w, g, *state)]
    with np.errstate(all="ignore"):
        update, *new_state = _outputs(program, trees, np.float64(lr), _ReferenceDomain())
    return update, tuple(new_state)


def _outputs(program: Program, trees: list[list[Any]], lr: Any, domain: Domain[Any]) -> list[list[Any]]:
    inputs: dict[str, Any] = dict(zip((W, G, *program.state), trees, strict=True))
    values = walk(program, {**inputs, LR: lr}, domain)
    return [values[name] for name in (OUTPUT, *program.state)]
