"""What the programs of a campaign are measured against: the warm start's own evaluation.

From it follow hurdles, which stop a bad program early, and the line below which a program counts as near the top, so
that more is spent on it. Both are fixed once the warm start is evaluated. So a fitness stays a pure function of the
program and of what the campaign has recorded, whoever evaluates it and when.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from optsearch.search.fitness import Fitness, Limits, Reference


class HurdleConfig(BaseModel):
    """When a bad program is stopped early, measured against the warm start.

    Attributes:
        factor: a program is stopped when its running training loss exceeds this multiple of the warm start's.
        at: where, as fractions of the task's steps; each means the nearest of the task's checkpoints.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    factor: float = Field(default=1.5, ge=1.0, le=1e6, allow_inf_nan=False)
    at: list[Annotated[float, Field(gt=0.0, le=1.0)]] = Field(default=[0.2], min_length=1, max_length=16)


class RateSweepConfig(BaseModel):
    """The best of several learning rates as the fitness: a good program whose rate is off is not thrown away.

    Attributes:
        factors: rates to try beside the program's own, as multiples of it.
        within: only programs near the top at their own rate are tried at others: those whose loss is below the warm
            start's fitness plus this share of it. Negative to ask for so much less. With several tasks the score has to
            be below the warm start's plus this.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    factors: list[Annotated[float, Field(ge=1e-3, le=1e3)]] = Field(default=[1 / 3, 3.0], min_length=1, max_length=8)
    within: float = Field(default=0.0, ge=-1.0, le=1e6, allow_inf_nan=False)

    @field_validator("factors")
    @classmethod
    def _others(cls, factors: list[float]) -> list[float]:
        if 1.0 in factors or len(set(factors)) != len(factors):
            raise ValueError(f"give other rates than the program's own, which is 1, and each once; got {factors}")
        return factors


def make_reference(
    config: HurdleConfig | None,
    checkpoints: Sequence[Sequence[int]],
    seeds: int,
    warm_start: Fitness,
    sweep: RateSweepConfig | None = None,
) -> Reference:
    """What the programs of a campaign are measured against.

    Args:
        config: factor and places of hurdles; None for no hurdles.
        checkpoints: for each task the steps at which it reports its running training loss.
        seeds: number of training seeds.
        warm_start: fitness of the warm start, with curves.
        sweep: which programs are tried at other rates; None for none.

    Returns:
        Its losses, for each run its hurdles, and the line below which other rates are tried; no hurdles and no line
        where the warm start did not train.
    """
    limits: list[Limits] = []
    for number, steps in enumerate(checkpoints):
        curves = warm_start.curves[number * seeds : (number + 1) * seeds]
        limits += hurdle_limits(config, steps, curves)
    if warm_start.value is None:
        return Reference(None, warm_start.losses)
    line = None
    if sweep is not None:
        scale = 1.0 if warm_start.losses else abs(warm_start.value)
        line = warm_start.value + sweep.within * scale
    complete = len(limits) == len(checkpoints) * seeds
    return Reference(tuple(limits) if complete else None, warm_start.losses, line)


def hurdle_limits(
    config: HurdleConfig | None, checkpoints: Sequence[int], curves: Sequence[Sequence[float]]
) -> tuple[Limits, ...]:
    """Hurdles that follow from the warm start's own training curves on a task.

    A loss of ``x`` allows ``x + (factor - 1) * |x|``, which is ``factor * x`` for the usual positive losses.

    Args:
        config: factor and places; None for no hurdles.
        checkpoints: steps at which the task reports its running training loss.
        curves: for each training seed the warm start's curve.

    Returns:
        For each training seed its limits; empty where there are no hurdles.
    """
    if config is None:
        return ()
    last = checkpoints[-1]
    chosen = sorted({min(range(len(checkpoints)), key=lambda i: abs(checkpoints[i] - at * last)) for at in config.at})
    return tuple(
        tuple((checkpoints[i], curve[i] + (config.factor - 1.0) * abs(curve[i])) for i in chosen if i < len(curve))
        for curve in curves
    )
