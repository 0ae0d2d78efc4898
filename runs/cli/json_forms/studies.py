"""JSON of comparisons and funnels."""

from __future__ import annotations

from typing import Any, TypedDict

from optsearch.runs.summary.selections import Double, EnteredProgram
from optsearch.runs.summary.stage_record import TrainingCost
from optsearch.selection.comparison.evaluation import Evaluation
from optsearch.selection.funnel import RankCorrelation, StageVerdict
from optsearch.selection.tuning.sensitivity import Sensitivity
from optsearch.selection.tuning.tuner import Trial


class TuningJson(TypedDict):
    """One tuning of a contender on a task: the selected point and all trials.

    Attributes:
        values: the selected point.
        sensitivity: loss against learning rate and weight decay over the trials.
    """

    task: str
    contender: str
    replicate: int
    values: dict[str, float]
    loss: float | None
    objective: float | None
    at_edge: bool
    trials: list[Trial]
    sensitivity: Sensitivity


class TuningBudgetJson(TypedDict):
    """Tuning budget of each contender, on each task and in each replicate.

    Attributes:
        ranges: declared ranges that replace the defaults of their kinds: lists of a kind and of the two ends.
    """

    trials: int
    seeds: int
    constants: bool
    ranges: list[list[str | list[float]]]


class EvaluationHeadJson(TypedDict):
    """What `evaluate` adds to the results of an evaluation.

    Attributes:
        known_runs: number of training runs that were taken from the cache.
        trained_runs: number of training runs that this command executed.
        settings: the options of the command by their names in Python.
    """

    warnings: list[str]
    known_runs: int
    trained_runs: int
    settings: dict[str, Any]
    programs: dict[str, str]
    cost: TrainingCost
    made_with: dict[str, str]
    looks: dict[str, dict[str, int]]


class ScriptLawJson(TypedDict):
    """A law that training scripts keep, and the result of its check."""

    name: str
    sentence: str
    fault: str


class BiasJson(TypedDict):
    """Loss on fresh seeds minus fitness in the search.

    Attributes:
        mean: mean over the programs.
        interval: the two ends of its 95 % interval; None for unbounded.
        count: number of programs.
    """

    mean: float
    interval: list[float | None]
    count: int
    programs: dict[str, float]


class StageJson(TypedDict):
    """A completed stage of a funnel.

    Attributes:
        tasks: names of the tasks.
        seeds: the fresh seeds of all replicates.
    """

    name: str
    tasks: list[str]
    seeds: list[int]
    verdicts: list[StageVerdict]
    cost: TrainingCost
    bias: BiasJson | None
    rank_correlation: RankCorrelation | None
    evaluation: Evaluation


class SelectionJson(TypedDict):
    """A funnel.

    Attributes:
        funnel: name of the funnel.
        study: number of the study within the first run, from 1.
        doubles: programs at the top of a run for which another one stands.
        survivors: programs that passed the last completed stage, best first.
        known_runs: number of training runs that were taken from the cache.
        trained_runs: number of training runs that this command executed.
    """

    funnel: str
    runs: list[str]
    status: str
    study: int
    warnings: list[str]
    candidates: list[EnteredProgram]
    doubles: list[Double]
    stages: list[StageJson]
    survivors: list[str]
    considered: int
    known_runs: int
    trained_runs: int


class RejectedProgramJson(TypedDict):
    """A program that did not pass a stage."""

    contender: str
    why: str


class TaskVerdictJson(TypedDict):
    """A verdict on a program against a baseline, on one task."""

    task: str
    contender: str
    baseline: str
    verdict: str


class HeadlineVerdictJson(TypedDict):
    """A verdict on a program against an opponent, over all tasks."""

    contender: str
    opponent: str
    verdict: str


class TrendVerdictJson(TypedDict):
    """How a lead changes with the number of steps, on one task."""

    task: str
    contender: str
    opponent: str
    verdict: str


class StageSummaryJson(TypedDict):
    """A completed stage, or an evaluation.

    Attributes:
        tasks: names of the tasks.
        seeds: number of fresh seeds of each replicate.
        passed: names of the programs that passed, best first.
        fell: programs that did not pass, with the reason.
        comparisons: verdicts on each task.
        headlines: verdicts over all tasks.
        trends: how leads change with the number of steps.
    """

    name: str
    tasks: list[str]
    seeds: int
    replicates: int
    shared: bool
    passed: list[str]
    fell: list[RejectedProgramJson]
    comparisons: list[TaskVerdictJson]
    headlines: list[HeadlineVerdictJson]
    trends: list[TrendVerdictJson]
    cost: TrainingCost
    rank_correlation: RankCorrelation | None


class StudySummaryJson(TypedDict):
    """A funnel or an evaluation of programs of a run.

    Attributes:
        study: number of the study within the run, from 1.
        funnel: name of the funnel; None for an evaluation.
        planned: names of the stages of the funnel.
        candidates: names of the programs that entered.
        survivors: programs that passed the last completed stage, best first.
    """

    study: int
    created: str
    status: str
    funnel: str | None
    planned: list[str]
    runs: list[str]
    candidates: list[str]
    stages: list[StageSummaryJson]
    survivors: list[str]
