"""JSON of studies over several seeds of a campaign: what ``study_json`` of ``json_values`` returns."""

from __future__ import annotations

from typing import TypedDict

from optsearch.runs.cli.json_forms.runs import RunJson


class MeanJson(TypedDict):
    """A mean over runs.

    Attributes:
        mean: the mean.
        interval: the two ends of its 95 % interval; None for unbounded.
        runs: number of runs.
    """

    mean: float
    interval: list[float | None]
    runs: int


class StudyComparisonJson(TypedDict):
    """The best programs of a study against a control.

    Attributes:
        difference: mean over runs of the control's mean minus the best program's; None for fewer than two runs.
        interval: the two ends of its 95 % interval; None for fewer than two runs.
    """

    control: str
    runs: int
    difference: float | None
    interval: list[float | None] | None


class StudyTaskJson(TypedDict):
    """A study on one of several tasks.

    Attributes:
        best_fresh_loss: mean loss of the best programs on fresh seeds; None if none has been run there.
    """

    task: str
    best_fresh_loss: MeanJson | None
    comparison: list[StudyComparisonJson]


class StudyJson(TypedDict):
    """Statistics over the runs of a study.

    Attributes:
        best_fresh_loss: mean loss of the best programs on fresh seeds; None with several tasks, or without a value.
        best_fresh_score: with several tasks, the mean score; None otherwise.
    """

    seeds: list[int]
    best_fitness: MeanJson | None
    best_fresh_loss: MeanJson | None
    best_fresh_score: MeanJson | None
    cache_hit_rate: MeanJson | None
    redundant_share: MeanJson | None
    comparison: list[StudyComparisonJson]
    tasks: list[StudyTaskJson]


class RunsJson(TypedDict):
    """Several runs that differ in their seed.

    Attributes:
        runs: the runs, by seed.
        study: statistics over them.
    """

    runs: list[RunJson]
    study: StudyJson
