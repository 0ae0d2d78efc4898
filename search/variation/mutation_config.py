"""Settings of mutation: weights, distribution and step sizes of constants, and the maximum program length.

Source: Chen et al. 2023 (arXiv:2302.06675), section 2.1; ``wrap``, ``duplicate``, ``cross``, ``complement`` and
``retune`` are new.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from optsearch.dsl.generate import NewConstants
from optsearch.dsl.program import MAX_STATEMENTS


class MutationWeights(BaseModel):
    """Relative frequency of each mutation; every field is one mutation.

    Attributes:
        insert: insert a random statement at a random place.
        delete: delete a random statement.
        modify: replace one argument of a random statement by a variable in scope or a new constant from N(0, 1).
        wrap: apply a random function to one argument of a statement, which then reads the result instead.
        duplicate: as ``wrap``, with a copy of one of the program's statements, in which the argument replaces one of
            the copy's arguments.
        cross: replace one argument of a statement by a value of another member of the population, inserted with the
            statements that define it.
        scale: multiply a constant by 2^a, a from N(0, 1).
        complement: as ``scale`` for the distance from 1: c becomes 1 - (1 - c) * 2^a, for a constant near 1.
        redraw: replace a constant by a sample from N(0, 1).
        retune: change each constant with probability 1/2. Constants between 0 and 1 have their odds, c / (1 - c),
            multiplied by 2^a; others are multiplied by 2^a. All share one step size, sampled log-uniformly between 1/32
            and 8 times that of ``scale``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    insert: float = Field(default=1.0, ge=0.0, allow_inf_nan=False)
    delete: float = Field(default=1.0, ge=0.0, allow_inf_nan=False)
    modify: float = Field(default=1.0, ge=0.0, allow_inf_nan=False)
    wrap: float = Field(default=1.0, ge=0.0, allow_inf_nan=False)
    duplicate: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    cross: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
    scale: float = Field(default=0.1, ge=0.0, allow_inf_nan=False)
    complement: float = Field(default=0.1, ge=0.0, allow_inf_nan=False)
    redraw: float = Field(default=0.1, ge=0.0, allow_inf_nan=False)
    retune: float = Field(default=1.0, ge=0.0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _some_mutation(self) -> MutationWeights:
        if sum(self.as_dict().values()) <= 0.0:
            raise ValueError("at least one weight must be above 0")
        return self

    def as_dict(self) -> dict[str, float]:
        """Weight of each mutation by name."""
        return {name: float(getattr(self, name)) for name in type(self).model_fields}

    def constants_only(self) -> MutationWeights:
        """Weights of the hyperparameter control: only the mutations of constants, in the same proportions.

        If all of these are 0, their default weights are used.
        """
        weights = self if sum(getattr(self, name) for name in CONSTANTS) > 0.0 else MutationWeights()
        return weights.model_copy(update={name: 0.0 for name in type(self).model_fields if name not in CONSTANTS})


CONSTANTS = ("scale", "complement", "redraw", "retune")
"""Mutations that change only constants."""


LARGEST_STEP = 8.0
"""Upper bound of ``constants.step``. ``retune`` uses up to 8 times this step, and NumPy's normal samples stay below 14:
every sampled power of two is finite in float64."""


class LimitsConfig(BaseModel):
    """Bounds on generated programs.

    Attributes:
        statements: maximum number of statements in a program.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    statements: int = Field(default=60, ge=1, le=MAX_STATEMENTS)


class ConstantsConfig(BaseModel):
    """Distribution of new constants, and step sizes of their mutations.

    Attributes:
        mean: mean of the normal distribution of new constants.
        spread: standard deviation of the normal distribution of new constants.
        share: probability that an argument of a new statement, or a replaced argument, is a new constant.
        step: standard deviation of the base-2 logarithm of the factor in ``scale`` and ``complement``, at most
            ``LARGEST_STEP``.
        near_one: maximum distance from 1, exclusive, of the constants to which ``complement`` applies.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    mean: float = Field(default=0.0, ge=-1e6, le=1e6, allow_inf_nan=False)
    spread: float = Field(default=1.0, gt=0.0, le=1e6, allow_inf_nan=False)
    share: float = Field(default=0.25, ge=0.0, le=1.0, allow_inf_nan=False)
    step: float = Field(default=1.0, gt=0.0, le=LARGEST_STEP, allow_inf_nan=False)
    near_one: float = Field(default=0.5, ge=0.0, le=1.0, allow_inf_nan=False)

    @property
    def new(self) -> NewConstants:
        """Distribution of new constants."""
        return NewConstants(self.mean, self.spread, self.share)
