"""What a row of the function table holds, and how rows of one form are written in a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any

import numpy as np

from optsearch.dsl.laws import EVEN, NONE, Laws
from optsearch.dsl.types import Kind

GUARD = 1e-8
"""Added to every divisor; it makes ``m / sqrt(v)`` equal Adam's ``m / (sqrt(v) + 1e-8)``."""

ANY = frozenset(Kind)
SCALARS = frozenset({Kind.SCALAR})
LEAVES = frozenset({Kind.LEAF})

WIDE = (-4.0, 4.0)
"""Sampling domain of functions that accept every number."""

Interval = tuple[float, float]
Meaning = Callable[..., Any]


class Scope(Enum):
    """How much of the parameter tree a function looks at for one element of its result."""

    ELEMENT = "element"  # called with arrays that broadcast
    LEAF = "leaf"  # called with one array of the tree at a time
    TREE = "tree"  # called with the list of all arrays of each LEAF operand


class Operation(Enum):
    """Classes of arithmetic, by what they cost on common hardware."""

    CONSTANT = "constant"
    ARITHMETIC = "arithmetic"
    DIVISION = "division"  # division and roots
    TRANSCENDENTAL = "transcendental"
    REDUCTION = "reduction"


OPERATION_COST: Mapping[Operation, float] = MappingProxyType(
    {
        Operation.CONSTANT: 0.0,
        Operation.ARITHMETIC: 1.0,
        Operation.DIVISION: 4.0,
        Operation.TRANSCENDENTAL: 12.0,
        Operation.REDUCTION: 2.0,
    }
)
"""Cost of one operation on one element, in additions (rounded from instruction tables of current CPUs)."""


@dataclass(frozen=True, slots=True)
class Function:
    """One row of the table.

    Attributes:
        name: how programs call it.
        jax: its meaning; takes the ``jax.numpy`` module and the operands. The table itself does not import JAX.
        reference: its float64 meaning in NumPy; takes the operands.
        jax_code: how an exported file writes it, with ``{0}``, ``{1}``, ... for the operands; functions of the whole
            tree are called by their own names, which the file defines.
        torch_code: the same for PyTorch tensors; ``sign`` is defined by the file too, since torch makes 0 of NaN.
        latex: the same as a formula.
        operands: for each operand the kinds that it accepts.
        result: kind of the result; None for the largest kind among the operands.
        scope: what it is called with.
        operation: class of arithmetic, for costs.
        operations: how many operations of this class one element takes.
        domain: for each operand an interval on which all meanings agree to a few units in the last place.
        infix: the operator that programs write between two operands; None for call form.
        laws: equations that hold.
    """

    name: str
    jax: Meaning
    reference: Meaning
    jax_code: str
    torch_code: str
    latex: str
    operands: tuple[frozenset[Kind], ...]
    result: Kind | None = None
    scope: Scope = Scope.ELEMENT
    operation: Operation = Operation.ARITHMETIC
    operations: int = 1
    domain: tuple[Interval, ...] = ()
    infix: str | None = None
    laws: Laws = field(default_factory=Laws)

    @property
    def arity(self) -> int:
        """Number of operands."""
        return len(self.operands)

    @property
    def cost(self) -> float:
        """Cost for each element of the largest operand, in additions."""
        return OPERATION_COST[self.operation] * self.operations

    @property
    def signature(self) -> str:
        """Operand and result kinds in words, such as ``(leaf, scalar) -> leaf``."""
        operands = ", ".join("any" if kinds == ANY else "|".join(map(str, sorted(kinds))) for kinds in self.operands)
        result = "scalar" if not self.operands else "largest" if self.result is None else str(self.result)
        return f"({operands}) -> {result}"


def _laws(arity: int, **laws: Any) -> Laws:
    """Laws with a parity and a degree for every operand; one that is no tuple is that of all operands."""
    for name, nothing in (("parity", NONE), ("degree", None)):
        given = laws.get(name, nothing)
        laws[name] = given if isinstance(given, tuple) else (given,) * arity
    return Laws(**laws)


