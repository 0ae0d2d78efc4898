"""One training run that is to be made, as a value; nothing here needs JAX."""

from __future__ import annotations

from dataclasses import dataclass

from dsl.program import Program
from proxy_tasks.hurdle import Hurdle


@dataclass(frozen=True, slots=True)
class Run:
    """One training run with a program.

    Attributes:
        program: a verified program; dead statements are removed first, so they neither cost nor change anything.
        seed: decides initial weights and batches, in [0, 2**32).
        rate: factor on the schedule that the program gets as ``lr``.
        hurdle: when to stop early; None for never.
    """

    program: Program
    seed: int
    rate: float = 1.0
    hurdle: Hurdle | None = None
