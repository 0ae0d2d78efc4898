"""Report content of the funnels and evaluations of a run's programs.

All data come from the stages recorded in the run file: candidates, tuning trials, runs on fresh seeds, and verdicts. A
running or interrupted study shows its completed stages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optsearch.runs.report import stage_charts
from optsearch.runs.report.chart import Chart, Row
from optsearch.runs.report.selection_charts import funnel_chart
from optsearch.runs.report.stage_charts import StageCharts, file_name
from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.records import Stage, Study
from optsearch.runs.summary.evaluation_result import recorded_evaluation
from optsearch.runs.text.phrasing import comparison_verdict, headline_verdict

MOST_NAMED = 4
"""Maximum number of programs and comparisons in the sentences about a selection."""

NOT_IN_TABLES = frozenset(["values", "train_losses", "validation_losses"])
"""Keys of a run on a fresh seed that hold several numbers."""

MOST_LINES = 40
"""Maximum number of programs in the chart of a funnel."""


@dataclass(frozen=True, slots=True)
class ShownStage:
    """Report content of a completed stage.

    Attributes:
        name: name of the stage in the funnel.
        tasks: names of the tasks.
        seeds: number of fresh seeds of each replicate.
        trials: number of tuning trials of each contender on each task.
        programs: programs that entered the stage.
        verdicts: verdict on each contender as recorded by `select`; empty for an evaluation, which rejects no programs.
        cost: ``runs``, ``steps`` and ``seconds`` of training.
        bias: selection bias of the search's fitness; None if unknown.
        correlation: Kendall's ``tau`` with the previous stage and the number of ``programs``; None if unknown.
        replicates: number of tunings of each contender.
        comparisons: comparisons of programs with baselines, where ``reference`` is the name of the baseline.
        headlines: comparisons of programs with families and baselines over all tasks.
        shared: True if each tuning selected one setting for all tasks.
        rate_sensitivity: loss of each contender on each task at multiples of its tuned rates; empty unless measured.
        failed_tuning: baselines that are behind a baseline that they contain.
        overall: contenders over all tasks, with the fraction of runs that ``reached`` the target, and the
            ``operations`` of a step.
        reference: the contender relative to which losses are aggregated.
        target: loss of the reference that sets the target, as recorded: the validation loss or the training loss.
        step_times: wall-clock time of a compiled step of each contender on each task; empty if not measured.
        tuned: selected values for each contender on each task.
        charts: charts of the stage.
        anchor: HTML anchor of the stage.
        trials_tried: all tuning trials: ``task``, ``contender``, the tuned values, ``loss`` (mean over its seeds,
            None if one failed), ``seeds``.
        runs: all runs on fresh seeds.
    """

    name: str
    tasks: Sequence[str]
    seeds: int
    trials: int
    programs: int
    verdicts: Sequence[Mapping[str, Any]]
    cost: Mapping[str, Any]
    bias: Mapping[str, Any] | None
    correlation: Mapping[str, Any] | None
    replicates: int
    comparisons: Sequence[Mapping[str, Any]]
    headlines: Sequence[Mapping[str, Any]]
    shared: bool
    rate_sensitivity: Sequence[Mapping[str, Any]]
    failed_tuning: Sequence[Mapping[str, Any]]
    overall: Sequence[Mapping[str, Any]]
    reference: str
    target: str
    step_times: Sequence[Mapping[str, Any]]
    tuned: Sequence[Row]
    charts: StageCharts
    anchor: str
    trials_tried: Sequence[Row]
    runs: Sequence[Row]

    def verdict_rows(self) -> list[Row]:
        """Verdicts with one loss column per task."""
        return [
            {key: value for key, value in row.items() if key != "losses"}
            | {f"loss_{task}": loss for task, loss in row["losses"].items()}
            for row in self.verdicts
        ]

    @property
    def passed(self) -> list[str]:
        """Programs that pass the stage, best first."""
        return [row["contender"] for row in self.verdicts if row["passed"]]


@dataclass(frozen=True, slots=True)
class Selection:
    """Report content of a funnel or an evaluation.

    Attributes:
        number: number of the study within the run, from 1.
        funnel: name of the funnel; empty for an evaluation.
        description: purpose of the funnel.
        created: start time.
        status: ``running`` or ``finished``.
        runs: names of the runs of the candidates.
        candidates: programs that entered: ``name``, ``fitness``, ``program``.
        stages: completed stages.
        waiting: names of the remaining stages.
        chart: ranks over the stages; None for an evaluation and before the first stage is complete.
        key: identifies the same selection in the files of several runs.
        anchor: HTML anchor of the selection.
    """

    number: int
    funnel: str
    description: str
    created: str
    status: str
    runs: Sequence[str]
    candidates: Sequence[Mapping[str, Any]]
    stages: Sequence[ShownStage]
    waiting: Sequence[str]
    chart: Chart | None
    key: str
    anchor: str

    def charts(self) -> list[Chart]:
        """All charts of the selection, in page order."""
        found = [] if self.chart is None else [self.chart]
        return found + [chart for stage in self.stages for chart in stage.charts.every()]

    def says(self) -> list[str]:
        """Sentences about the result: first the remaining programs, then the underlying comparisons."""
        if not self.stages:
            return ["No stage has ended yet."]
        last = self.stages[-1]
        if not self.funnel:
            return _tally(last)
        many = len(self.stages)
        after = f"{many} stage{'' if many == 1 else 's'}{'' if self.status == 'finished' else ' so far'}"
        if not last.passed:
            return [f"Of {len(self.candidates)} programs none is left after {after}."]
        named = last.passed[:MOST_NAMED]
        left = ", ".join(named) + (" and others" if len(last.passed) > MOST_NAMED else "")
        verb = "is" if len(last.passed) == 1 else "are"
        says = f"Of {len(self.candidates)} programs {len(last.passed)} {verb} left after {after}: {left}."
        rows = [row for row in last.comparisons if row["contender"] in named]
        if len(rows) > MOST_NAMED:
            return [says, *_tally(last)]
        tests = len(last.comparisons) + len(last.headlines)
        return [says, *(f"On {row['task']}, {comparison_verdict(row, tests, last.replicates)}" for row in rows)]


def read_selections(store: RunReader, prefix: str = "") -> list[Selection]:
    """Reads the funnels and evaluations of a run.

    Args:
        store: the run.
        prefix: prefix of the charts' names.
    """
    return [_selection(study, f"{prefix}selection{study.number}-") for study in store.studies()]


def _selection(study: Study, prefix: str) -> Selection:
    funnel = study.settings.get("funnel") or {}
    names = _file_names(study.stages)
    stages = [
        _stage(stage, f"{prefix}{name}-", is_funnel=bool(funnel))
        for stage, name in zip(study.stages, names, strict=True)
    ]
    planned = [str(stage["name"]) for stage in funnel.get("stages", ())]
    return Selection(
        number=study.number,
        funnel=str(funnel.get("name", "")),
        description=str(funnel.get("description", "")),
        created=study.created,
        status=study.status,
        runs=study.settings["runs"],
        candidates=study.settings["candidates"],
        stages=stages,
        waiting=planned[len(stages) :],
        chart=_funnel_chart(f"{prefix}funnel", study.settings["candidates"], stages) if funnel and stages else None,
        key=repr(sorted(study.settings.items())),
        anchor=prefix.removesuffix("-"),
    )


def _stage(stage: Stage, prefix: str, *, is_funnel: bool) -> ShownStage:
    result, evaluation = stage.result, recorded_evaluation(stage.result)
    baselines = {row["contender"] for row in evaluation["rows"] if row["baseline"]}
    programs = [name for name in evaluation["contenders"] if name not in baselines]
    ranked = [row["contender"] for row in result["verdicts"] if not row["baseline"]] or _by_loss(evaluation, programs)
    order = [*ranked, *(name for name in evaluation["contenders"] if name in baselines)]
    trials = int(evaluation["budget"]["trials"])
    return ShownStage(
        name=stage.name,
        tasks=evaluation["tasks"],
        seeds=len(evaluation["seeds"]) // evaluation["replicates"],
        trials=trials,
        programs=len(programs),
        verdicts=result["verdicts"],
        cost=result["cost"],
        bias=result["bias"],
        correlation=result["rank_correlation"],
        replicates=evaluation["replicates"],
        comparisons=evaluation["comparisons"],
        headlines=evaluation["headlines"],
        shared=evaluation["shared"],
        rate_sensitivity=evaluation["rate_sensitivity"],
        failed_tuning=evaluation["failed_tuning"],
        overall=_overall(evaluation, order),
        reference=evaluation["reference"],
        target=evaluation["target"],
        step_times=evaluation["step_times"],
        tuned=[_tuned(entry) for entry in evaluation["tuning"]] if trials else [],
        charts=stage_charts.read(evaluation, order, baselines, prefix, on_test=trials > 0 or not is_funnel),
        anchor=prefix.removesuffix("-"),
        trials_tried=[row for entry in evaluation["tuning"] for row in _trials(entry)],
        runs=[{k: v for k, v in row.items() if k not in NOT_IN_TABLES} for row in evaluation["rows"]],
    )


def _tally(stage: ShownStage) -> list[str]:
    """States the verdicts over all tasks, and counts those of the comparisons of a stage."""
    if stage.replicates < 2:
        return ["Every contender was tuned once, which compares settings and not optimizers: no verdict."]
    verdicts = Counter(str(row["verdict"]) for row in stage.comparisons)
    if not verdicts:
        return []
    words = ", ".join(f"{verdicts[name]} {name}" for name in ("better", "worse", "undecided") if verdicts[name])
    count = verdicts.total()
    return [
        *map(headline_verdict, stage.headlines[:MOST_NAMED]),
        f"Programs against baselines, {count} comparison{'' if count == 1 else 's'} on single tasks: {words}.",
    ]


def _overall(evaluation: Mapping[str, Any], order: Sequence[str]) -> list[Row]:
    times = {row["contender"]: {key: row[key] for key in ("reached", "operations")} for row in evaluation["times"]}
    known = [row for row in evaluation["overall"] if row["contender"] in times]  # families follow in `headlines`
    rows = [dict(row) | times[row["contender"]] for row in known]
    return sorted(rows, key=lambda row: order.index(row["contender"]))


def _by_loss(evaluation: Mapping[str, Any], programs: Sequence[str]) -> list[str]:
    """Programs in order of their loss relative to the reference, failed ones last."""
    relative = {row["contender"]: row["relative_loss"] for row in evaluation["overall"]}
    return sorted(programs, key=lambda name: float("inf") if relative[name] is None else relative[name]["mean"])


def _trials(entry: Mapping[str, Any]) -> list[Row]:
    rows: list[Row] = []
    for trial in entry["trials"]:
        losses = trial["losses"]
        loss = None if None in losses else sum(losses) / len(losses)
        about = {"task": entry["task"], "contender": entry["contender"]}
        rows.append({**about, **trial["values"], "loss": loss, "seeds": len(losses)})
    return rows


def _tuned(entry: Mapping[str, Any]) -> Row:
    row = {key: entry[key] for key in ("task", "contender", "values", "loss", "at_edge")}
    return row | {"good": entry["sensitivity"]["good_rates"], "trials": len(entry["trials"])}


def _funnel_chart(name: str, candidates: Sequence[Mapping[str, Any]], stages: Sequence[ShownStage]) -> Chart:
    entered = [str(candidate["name"]) for candidate in candidates]
    left = set(stages[-1].passed)
    rows = [
        {"contender": program, "stage": "search", "rank": rank, "loss": f"fitness {candidate['fitness']:.5f}"}
        | {"why": "a candidate", "last": "went on"}
        for rank, (program, candidate) in enumerate(zip(entered, candidates, strict=True), start=1)
    ]
    for stage in stages:
        verdicts = [row for row in stage.verdicts if not row["baseline"]]
        for rank, row in enumerate(verdicts, start=1):
            losses = ", ".join(f"{task} {loss:.5f}" for task, loss in row["losses"].items() if loss is not None)
            last = "fell" if not row["passed"] else "left" if stage is stages[-1] else "went on"
            found = {"contender": row["contender"], "stage": stage.name, "rank": rank, "loss": losses}
            rows.append(found | {"why": row["why"], "last": last})
    late = [row["contender"] for row in reversed(rows)]
    drawn = set(list(dict.fromkeys(late))[:MOST_LINES])
    shown = [
        row | {"fate": "left at the end" if row["contender"] in left else "fell"}
        for row in rows
        if row["contender"] in drawn
    ]
    return funnel_chart(name, shown, ["search", *(stage.name for stage in stages)], len(entered) - len(drawn))


def _file_names(stages: Sequence[Stage]) -> list[str]:
    """Unique file-name prefixes of the stages, without path separators."""
    return [f"{place}-{file_name(stage.name)}" for place, stage in enumerate(stages, start=1)]
