"""Kinds: what a value of a program looks like, whatever the model.

A program never sees shapes. It sees three kinds, ordered by how much they hold:

- ``SCALAR``: one number for the whole parameter tree (constants, ``lr``, ``global_norm(g)``);
- ``PER_LEAF``: one number for each array of the tree (``norm(g)``);
- ``LEAF``: one number for each parameter (``w``, ``g``, every state variable, ``update``).

An elementwise function gives the largest kind among its operands, by broadcasting.
"""

from __future__ import annotations

from enum import IntEnum

Shape = tuple[int, ...]


class Kind(IntEnum):
    """What a value holds; a smaller kind broadcasts to a larger one."""

    SCALAR = 0
    PER_LEAF = 1
    LEAF = 2

    def __str__(self) -> str:
        return self.name.lower()

    def shapes(self, leaves: tuple[Shape, ...]) -> tuple[Shape, ...]:
        """Shapes of a value of this kind for a tree with the given leaf shapes.

        Args:
            leaves: shape of each parameter array, in tree order.

        Returns:
            One shape for ``SCALAR``; otherwise one shape for each leaf.
        """
        if self is Kind.SCALAR:
            return ((),)
        return leaves if self is Kind.LEAF else ((),) * len(leaves)
