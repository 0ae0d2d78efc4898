"""Report content of the funnels and evaluations of a run's programs.

All data come from the stages recorded in the run file: candidates, tuning trials, runs on fresh seeds, and verdicts. A
running or interrupted study shows its completed stages.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from optsearch.runs.report import stage_charts
from optsearch.runs.report.chart import Chart, Row, row_of
from optsearch.runs.report.selection_charts import funnel_chart
from optsearch.runs.report.stage_charts import StageCharts, file_name, loss_of
from optsearch.runs.store.reader import RunReader
from optsearch.runs.summary.selections import EnteredProgram, SelectionRecord, read_selections
from optsearch.runs.summary.stage_record import StageRecord
from optsearch.runs.text.phrasing import comparison_verdict, headline_verdict, number
from optsearch.selection.comparison.comparison import Overall, TimeToTarget
from optsearch.selection.comparison.evaluation import Evaluation, Tuning
from optsearch.selection.space import DECAY, RATE
from optsearch.selection.tuning.sensitivity import sensitivity

MOST_NAMED = 4
"""Maximum number of programs and comparisons in the sentences about a selection."""

NOT_IN_TABLES = frozenset(["values", "train_losses", "validation_losses"])
"""Fields of a run on a fresh seed that hold several numbers."""

MOST_LINES = 40
"""Maximum number of programs in the chart of a funnel."""


@dataclass(frozen=True, slots=True)
class ShownTuning:
    """One tuning in the table of tuned values.

    Attributes:
        task: name of the task.
        contender: name of the contender.
        rate: tuned learning rate.
        good: lowest and highest rate of a trial whose loss is nearly the best; None if every trial failed.
        decay: tuned weight decay; None for a contender without.
        loss: validation loss; None if a run failed.
        at_edge: True if a tuned value is at an end of its range.
    """

    task: str
    contender: str
    rate: float
    good: tuple[float, float] | None
    decay: float | None
    loss: float | None
    at_edge: bool


@dataclass(frozen=True, slots=True)
class ShownStage:
    """Report content of a completed stage.

    Attributes:
        record: the stage, as recorded.
        overall: contenders over all tasks, with their times to the target.
        tuned: selected values for each contender on each task; empty without tuning.
        charts: charts of the stage.
        anchor: HTML anchor of the stage.
    """

    record: StageRecord
    overall: Sequence[tuple[Overall, TimeToTarget]]
    tuned: Sequence[ShownTuning]
    charts: StageCharts
    anchor: str

    @property
    def evaluation(self) -> Evaluation:
        """Training runs and statistics of the stage."""
        return self.record.evaluation

    @property
    def programs(self) -> int:
        """Number of programs that entered the stage."""
        return len(_programs(self.evaluation))

    def verdict_rows(self) -> list[Row]:
        """Verdicts with one loss column per task."""
        return [
            {key: value for key, value in row_of(verdict).items() if key != "losses"}
            | {f"loss_{task}": loss for task, loss in verdict.losses.items()}
            for verdict in self.record.verdicts
        ]

    def trial_rows(self) -> list[Row]:
        """All tuning trials: ``task``, ``contender``, the tuned values, ``loss`` (mean over its seeds, None if one
        failed), ``seeds``.
        """
        return [
            {"task": entry.task, "contender": entry.contender, **dict(trial.values)}
            | {"loss": loss_of(trial), "seeds": len(trial.losses)}
            for entry in self.evaluation.tuning
            for trial in entry.tuned.trials
        ]

    def run_rows(self) -> list[Row]:
        """All runs on fresh seeds."""
        rows = map(row_of, self.evaluation.rows)
        return [{key: value for key, value in row.items() if key not in NOT_IN_TABLES} for row in rows]


@dataclass(frozen=True, slots=True)
class Selection:
    """Report content of a funnel or an evaluation.

    Attributes:
        record: the funnel or evaluation, as recorded.
        stages: completed stages.
        chart: ranks over the stages; None for an evaluation and before the first stage is complete.
        anchor: HTML anchor of the selection.
    """

    record: SelectionRecord
    stages: Sequence[ShownStage]
    chart: Chart | None
    anchor: str

    def charts(self) -> list[Chart]:
        """All charts of the selection, in page order."""
        found = [] if self.chart is None else [self.chart]
        return found + [chart for stage in self.stages for chart in stage.charts.every()]

    def says(self) -> list[str]:
        """Sentences about the result: first the remaining programs, then the underlying comparisons."""
        if not self.stages:
            return ["No stage has ended yet."]
        last = self.record.stages[-1]
        if self.record.funnel is None:
            return _tally(last.evaluation)
        many, entered = len(self.stages), len(self.record.candidates)
        after = f"{many} stage{'' if many == 1 else 's'}{'' if self.record.status == 'finished' else ' so far'}"
        if not last.passed:
            return [f"Of {entered} programs none is left after {after}."]
        named = last.passed[:MOST_NAMED]
        left = ", ".join(named) + (" and others" if len(last.passed) > MOST_NAMED else "")
        verb = "is" if len(last.passed) == 1 else "are"
        says = f"Of {entered} programs {len(last.passed)} {verb} left after {after}: {left}."
        rows = [row for row in last.evaluation.comparisons if row.contender in named]
        if len(rows) > MOST_NAMED:
            return [says, *_tally(last.evaluation)]
        tests = len(last.evaluation.comparisons) + len(last.evaluation.headlines)
        return [says, *(f"On {row.task}, {comparison_verdict(row, tests)}" for row in rows)]


def shown_selections(store: RunReader, prefix: str = "") -> list[Selection]:
    """Reads the funnels and evaluations of a run.

    Args:
        store: the run.
        prefix: prefix of the charts' names.
    """
    return [_selection(found, f"{prefix}selection{found.number}-") for found in read_selections(store)]


def _selection(found: SelectionRecord, prefix: str) -> Selection:
    stages = [
        _stage(stage, f"{prefix}{name}-", is_funnel=found.funnel is not None)
        for stage, name in zip(found.stages, _file_names(found.stages), strict=True)
    ]
    chart = _funnel_chart(f"{prefix}funnel", found.candidates, found.stages) if found.funnel and stages else None
    return Selection(found, stages, chart, prefix.removesuffix("-"))


def _stage(stage: StageRecord, prefix: str, *, is_funnel: bool) -> ShownStage:
    evaluation, programs = stage.evaluation, _programs(stage.evaluation)
    baselines = [name for name in evaluation.contenders if name not in programs]
    order = [*([row.contender for row in stage.programs] or _by_loss(evaluation, programs)), *baselines]
    is_tuned = evaluation.budget.trials > 0
    return ShownStage(
        record=stage,
        overall=_overall(evaluation, order),
        tuned=[_tuned(entry) for entry in evaluation.tuning] if is_tuned else [],
        charts=stage_charts.read(evaluation, order, baselines, prefix, on_test=is_tuned or not is_funnel),
        anchor=prefix.removesuffix("-"),
    )


def _programs(evaluation: Evaluation) -> list[str]:
    baselines = {row.contender for row in evaluation.rows if row.baseline}
    return [name for name in evaluation.contenders if name not in baselines]


def _tally(evaluation: Evaluation) -> list[str]:
    """States the verdicts over all tasks, and counts those of the comparisons of a stage."""
    if evaluation.replicates < 2:
        return ["Every contender was tuned once, which compares settings and not optimizers: no verdict."]
    verdicts = Counter(row.verdict for row in evaluation.comparisons)
    if not verdicts:
        return []
    words = ", ".join(f"{verdicts[name]} {name}" for name in ("better", "worse", "undecided") if verdicts[name])
    count = verdicts.total()
    return [
        *map(headline_verdict, evaluation.headlines[:MOST_NAMED]),
        f"Programs against baselines, {count} comparison{'' if count == 1 else 's'} on single tasks: {words}.",
    ]


def _overall(evaluation: Evaluation, order: Sequence[str]) -> list[tuple[Overall, TimeToTarget]]:
    times = {row.contender: row for row in evaluation.times}
    known = [row for row in evaluation.overall if row.contender in times]  # families follow in `headlines`
    return [(row, times[row.contender]) for row in sorted(known, key=lambda row: order.index(row.contender))]


def _by_loss(evaluation: Evaluation, programs: Sequence[str]) -> list[str]:
    """Programs in order of their loss relative to the reference, failed ones last."""
    relative = {row.contender: row.relative_loss for row in evaluation.overall}
    return sorted(programs, key=lambda name: math.inf if (found := relative[name]) is None else found.mean)


def _tuned(entry: Tuning) -> ShownTuning:
    tuned, values = entry.tuned, dict(entry.tuned.values)
    loss = None if tuned.loss == math.inf else tuned.loss
    good = sensitivity(tuned.trials).good_rates
    return ShownTuning(entry.task, entry.contender, values[RATE], good, values.get(DECAY), loss, tuned.at_edge)


def _funnel_chart(name: str, candidates: Sequence[EnteredProgram], stages: Sequence[StageRecord]) -> Chart:
    left = set(stages[-1].passed)
    rows: list[Row] = [
        {"contender": candidate.name, "stage": "search", "rank": rank, "loss": f"fitness {number(candidate.fitness)}"}
        | {"why": "a candidate", "last": "went on"}
        for rank, candidate in enumerate(candidates, start=1)
    ]
    for stage in stages:
        for rank, row in enumerate(stage.programs, start=1):
            losses = ", ".join(f"{task} {loss:.5f}" for task, loss in row.losses.items() if loss is not None)
            last = "fell" if not row.passed else "left" if stage is stages[-1] else "went on"
            found = {"contender": row.contender, "stage": stage.name, "rank": rank, "loss": losses}
            rows.append(found | {"why": row.why, "last": last})
    late = [row["contender"] for row in reversed(rows)]
    drawn = set(list(dict.fromkeys(late))[:MOST_LINES])
    shown = [
        row | {"fate": "left at the end" if row["contender"] in left else "fell"}
        for row in rows
        if row["contender"] in drawn
    ]
    return funnel_chart(name, shown, ["search", *(stage.name for stage in stages)], len(candidates) - len(drawn))


def _file_names(stages: Sequence[StageRecord]) -> list[str]:
    """Unique file-name prefixes of the stages, without path separators."""
    return [f"{place}-{file_name(stage.name)}" for place, stage in enumerate(stages, start=1)]
