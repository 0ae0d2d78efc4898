"""Kinds: the shapes of a program's values, independent of the model.

Programs do not handle shapes. Every array of the parameter tree is read as a matrix: its leading axes are the rows, its
last axis the columns; a vector has one row, a scalar has one row and one column. A value has one of five kinds:

- ``SCALAR``: one number for the whole parameter tree (constants, ``lr``, ``global_norm(g)``);
- ``PER_LEAF``: one number per leaf of the tree (``norm(g)``);
- ``PER_ROW``: one number per row of every leaf (``row_norm(g)``);
- ``PER_COLUMN``: one number per column of every leaf (``column_norm(g)``);
- ``LEAF``: one number per parameter (``w``, ``g``, every state variable, ``update``).

Kinds form a lattice, from ``SCALAR`` over ``PER_LEAF`` to ``LEAF``, with ``PER_ROW`` and ``PER_COLUMN`` side by side.
The result of an elementwise function has the smallest kind to which all operands broadcast, their *join*: a value per
row times a value per column has one number per parameter. A state variable whose values do not differ along rows, or
along columns, takes only as much memory as its values need (``verify.state_kinds``).
"""

from __future__ import annotations

from enum import IntEnum

Shape = tuple[int, ...]


class Kind(IntEnum):
    """The kind of a value: one bit each for dependence on the leaf, on the row and on the column.

    A kind broadcasts to another one that has all of its bits. The join of two kinds has the bits of both.
    """

    SCALAR = 0b000
    PER_LEAF = 0b001
    PER_ROW = 0b011
    PER_COLUMN = 0b101
    LEAF = 0b111

    def __str__(self) -> str:
        return self.name.lower()

    def shapes(self, leaves: tuple[Shape, ...]) -> tuple[Shape, ...]:
        """Returns the shapes of a value of this kind, for a tree with the given leaf shapes.

        Args:
            leaves: shape of each parameter array, in tree order.

        Returns:
            One shape for ``SCALAR``; otherwise one shape per leaf, which broadcasts to the shape of the leaf. A value
            of the kind ``PER_LEAF`` that was reduced over rows and over columns has axes of length 1 instead.
        """
        if self is Kind.SCALAR:
            return ((),)
        if self is Kind.PER_ROW:
            return tuple((*leaf[:-1], 1) if leaf else () for leaf in leaves)
        if self is Kind.PER_COLUMN:
            return tuple((1,) * (len(leaf) - 1) + leaf[-1:] for leaf in leaves)
        return leaves if self is Kind.LEAF else ((),) * len(leaves)


KINDS: tuple[Kind, ...] = tuple(Kind(bits | bool(bits)) for bits in range(8))
"""The kind for every combination of bits, for joins by ``|`` without a search."""
