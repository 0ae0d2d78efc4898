"""Kinds: the shapes of a program's values, independent of the model.

Programs do not handle shapes. A value has one of three kinds, from smallest to largest:

- ``SCALAR``: one number for the whole parameter tree (constants, ``lr``, ``global_norm(g)``);
- ``PER_LEAF``: one number per leaf of the tree (``norm(g)``);
- ``LEAF``: one number per parameter (``w``, ``g``, every state variable, ``update``).

The result of an elementwise function has the largest kind among its operands, by broadcasting.
"""

from __future__ import annotations

from enum import IntEnum

Shape = tuple[int, ...]


class Kind(IntEnum):
    """The kind of a value; a smaller kind broadcasts to a larger one."""

    SCALAR = 0
    PER_LEAF = 1
    LEAF = 2

    def __str__(self) -> str:
        return self.name.lower()

    def shapes(self, leaves: tuple[Shape, ...]) -> tuple[Shape, ...]:
        """Returns the shapes of a value of this kind, for a tree with the given leaf shapes.

        Args:
            leaves: shape of each parameter array, in tree order.

        Returns:
            One shape for ``SCALAR``; otherwise one shape per leaf.
        """
        if self is Kind.SCALAR:
            return ((),)
        return leaves if self is Kind.LEAF else ((),) * len(leaves)
