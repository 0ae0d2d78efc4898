"""The columns of the function table, and constructors for common forms of rows."""

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
"""Epsilon added to every divisor, so that ``m / sqrt(v)`` equals Adam's ``m / (sqrt(v) + 1e-8)``."""

ANY = frozenset(Kind)
SCALARS = frozenset({Kind.SCALAR})
LEAVES = frozenset({Kind.LEAF})
WITH_COLUMNS = frozenset({Kind.LEAF, Kind.PER_COLUMN})
"""Kinds that differ along a row."""
WITH_ROWS = frozenset({Kind.LEAF, Kind.PER_ROW})
"""Kinds that differ along a column."""

WIDE = (-4.0, 4.0)
"""Sampling domain of functions that are defined for all numbers."""

ROW_BIT, COLUMN_BIT = Kind.PER_ROW & ~Kind.PER_LEAF, Kind.PER_COLUMN & ~Kind.PER_LEAF

Interval = tuple[float, float]
Meaning = Callable[..., Any]


class Scope(Enum):
    """The part of the parameter tree on which one element of a function's result depends."""

    ELEMENT = "element"  # called with arrays that broadcast
    LEAF = "leaf"  # called with one array of the tree at a time, whose shape does not matter
    MATRIX = "matrix"  # called with one array of the tree at a time, in its shape, which it reads as a matrix; one that
    # keeps both axes must give the transposed result for the transposed matrix
    TREE = "tree"  # called with the list of all arrays of each LEAF operand


class Operation(Enum):
    """Classes of arithmetic, by cost on common hardware."""

    CONSTANT = "constant"
    ARITHMETIC = "arithmetic"
    DIVISION = "division"  # division and roots
    TRANSCENDENTAL = "transcendental"
    REDUCTION = "reduction"
    MATRIX = "matrix"  # products of matrices


OPERATION_COST: Mapping[Operation, float] = MappingProxyType(
    {
        Operation.CONSTANT: 0.0,
        Operation.ARITHMETIC: 1.0,
        Operation.DIVISION: 4.0,
        Operation.TRANSCENDENTAL: 12.0,
        Operation.REDUCTION: 2.0,
        Operation.MATRIX: 8.0,
    }
)
"""Cost of one operation on one element, in additions (rounded from instruction tables of current CPUs).

That of a product of matrices is for one with `SMALLER_SIDE` rows or columns, at eight multiplications and additions in
the time of one addition of arrays, which waits for memory.
"""

SMALLER_SIDE = 32
"""The smaller side of a matrix for which costs of products are stated; they are proportional to it."""


@dataclass(frozen=True, slots=True)
class Function:
    """One row of the function table.

    Attributes:
        name: name in programs.
        jax: implementation in JAX; takes the ``jax.numpy`` module and the operands. The table itself does not import
            JAX.
        reference: float64 implementation in NumPy; takes the operands.
        jax_code: template for exported JAX code, with ``{0}``, ``{1}``, ... for the operands. Functions of the whole
            tree are called by name, and the file defines them.
        torch_code: the same for PyTorch. The file also defines ``sign``, because ``torch.sign`` maps NaN to 0.
        latex: the same for LaTeX.
        operands: accepted kinds of each operand.
        result: kind of the result; None for the join of the operands' kinds.
        removes: the bit of the operand's kind that the result lacks, for reductions over rows or columns; 0 for none.
        scope: the part of the tree that one call receives.
        operation: class of arithmetic, for costs.
        operations: number of operations of this class per element.
        domain: for each operand an interval on which all implementations agree to a few units in the last place.
        infix: the binary operator used in programs; None for call syntax.
        laws: algebraic laws that hold.
        jax_definition: source of the function of this name that exported optax files define; empty if ``jax_code``
            needs none.
        torch_definition: the same for PyTorch files.
    """

    name: str
    jax: Meaning
    reference: Meaning
    jax_code: str
    torch_code: str
    latex: str
    operands: tuple[frozenset[Kind], ...]
    result: Kind | None = None
    removes: int = 0
    scope: Scope = Scope.ELEMENT
    operation: Operation = Operation.ARITHMETIC
    operations: int = 1
    domain: tuple[Interval, ...] = ()
    infix: str | None = None
    laws: Laws = field(default_factory=Laws)
    jax_definition: str = ""
    torch_definition: str = ""

    @property
    def arity(self) -> int:
        """Number of operands."""
        return len(self.operands)

    @property
    def cost(self) -> float:
        """Cost per element of the largest operand, in additions."""
        return OPERATION_COST[self.operation] * self.operations

    @property
    def signature(self) -> str:
        """Operand and result kinds as text, such as ``(leaf, scalar) -> leaf``."""
        operands = ", ".join("any" if kinds == ANY else "|".join(map(str, sorted(kinds))) for kinds in self.operands)
        result = "scalar" if not self.operands else "largest" if self.result is None else str(self.result)
        if self.removes:
            result = "per_leaf|per_column" if self.removes == ROW_BIT else "per_leaf|per_row"
        return f"({operands}) -> {result}"


def _laws(arity: int, **laws: Any) -> Laws:
    """Laws with a parity and a degree per operand; a single value applies to all operands."""
    for name, nothing in (("parity", NONE), ("degree", None)):
        given = laws.get(name, nothing)
        laws[name] = given if isinstance(given, tuple) else (given,) * arity
    return Laws(**laws)


def constant(name: str, value: float, latex: str) -> Function:
    """A row for a function without operands."""
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
    torch_definition: str = "",
    **laws: Any,
) -> Function:
    """A row for a function of one operand of any kind.

    Args:
        name: name in programs; if the next two arguments are None, also the name in all three libraries.
        meanings: implementations in JAX and in NumPy.
        code: templates for JAX and PyTorch; a single string if they are equal.
        latex: template; None for a command with the same name.
        domain: sampling domain.
        operation: class of arithmetic.
        operations: number of operations per element.
        torch_definition: source of a function that exported PyTorch files define.
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
        torch_definition=torch_definition,
    )


def of_absolute(name: str, latex: str, **options: Any) -> Function:
    """A row for a function of one operand's absolute value; ``options`` as for ``unary``."""
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
    torch_code: str | None = None,
    **laws: Any,
) -> Function:
    """A row for a function of several operands of any kind.

    ``code`` is JAX and, with the module renamed, PyTorch, unless ``torch_code`` is given.
    """
    return Function(
        name,
        jax=jax,
        reference=reference,
        jax_code=code,
        torch_code=torch_code or code.replace("jnp.", "torch."),
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
    result: Kind | None,
    jax: Meaning,
    reference: Meaning,
    latex: str,
    *,
    scope: Scope = Scope.TREE,
    removes: int = 0,
    code: str | None = None,
    operation: Operation = Operation.REDUCTION,
    operations: int = 1,
    definitions: tuple[str, str] = ("", ""),
    **laws: Any,
) -> Function:
    """A row for a function of whole arrays; exported files call it by name unless ``code`` says otherwise."""
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
        removes=removes,
        scope=scope,
        operation=operation,
        operations=operations,
        domain=(WIDE,) * len(operands),
        laws=_laws(len(operands), **laws),
        jax_definition=definitions[0],
        torch_definition=definitions[1],
    )
