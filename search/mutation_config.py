"""Settings of mutation: how often each is drawn, where constants come from and go, how long programs may get.

Source: Chen et al. 2023 (arXiv:2302.06675), section 2.1; ``wrap``, ``duplicate``, ``complement``, ``retune`` are ours.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from optsearch.dsl.generate import NewConstants
from optsearch.dsl.program import MAX_STATEMENTS


class MutationWeights(BaseModel):
    """The list of mutations: each field is one, its value how often it is drawn, relative to the others.

    Attributes:
        insert: insert a random statement at a random place.
        delete: delete a random statement.
        modify: replace one argument of a random statement by a variable in scope or a new constant from N(0, 1).
        wrap: insert a random statement that computes from an argument of another, which reads it from then on.
        duplicate: the same with a copy of one of the program's own statements, in which the argument takes the place of
            one of its arguments.
        scale: multiply a constant by 2^a, a from N(0, 1).
        complement: the same for its distance from 1: c becomes 1 - (1 - c) * 2^a, for a constant near 1.
        redraw: replace a constant by a draw from N(0, 1).
        retune: move each constant with a probability of one half: those between 0 and 1 by multiplying their odds,
            c / (1 - c), by 2^a, others themselves. The step size is one for all, drawn log-uniformly between 1/32 and 8
            times that of ``scale``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    insert: float = Field(default=1.0, ge=0.0, allow_inf_nan=False)
    delete: float = Field(default=1.0, ge=0.0, allow_inf_nan=False)
    modify: float = Field(default=1.0, ge=0.0, allow_inf_nan=False)
    wrap: float = Field(default=1.0, ge=0.0, allow_inf_nan=False)
    duplicate: float = Field(default=0.0, ge=0.0, allow_inf_nan=False)
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
        """The weights of the hyper-parameter control: the mutations of constants alone, in the same proportions.

        Their defaults stand in where all of them are 0.
        """
        weights = self if sum(getattr(self, name) for name in CONSTANTS) > 0.0 else MutationWeights()
        return weights.model_copy(update={name: 0.0 for name in type(self).model_fields if name not in CONSTANTS})


CONSTANTS = ("scale", "complement", "redraw", "retune")
"""The mutations that leave a program's statements as they are, but for their constants."""


LARGEST_STEP = 8.0
"""Bound on ``constants.step``. ``retune`` takes steps of 8 times this, and NumPy's normal numbers stay below 14: every
power of two that is drawn is a float64."""


class LimitsConfig(BaseModel):
    """Bounds on what mutation may make.

    Attributes:
        statements: largest number of statements in a program.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    statements: int = Field(default=60, ge=1, le=MAX_STATEMENTS)


class ConstantsConfig(BaseModel):
    """Where constants come from and how far they move.

    Attributes:
        mean: mean of the normal distribution that new constants are drawn from.
        spread: its standard deviation.
        share: probability that an argument of a new statement, or a replaced one, is a new constant.
        step: standard deviation of the power of two by which ``scale`` and ``complement`` move a constant, at most
            ``LARGEST_STEP``.
        near_one: constants closer to 1 than this, and not 1, may move by their distance from 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    mean: float = Field(default=0.0, ge=-1e6, le=1e6, allow_inf_nan=False)
    spread: float = Field(default=1.0, gt=0.0, le=1e6, allow_inf_nan=False)
    share: float = Field(default=0.25, ge=0.0, le=1.0, allow_inf_nan=False)
    step: float = Field(default=1.0, gt=0.0, le=LARGEST_STEP, allow_inf_nan=False)
    near_one: float = Field(default=0.5, ge=0.0, le=1.0, allow_inf_nan=False)

    @property
    def new(self) -> NewConstants:
        """Where new constants come from."""
        return NewConstants(self.mean, self.spread, self.share)
