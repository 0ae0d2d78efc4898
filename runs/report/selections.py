"""The funnels and evaluations that a run's programs went through, as the report shows them.

Everything comes from the stages that the run's own file holds: who entered, what each contender's trials and runs on
fresh seeds gave, and who went on. A study that goes on or was interrupted shows the stages that have ended.
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
from optsearch.runs.text.phrasing import comparison_verdict

MOST_NAMED = 4
"""Programs, and comparisons, that the sentences about a selection name."""

MOST_LINES = 40
"""Programs that the chart of a funnel draws."""


@dataclass(frozen=True, slots=True)
class ShownStage:
    """A stage that has ended.

    Attributes:
        name: what the funnel calls it.
        tasks: its tasks.
        seeds: number of fresh seeds.
        trials: tuning trials of each contender on each task.
        programs: that entered.
        verdicts: one for each contender as `select` recorded it; empty for an evaluation, where nobody falls.
        cost: ``runs``, ``steps`` and ``seconds`` of training.
        bias: how far the search flattered its best; None where that is not known.
        correlation: Kendall's ``tau`` with the stage before and the number of ``programs``; None where not known.
        comparisons: programs against baselines, with ``reference``, the baseline's name.
        overall: contenders over all tasks, with the share of runs that have ``reached`` the reference's training loss,
            and the ``operations`` of a step.
        reference: the contender in whose units losses are put together.
        tuned: what was chosen for each contender on each task.
        charts: by what they show.
        anchor: of its place on the page.
        trials_tried: every trial of tuning: ``task``, ``contender``, what was tuned, ``loss`` (mean over its seeds,
            None where one failed), ``seeds``.
        runs: every run on a fresh seed.
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
    comparisons: Sequence[Mapping[str, Any]]
    overall: Sequence[Mapping[str, Any]]
    reference: str
    tuned: Sequence[Row]
    charts: StageCharts
    anchor: str
    trials_tried: Sequence[Row]
    runs: Sequence[Row]

    def verdict_rows(self) -> list[Row]:
        """Verdicts with a column for each task's loss."""
        return [
            {key: value for key, value in row.items() if key != "losses"}
            | {f"loss_{task}": loss for task, loss in row["losses"].items()}
            for row in self.verdicts
        ]

    @property
    def passed(self) -> list[str]:
        """Programs that go on, the best first."""
        return [row["contender"] for row in self.verdicts if row["passed"]]


@dataclass(frozen=True, slots=True)
class Selection:
    """A funnel or an evaluation.

    Attributes:
        number: its place among those of the run, from 1.
        funnel: the funnel's name; empty for an evaluation.
        description: what the funnel is for.
        created: when it was begun.
        status: ``running`` or ``finished``.
        runs: names of the runs whose programs took part.
        candidates: programs that entered: ``name``, ``fitness``, ``program``.
        stages: those that have ended.
        waiting: names of those that have not.
        chart: ranks from stage to stage; None for an evaluation and before a stage has ended.
        key: equal for the same selection in the files of other runs.
        anchor: of its place on the page.
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
        """All its charts, in the order of the page."""
        found = [] if self.chart is None else [self.chart]
        return found + [chart for stage in self.stages for chart in stage.charts.every()]

    def says(self) -> list[str]:
        """What came of it: first who is left, then the comparisons that this rests on."""
        if not self.stages:
            return ["No stage has ended yet."]
        last = self.stages[-1]
        if not self.funnel:
            return _tally(last)
        many = len(self.stages)
        after = f"{many} stage{'' if many == 1 else 's'}{'' if self.status == 'finished' else ' so far'}"
        if not last.passed:
            return [f"Of {len(self.candidates)} programs nobody is left after {after}."]
        named = last.passed[:MOST_NAMED]
        left = ", ".join(named) + (" and others" if len(last.passed) > MOST_NAMED else "")
        verb = "is" if len(last.passed) == 1 else "are"
        says = f"Of {len(self.candidates)} programs {len(last.passed)} {verb} left after {after}: {left}."
        rows = [row for row in last.comparisons if row["contender"] in named]
        if len(rows) > MOST_NAMED:
            return [says, *_tally(last)]
        return [says, *(f"On {row['task']}, {comparison_verdict(row, len(last.comparisons))}" for row in rows)]


def read_selections(store: RunReader, prefix: str = "") -> list[Selection]:
    """Reads the funnels and evaluations of a run.

    Args:
        store: the run.
        prefix: of the charts' names.
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
    result, evaluation = stage.result, stage.result["evaluation"]
    baselines = {row["contender"] for row in evaluation["rows"] if row["baseline"]}
    programs = [name for name in evaluation["contenders"] if name not in baselines]
    ranked = [row["contender"] for row in result["verdicts"] if not row["baseline"]] or _by_loss(evaluation, programs)
    order = [*ranked, *(name for name in evaluation["contenders"] if name in baselines)]
    trials = int(evaluation["budget"]["trials"])
    return ShownStage(
        name=stage.name,
        tasks=evaluation["tasks"],
        seeds=len(evaluation["seeds"]),
        trials=trials,
        programs=len(programs),
        verdicts=result["verdicts"],
        cost=result["cost"],
        bias=result["bias"],
        correlation=result["rank_correlation"],
        comparisons=evaluation["comparisons"],
        overall=_overall(evaluation, order),
        reference=evaluation["reference"],
        tuned=[_tuned(entry) for entry in evaluation["tuning"]] if trials else [],
        charts=stage_charts.read(evaluation, order, baselines, prefix, on_test=trials > 0 or not is_funnel),
        anchor=prefix.removesuffix("-"),
        trials_tried=[row for entry in evaluation["tuning"] for row in _trials(entry)],
        runs=[{k: v for k, v in row.items() if k not in ("values", "train_losses")} for row in evaluation["rows"]],
    )


def _tally(stage: ShownStage) -> list[str]:
    """How the comparisons of a stage came out."""
    verdicts = Counter(str(row["verdict"]) for row in stage.comparisons)
    if not verdicts:
        return []
    words = ", ".join(f"{verdicts[name]} {name}" for name in ("better", "worse", "undecided") if verdicts[name])
    count = verdicts.total()
    return [
        f"Programs against baselines on the same fresh seeds, {count} comparison{'' if count == 1 else 's'}: {words}."
    ]


def _overall(evaluation: Mapping[str, Any], order: Sequence[str]) -> list[Row]:
    times = {row["contender"]: {key: row[key] for key in ("reached", "operations")} for row in evaluation["times"]}
    rows = [dict(row) | times[row["contender"]] for row in evaluation["overall"]]
    return sorted(rows, key=lambda row: order.index(row["contender"]))


def _by_loss(evaluation: Mapping[str, Any], programs: Sequence[str]) -> list[str]:
    """Programs by their loss relative to the reference's, those that failed last."""
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
    """What charts of each stage are called in files: names that are different and have no separators."""
    return [f"{place}-{file_name(stage.name)}" for place, stage in enumerate(stages, start=1)]
