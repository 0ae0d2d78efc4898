"""JSON of runs and of their progress: what ``json_values`` returns."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class CountsJson(TypedDict):
    """Counts of a search."""

    generated: int
    evaluated: int
    cache_hits: int
    outcomes: dict[str, int]


class LeaderJson(TypedDict):
    """A program of lowest fitness."""

    id: str
    fitness: float


class TaskRunsJson(TypedDict):
    """Results on one of several tasks.

    Attributes:
        task: name of the task.
        losses: loss on each seed; None if the run failed.
        mean: mean of the losses; None if a run failed.
        interval: the two ends of its 95 % interval, None for unbounded; None if a run failed.
    """

    task: str
    seeds: list[int]
    losses: list[float | None]
    outcomes: dict[str, int]
    mean: float | None
    interval: list[float | None] | None


class FurtherRunsJson(TypedDict):
    """Results of a program on further seeds.

    Attributes:
        losses: with one task, the loss on each seed; None if a run failed.
        scores: with several tasks, the score of each seed; None if a run failed.
        mean: mean of the losses or scores; None if a run failed.
        interval: the two ends of its 95 % interval, None for unbounded; None if a run failed.
        tasks: with several tasks, the losses on each.
    """

    seeds: list[int]
    losses: NotRequired[list[float | None]]
    scores: NotRequired[list[float | None]]
    outcomes: dict[str, int]
    mean: float | None
    interval: list[float | None] | None
    tasks: NotRequired[list[TaskRunsJson]]


class WarmStartJson(TypedDict):
    """The warm start."""

    name: str
    id: str
    fitness: float | None
    finalist: FurtherRunsJson | None
    fresh: FurtherRunsJson | None


class BestProgramJson(TypedDict):
    """The best program of a search.

    Attributes:
        text: the program as recorded.
        rate: factor on the learning rate that the search found best.
        pruned: the program at this learning rate, without dead statements.
    """

    id: str
    fitness: float | None
    text: str
    rate: float
    pruned: str
    finalist: FurtherRunsJson | None
    fresh: FurtherRunsJson | None


class ControlJson(CountsJson):
    """A control of a run."""

    name: str
    best: BestProgramJson | None


class FirstStageJson(CountsJson):
    """A search of the first stage."""

    name: str
    best: LeaderJson | None


class TaskDifferenceJson(TypedDict):
    """The best program against a control, on one of several tasks.

    Attributes:
        task: name of the task.
        difference: mean over seeds of the control's loss minus the best program's; None if a run of either failed.
        interval: the two ends of its 95 % interval; None if a run of either failed.
        winner: name of the better one; None if neither trains on every seed, or for a single seed.
    """

    task: str
    difference: float | None
    interval: list[float | None] | None
    winner: str | None


class ControlComparisonJson(TypedDict):
    """The best program against a control.

    Attributes:
        difference: mean over seeds of the control's loss or score minus the best program's, positive if the best
            program is better; None if a run of either failed.
        interval: the two ends of its 95 % interval; None if a run of either failed.
        winner: name of the better one; None if neither trains on every seed, or for a single seed.
        tasks: with several tasks, the differences of the losses on each.
    """

    control: str
    difference: float | None
    interval: list[float | None] | None
    winner: str | None
    tasks: NotRequired[list[TaskDifferenceJson]]


class ValidatedProgramJson(TypedDict):
    """A program in meta-validation."""

    id: str
    evaluations: int
    fitness: float | None
    outcome: str
    loss: float | None


class MetaValidationJson(TypedDict):
    """Meta-validation of a run."""

    task: str
    seeds: list[int]
    programs: list[ValidatedProgramJson]
    carry_forward: str | None
    overfitting: float | None


class RunJson(CountsJson):
    """A run. The counts are those of its main search.

    Attributes:
        run: run folder.
        task: the first task of the fitness.
        population_digest: digest of the main search's population; absent before the main search begins.
    """

    name: str
    run: str
    status: str
    task: str
    tasks: list[str]
    seed: int
    seconds: float
    redundant_share: float | None
    best: BestProgramJson | None
    warm_start: WarmStartJson | None
    controls: list[ControlJson]
    comparison: list[ControlComparisonJson]
    first_stage: list[FirstStageJson]
    meta_validation: MetaValidationJson | None
    population_digest: NotRequired[str]


class ValidationProgressJson(TypedDict):
    """Meta-validation so far."""

    task: str
    carry_forward: str | None
    overfitting: float | None


class SnapshotJson(CountsJson):
    """The progress of a run.

    Attributes:
        meta_validation: meta-validation so far; None for controls and without it. Absent before the first search.
        seconds: time spent on the run, over all sessions. Absent before the first search.
    """

    name: str
    status: str
    search: str | None
    redundant_share: float | None
    best: LeaderJson | None
    warm_start: float | None
    meta_validation: NotRequired[ValidationProgressJson | None]
    seconds: NotRequired[float]
    result: NotRequired[str | None]


class ReportedRunJson(TypedDict):
    """A run of a report.

    Attributes:
        run: run folder.
        status: status of the run.
        copies: names of further folders with the same run, which are not shown again.
    """

    run: str
    status: str
    copies: list[str]


class ReportedChartJson(TypedDict):
    """A chart of a report.

    Attributes:
        name: name of the chart and its files.
        title: title of the chart.
    """

    name: str
    title: str


class ReportJson(TypedDict):
    """A written report.

    Attributes:
        report: the page.
        bytes: its size.
        runs: the runs that it shows.
        charts: all charts.
        figures: files of the charts; empty without `--figures`.
    """

    report: str
    bytes: int
    runs: list[ReportedRunJson]
    charts: list[ReportedChartJson]
    figures: list[str]


class WatchedWorkJson(TypedDict):
    """What `watch` says of `evaluate`, `select` or `simplify`.

    Attributes:
        name: name of the work, as `optsearch runs` lists it.
    """

    name: str


class ProposedFileJson(TypedDict):
    """A proposed program.

    Attributes:
        file: the file as it was given.
        accepted: True if the program now waits for the search.
        equals: id of the equivalent program of the run; None if there is none.
        fingerprint: fingerprint of the program; None if the file has no valid one.
        error: reason for a refusal; None if the program is accepted.
    """

    file: str
    accepted: bool
    fingerprint: str | None
    equals: str | None
    error: str | None


class ProposedJson(TypedDict):
    """The result of `propose`.

    Attributes:
        run: run folder.
        source: name under which the programs are recorded.
        files: what became of each file, in order.
        waiting: number of proposals that wait.
        when: when the search takes them up: ``running`` for now, ``resumed`` for when it is resumed, ``extended`` for
            when it is resumed with a larger budget.
        next: the same as a sentence.
    """

    run: str
    source: str
    files: list[ProposedFileJson]
    waiting: int
    when: str
    next: str
