"""Random search: programs are sampled independently, without selection.

Random search is a strong baseline when bad programs are stopped early by a hurdle. As a control, it measures the
contribution of evolution.

Source: Li & Talwalkar 2019 (arXiv:1902.07638); Real et al. 2020 (arXiv:2003.03384).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from optsearch.dsl.functions import DEFAULT_FUNCTIONS, FUNCTIONS
from optsearch.dsl.generate import STANDARD, NewConstants, random_program
from optsearch.dsl.program import Program
from optsearch.search.variation.change import Mutation
from optsearch.search.variation.mutate import Mate


class RandomPrograms:
    """Samples random programs; a variation operator that ignores the parent.

    Args:
        state: names of the state variables.
        statements: maximum number of statements; the number is uniform from 1 to this.
        functions: names of the functions that may be called. Defaults to `DEFAULT_FUNCTIONS`.
        constants: distribution of constants.
    """

    inherits = False

    def __init__(
        self,
        state: Sequence[str],
        statements: int,
        functions: Sequence[str] | None = None,
        constants: NewConstants = STANDARD,
    ):
        self._state, self._statements, self._constants = tuple(state), statements, constants
        self._functions = tuple(FUNCTIONS[name] for name in (DEFAULT_FUNCTIONS if functions is None else functions))

    def mutate(
        self,
        rng: np.random.Generator,
        program: Program,
        *,
        mate: Mate | None = None,
        factors: Mapping[str, float] | None = None,
    ) -> tuple[Program, Mutation]:
        """Samples a random program, independent of ``program`` and of all settings of mutation."""
        del program, mate, factors
        statements = 1 + int(rng.random() * self._statements)
        drawn = random_program(
            rng, state=self._state, statements=statements, functions=self._functions, constants=self._constants
        )
        return drawn, Mutation("draw", 1, "", f"{statements} random statements")