def constant(name: str, value: float, latex: str) -> Function:
    """A function of no operands."""
    return Function(
        name,
        jax=lambda jnp: jnp.float32(value),
        reference=lambda: np.float64(value),
        jax_code=repr(value),
        torch_code=repr(value),
        latex=latex,
        operands=(),
        operation=Operation.CONSTANT,
        laws=_laws(0, range=(value, value), total=True),
    )


def unary(
    name: str,
    meanings: tuple[Meaning, Meaning] | None = None,
    code: str | tuple[str, str] | None = None,
    latex: str | None = None,
    *,
    domain: Interval = WIDE,
    operation: Operation = Operation.TRANSCENDENTAL,
    operations: int = 1,
    **laws: Any,
) -> Function:
    """A function of one operand of any kind.

    Args:
        name: its name; where the next two are None also its name in all three libraries.
        meanings: in JAX and in NumPy.
        code: for JAX and PyTorch, one text where they agree.
        latex: None for a command of that name.
        domain: sampling domain.
        operation: class of arithmetic.
        operations: how many of them.
        laws: its laws.
    """
    jax, reference = meanings or (lambda jnp, x: getattr(jnp, name)(x), getattr(np, name))
    jax_code, torch_code = (code, code) if isinstance(code, str) else code or (f"jnp.{name}({{0}})",) * 2
    return Function(
        name,
        jax=jax,
        reference=reference,
        jax_code=jax_code,
        torch_code=torch_code.replace("jnp.", "torch."),
        latex=latex or rf"\{name}\left({{0}}\right)",
        operands=(ANY,),
        operation=operation,
        operations=operations,
        domain=(domain,),
        laws=_laws(1, **laws),
    )


def of_absolute(name: str, latex: str, **options: Any) -> Function:
    """A function of one operand that takes its absolute value first; ``options`` as for ``unary``."""
    function: Meaning = getattr(np, name)
    meanings = (lambda jnp, x: getattr(jnp, name)(jnp.abs(x)), lambda x: function(np.abs(x)))
    return unary(name, meanings, f"jnp.{name}(jnp.abs({{0}}))", latex, parity=EVEN, **options)


def elementwise(
    name: str,
    jax: Meaning,
    reference: Meaning,
    code: str,
    latex: str,
    *domain: Interval,
    infix: str | None = None,
    operation: Operation = Operation.ARITHMETIC,
    operations: int = 1,
    **laws: Any,
) -> Function:
    """A function of several operands of any kind, with ``code`` for JAX and, its module renamed, PyTorch."""
    return Function(
        name,
        jax=jax,
        reference=reference,
        jax_code=code,
        torch_code=code.replace("jnp.", "torch."),
        latex=latex,
        operands=(ANY,) * len(domain),
        operation=operation,
        operations=operations,
        domain=domain,
        infix=infix,
        laws=_laws(len(domain), **laws),
    )


def reduction(
    name: str,
    operands: tuple[frozenset[Kind], ...],
    result: Kind,
    jax: Meaning,
    reference: Meaning,
    latex: str,
    *,
    scope: Scope = Scope.TREE,
    code: str | None = None,
    operations: int = 1,
    **laws: Any,
) -> Function:
    """A function that sums over arrays; those of the whole tree are called by their own names in exported files."""
    code = code or f"{name}({', '.join(f'{{{index}}}' for index in range(len(operands)))})"
    return Function(
        name,
        jax=jax,
        reference=reference,
        jax_code=code,
        torch_code=code.replace("jnp.", "torch."),
        latex=latex,
        operands=operands,
        result=result,
        scope=scope,
        operation=Operation.REDUCTION,
        operations=operations,
        domain=(WIDE,) * len(operands),
        laws=_laws(len(operands), **laws),
    )
