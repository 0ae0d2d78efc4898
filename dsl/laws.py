"""Laws: equations that a function's row declares and that rewriting, fingerprints and tests read.

The fields of ``Laws`` are all the laws that we know. For every row and every field a test checks that a declared law
holds numerically and that one which holds is declared.
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
        degree: for each operand the power ``d`` with which a factor c > 0 moves out, ``f(c*x) = c**d * f(x)``; None
            where no factor does.
        idempotent: ``f(f(x)) = f(x)`` for one operand, ``f(x, x) = x`` for two.
        identity: the constant e with ``f(x, e) = x``; None where there is none.
        absorbing: the constant z with ``f(x, z) = z``; None where there is none.
        cancels: the constant ``f(x, x)``; None where it depends on x.
        inverse: name of g with ``g(f(x)) = x`` on the sampling domain; None where there is none.
        range: the least and the largest result.
        keeps_sign: ``sign(f(x)) = sign(x)`` for every x whatever, for functions of one operand.
        total: finite for all operands up to 10,000 in size, zero included; neither undefined nor soon too large.
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
        """Whether the result has a least and a largest value."""
        return math.isfinite(self.range[0]) and math.isfinite(self.range[1])
