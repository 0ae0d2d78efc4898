"""Reference values of a campaign, derived from the evaluation of the warm start.

They define the hurdles, which stop bad programs early, and the threshold below which a program is evaluated at several
learning rates. Both are fixed once the warm start is evaluated. The gate of a race may follow the population, which the
records determine at every ticket. Fitness is therefore a pure function of the program and the records of the campaign,
independent of the time and place of its evaluation.

Source of races over training cases: down-sampled selection, Helmuth and Spector 2021 (arXiv:2106.06085).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from optsearch.search.scoring.fitness import Fitness, Limits, Reference


class HurdleConfig(BaseModel):
    """Early stopping of bad programs, relative to the warm start.

    Attributes:
        factor: a program is stopped if its running training loss exceeds this multiple of the warm start's.
        at: positions of the hurdles, as fractions of the task's steps; each is rounded to the nearest checkpoint.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    factor: float = Field(default=1.5, ge=1.0, le=1e6, allow_inf_nan=False)
    at: list[Annotated[float, Field(gt=0.0, le=1.0)]] = Field(default=[0.2], min_length=1, max_length=16)


class RaceConfig(BaseModel):
    """Tasks and training seeds that only good programs are trained on.

    A case is a task with a training seed. A program whose loss in its first case is not below the gate keeps it as its
    fitness and is not trained in the others.

    Attributes:
        within: relative margin of the gate: it is at ``(1 + within)`` times the warm start's mean loss. With several
            tasks, it is the score ``within``.
        rotate: if True, the fingerprint of a program decides which case is its first, so that the search does not adapt
            to one seed or one task. Its loss there is corrected by the difference between the warm start's mean on the
            task and the warm start's loss with this seed. Tasks with ``if_below``, and those after them, are never the
            first. Defaults to the first task and seed for all programs.
        share: lowers the gate of a program to the fitness that the best ``share`` of the population have from which it
            was generated; 0.5 is the median. Programs that did not train are the worst. With several tasks the score on
            the first counts relative to that of the best ``share`` on the same task. Defaults to the same gate for all
            programs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    within: float = Field(default=0.0, ge=-1.0, le=1e6, allow_inf_nan=False)
    rotate: bool = False
    share: float | None = Field(default=None, gt=0.0, le=1.0, allow_inf_nan=False)


class RateSweepConfig(BaseModel):
    """Takes the best of several learning rates as the fitness, so that good programs with an unsuitable rate survive.

    Attributes:
        factors: additional learning rates, as multiples of the program's own.
        trial: length of a trial, as a fraction of the first task's steps, rounded to the nearest checkpoint. With it,
            programs worse than the warm start at their own rate, also those stopped by a hurdle, run a trial at every
            rate, on the first task and seed. If the lowest running training loss is not that of their own rate, they
            are also evaluated at the rate that has it. Defaults to no trials: programs near the top are evaluated at
            all additional rates.
        within: relative margin of the threshold: a program is evaluated at the additional rates only if its loss at its
            own rate is below ``(1 + within)`` times the warm start's. With several tasks, its score must be below
            ``within``. Negative values require an improvement over the warm start.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    factors: list[Annotated[float, Field(ge=1e-3, le=1e3)]] = Field(default=[1 / 3, 3.0], min_length=1, max_length=8)
    trial: float | None = Field(default=None, gt=0.0, lt=1.0, allow_inf_nan=False)
    within: float = Field(default=0.0, ge=-1.0, le=1e6, allow_inf_nan=False)

    @model_validator(mode="after")
    def _one_rule(self) -> RateSweepConfig:
        if self.trial is not None and self.within != 0.0:
            raise ValueError(
                "trial and within exclude each other: with trials, all programs worse than the warm start are swept; "
                "leave one of them out"
            )
        return self

    @field_validator("factors")
    @classmethod
    def _others(cls, factors: list[float]) -> list[float]:
        if 1.0 in factors or len(set(factors)) != len(factors):
            raise ValueError(
                f"the factors must be distinct and different from 1, the program's own rate; got {factors}"
            )
        return factors


@dataclass(frozen=True, slots=True)
class ReferenceRule:
    """How a campaign derives its reference values from the warm start. Defaults to no rules.

    Attributes:
        hurdle: factor and positions of the hurdles; None for no hurdles.
        sweep: settings of the rate sweep; None for no rate sweep.
        checkpoints: checkpoints of each task, in steps.
        seeds: number of training seeds.
        race: settings of the race; None to train every program in all cases.
        ungated: number of tasks before the first one with ``if_below``.
    """

    hurdle: HurdleConfig | None = None
    sweep: RateSweepConfig | None = None
    checkpoints: Sequence[Sequence[int]] = ((),)
    seeds: int = 1
    race: RaceConfig | None = None
    ungated: int = 1

    @property
    def several_tasks(self) -> bool:
        """True if the fitness has more than one task."""
        return len(self.checkpoints) > 1

    def derive(self, warm_start: Fitness) -> Reference:
        """Derives the reference values from the evaluation of the warm start.

        Args:
            warm_start: fitness of the warm start, with curves.

        Returns:
            The warm start's losses, the hurdles of each run, the gate of the race, and the threshold and trials of the
            rate sweep. Only the losses if the warm start did not train.
        """
        limits: list[Limits] = []
        for number, steps in enumerate(self.checkpoints):
            curves = warm_start.curves[number * self.seeds : (number + 1) * self.seeds]
            limits += hurdle_limits(self.hurdle, steps, curves)
        if warm_start.value is None:
            return Reference(None, warm_start.losses)
        line = trial = gate = None
        cases: tuple[float, ...] = ()
        scale = 1.0 if warm_start.losses else abs(warm_start.value)
        if self.race is not None:
            gate = warm_start.value + self.race.within * scale
            cases = warm_start.cases[: self.ungated * self.seeds] if self.race.rotate else ()
        if self.sweep is not None:
            line = warm_start.value + self.sweep.within * scale
            if self.sweep.trial is not None:
                trial = self.checkpoints[0][_nearest(self.checkpoints[0], self.sweep.trial)]
        complete = len(limits) == len(self.checkpoints) * self.seeds
        return Reference(tuple(limits) if complete else None, warm_start.losses, line, trial, gate, cases)


def hurdle_limits(
    config: HurdleConfig | None, checkpoints: Sequence[int], curves: Sequence[Sequence[float]]
) -> tuple[Limits, ...]:
    """Derives hurdles from the warm start's training curves on a task.

    For a loss ``x`` of the warm start, the limit is ``x + (factor - 1) * |x|``, which equals ``factor * x`` for
    positive losses.

    Args:
        config: factor and positions; None for no hurdles.
        checkpoints: checkpoints of the task, in steps.
        curves: training curve of the warm start for each training seed.

    Returns:
        Limits for each training seed; empty without hurdles.
    """
    if config is None:
        return ()
    chosen = sorted({_nearest(checkpoints, at) for at in config.at})
    return tuple(
        tuple((checkpoints[i], curve[i] + (config.factor - 1.0) * abs(curve[i])) for i in chosen if i < len(curve))
        for curve in curves
    )


def _nearest(checkpoints: Sequence[int], at: float) -> int:
    """Index of the checkpoint nearest to a fraction of the steps."""
    return min(range(len(checkpoints)), key=lambda i: abs(checkpoints[i] - at * checkpoints[-1]))
