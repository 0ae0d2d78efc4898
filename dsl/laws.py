"""Algebraic laws declared by the rows of the function table and used by rewriting, fingerprints and tests.

The fields of ``Laws`` are all supported laws. For every row and field, a test checks that a declared law holds
numerically and that every law that holds is declared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

ODD, EVEN, NONE = -1, 1, 0


@dataclass(frozen=True, slots=True)
class Laws:
    """Equations that hold for finite operands in the function's domain, up to rounding.

    Attributes:
        commutative: ``f(x, y) = f(y, x)``.
        associative: ``f(f(x, y), z) = f(x, f(y, z))``.
        parity: for each operand ``ODD`` (a sign moves out), ``EVEN`` (a sign is dropped) or ``NONE``.
        degree: for each operand the homogeneity degree ``d``, ``f(c*x) = c**d * f(x)`` for c > 0; None if f is not
            homogeneous in it.
        idempotent: ``f(f(x)) = f(x)`` for one operand, ``f(x, x) = x`` for two.
        identity: the constant e with ``f(x, e) = x``; None if there is none.
        absorbing: the constant z with ``f(x, z) = z``; None if there is none.
        cancels: the constant value of ``f(x, x)``; None if it depends on x.
        inverse: name of g with ``g(f(x)) = x`` on the sampling domain; None if there is none.
        range: the least and the largest result.
        keeps_sign: ``sign(f(x)) = sign(x)`` for every x, for functions of one operand.
        total: finite for all operands of magnitude up to 10,000, including zero.
    """

    commutative: bool = False
    associative: bool = False
    parity: tuple[int, ...] = ()
    degree: tuple[float | None, ...] = ()
    idempotent: bool = False
    identity: float | None = None
    absorbing: float | None = None
    cancels: float | None = None
    inverse: str | None = None
    range: tuple[float, float] = (-math.inf, math.inf)
    keeps_sign: bool = False
    total: bool = False

    @property
    def bounded(self) -> bool:
        """True if the range is bounded on both sides."""
        return math.isfinite(self.range[0]) and math.isfinite(self.range[1])
