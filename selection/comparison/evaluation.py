"""Results of an evaluation: training runs, tunings, and what was concluded from them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from optsearch.selection.comparison.comparison import Comparison, Estimate, Headline, Overall, TimeToTarget
from optsearch.selection.comparison.failed_tuning import FailedTuning
from optsearch.selection.comparison.step_time import StepTime
from optsearch.selection.comparison.trend import Trend
from optsearch.selection.space import Values
from optsearch.selection.tuning.families import Family
from optsearch.selection.tuning.rate_sensitivity import RateRun, RateSensitivity
from optsearch.selection.tuning.tuner import Tuned, TuningBudget
from optsearch.selection.tuning.tuning_curve import TuningCurve

TARGET = "validation loss"
"""Loss of the reference that sets the target of the times."""

REPLICATES = 5
"""Default number of replicates: the smallest for which a single comparison can be significant at 1 %."""


@dataclass(frozen=True, slots=True)
class Row:
    """Result of one contender on one task, one tuning and one fresh seed.

    Attributes:
        task: name of the task, with the batch size unless it is the task's default.
        contender: name of the contender.
        baseline: True for a baseline.
        replicate: index of the tuning, from 0.
        seed: training seed.
        values: tuned hyperparameters: factor on the task's schedule, weight decay, constants.
        at_edge: True if tuning ended at the edge of its search range.
        outcome: outcome of the run.
        loss: validation loss; None unless the outcome is ok.
        test_loss: test loss; None unless the outcome is ok.
        accuracy: test accuracy; None unless the outcome is ok and the task is a classification.
        steps: number of steps run.
        seconds: wall-clock time in seconds, including compilation.
        train_losses: running training loss at each checkpoint that the run passed.
        validation_losses: validation loss at each checkpoint that the run passed; None where it is not finite.
    """

    task: str
    contender: str
    baseline: bool
    replicate: int
    seed: int
    values: Values
    at_edge: bool
    outcome: str
    loss: float | None
    test_loss: float | None
    accuracy: float | None
    steps: int
    seconds: float
    train_losses: tuple[float, ...]
    validation_losses: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Tuning:
    """One tuning of a contender on a task.

    With one setting for all tasks, the tunings of a replicate have the same points, each with the losses of its task.

    Attributes:
        task: name of the task.
        contender: name of the contender.
        replicate: index of the tuning, from 0.
        tuned: the selected hyperparameters and all trials.
    """

    task: str
    contender: str
    replicate: int
    tuned: Tuned


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Results of an evaluation.

    Attributes:
        tasks: names of the tasks, with batch sizes unless they are the defaults.
        checkpoints: for each task, the steps at which training and validation losses were recorded.
        contenders: names of programs, then of baselines, in the order given.
        families: families of baselines of which several members take part.
        reference: contender that normalises losses across tasks: the first baseline, else the first program.
        replicates: number of tunings of each contender on each task.
        seeds: the fresh seeds of all replicates, in order.
        budget: tuning budget of each contender, in each replicate.
        shared: True if each tuning selected one setting for all tasks.
        trivial: for each task the test loss of a predictor that ignores its input; None if unknown.
        untuned: for each contender the numbers that tuning leaves at their defaults.
        state_bytes: for each contender the bytes of optimizer state per parameter of a matrix, where known.
        rows: one result per task, contender, replicate and seed.
        tuning: one entry per task, contender and replicate.
        estimates: loss of every contender and family on every task, with both variances.
        comparisons: every program against every baseline, on each task.
        headlines: every program against every family, and every baseline without one, over all tasks.
        overall: aggregates of each contender over all tasks.
        times: time of each contender to the reference's validation loss after three quarters of its steps.
        failed_tuning: baselines that are behind a baseline that they contain.
        tuning_curves: loss against tuning budget; empty without tuning.
        rate_runs: the runs of `rate_sensitivity`; empty unless they were requested.
        rate_sensitivity: loss at multiples of the tuned rates, all else fixed; empty unless it was requested.
        step_times: wall-clock time of each contender's compiled step on each task; empty if not measured.
        trends: every program against every baseline and family over the horizons of a task; empty with one horizon.
        target: loss of the reference that sets the target of ``times``; records of earlier releases name another.
    """

    tasks: tuple[str, ...]
    checkpoints: tuple[tuple[int, ...], ...]
    contenders: tuple[str, ...]
    families: tuple[Family, ...]
    reference: str
    replicates: int
    seeds: tuple[int, ...]
    budget: TuningBudget
    shared: bool
    trivial: tuple[tuple[str, float | None], ...]
    untuned: tuple[tuple[str, tuple[str, ...]], ...]
    state_bytes: tuple[tuple[str, float], ...]
    rows: tuple[Row, ...]
    tuning: tuple[Tuning, ...]
    estimates: tuple[Estimate, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    headlines: tuple[Headline, ...] = ()
    overall: tuple[Overall, ...] = ()
    times: tuple[TimeToTarget, ...] = ()
    failed_tuning: tuple[FailedTuning, ...] = ()
    tuning_curves: tuple[TuningCurve, ...] = ()
    rate_runs: tuple[RateRun, ...] = ()
    rate_sensitivity: tuple[RateSensitivity, ...] = ()
    step_times: tuple[StepTime, ...] = ()
    trends: tuple[Trend, ...] = ()
    target: str = TARGET

    def losses(self, *, test: bool = True) -> dict[str, dict[str, dict[int, float]]]:
        """Loss by task, contender and seed; infinity if training failed.

        Args:
            test: if True, the test loss; otherwise the validation loss.
        """
        found: dict[str, dict[str, dict[int, float]]] = {}
        for row in self.rows:
            loss = row.test_loss if test else row.loss
            of_task = found.setdefault(row.task, {})
            of_task.setdefault(row.contender, {})[row.seed] = math.inf if loss is None else loss
        return found

    def by_replicate(self, *, test: bool = True) -> dict[str, dict[str, list[list[float]]]]:
        """Losses by task and contender: for each replicate one loss per seed; infinity if training failed.

        Args:
            test: as in `losses`.
        """
        found: dict[str, dict[str, list[list[float]]]] = {}
        for row in self.rows:
            loss = row.test_loss if test else row.loss
            replicates = found.setdefault(row.task, {}).setdefault(row.contender, [[] for _ in range(self.replicates)])
            replicates[row.replicate].append(math.inf if loss is None else loss)
        return found

    def with_families(self) -> dict[str, dict[str, list[list[float]]]]:
        """Test losses as in `by_replicate`, also of each family: those of its best member in each replicate."""
        found = self.by_replicate()
        for family in self.families:
            for task, best in family.best:
                found[task][family.name] = [found[task][name][number] for number, name in enumerate(best)]
        return found
