"""A completed stage of a funnel, or an evaluation: what a run file records of it, and its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from optsearch.runs.store.decoding import fault
from optsearch.runs.store.records import JsonObject
from optsearch.runs.summary.evaluation_json import decode_evaluation, encode_evaluation, finite
from optsearch.selection.comparison.evaluation import Evaluation
from optsearch.selection.funnel import RankCorrelation, StageVerdict
from optsearch.selection.statistics.intervals import Interval


@dataclass(frozen=True, slots=True)
class TrainingCost:
    """Cost of training, cached runs included.

    Attributes:
        runs: number of training runs.
        steps: number of optimizer steps.
        seconds: training time, summed over all workers.
    """

    runs: int
    steps: int
    seconds: float


@dataclass(frozen=True, slots=True)
class SelectionBias:
    """Loss on fresh seeds minus fitness in the search: by so much the search flatters its best programs.

    Attributes:
        interval: mean over the programs, with its interval.
        programs: the difference of each program.
    """

    interval: Interval
    programs: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class StageRecord:
    """A completed stage of a funnel, or an evaluation.

    Attributes:
        name: name of the stage.
        verdicts: programs from best to worst, then baselines; empty for an evaluation, which rejects no programs.
        cost: cost of training.
        bias: selection bias of the search's fitness; None if unknown.
        rank_correlation: rank correlation with the stage before; None if unknown.
        evaluation: training runs and statistics.
    """

    name: str
    verdicts: tuple[StageVerdict, ...]
    cost: TrainingCost
    bias: SelectionBias | None
    rank_correlation: RankCorrelation | None
    evaluation: Evaluation

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks."""
        return self.evaluation.tasks

    @property
    def seeds(self) -> int:
        """Number of fresh seeds of each replicate."""
        return len(self.evaluation.seeds) // self.evaluation.replicates

    @property
    def programs(self) -> tuple[StageVerdict, ...]:
        """Verdicts on the programs, from best to worst."""
        return tuple(verdict for verdict in self.verdicts if not verdict.baseline)

    @property
    def passed(self) -> tuple[str, ...]:
        """Names of the programs that pass, best first."""
        return tuple(verdict.contender for verdict in self.programs if verdict.passed)


_STAGE: TypeAdapter[StageRecord] = TypeAdapter(StageRecord)


def encode_stage(stage: StageRecord) -> dict[str, Any]:
    """A stage as JSON values."""
    return {
        "name": stage.name,
        "tasks": list(stage.tasks),
        "seeds": list(stage.evaluation.seeds),
        "verdicts": [finite(asdict(verdict)) for verdict in stage.verdicts],
        "cost": asdict(stage.cost),
        "bias": stage.bias and _encode_bias(stage.bias),
        "rank_correlation": stage.rank_correlation and asdict(stage.rank_correlation),
        "evaluation": encode_evaluation(stage.evaluation),
    }


def decode_stage(recorded: JsonObject) -> StageRecord:
    """The stage that was recorded, by this release or an earlier one.

    Args:
        recorded: result of a stage, whose head the reader has validated.

    Raises:
        ValueError: the values are no stage; the message names the first fault.
    """
    evaluation = decode_evaluation(recorded["evaluation"])
    parts = {key: recorded[key] for key in ("name", "verdicts", "cost", "rank_correlation")}
    try:
        stage = _STAGE.validate_python(parts | {"bias": _decode_bias(recorded["bias"]), "evaluation": evaluation})
    except ValidationError as error:
        raise ValueError(fault(error)) from None
    tasks, baselines = set(evaluation.tasks), {row.contender for row in evaluation.rows if row.baseline}
    programs = {name for name in evaluation.contenders if name not in baselines}
    if recorded["tasks"] != list(evaluation.tasks) or recorded["seeds"] != list(evaluation.seeds):
        raise ValueError("the tasks and seeds are not those of the evaluation")
    if stage.verdicts and {verdict.contender for verdict in stage.programs} != programs:
        raise ValueError("verdicts: the programs are not those of the evaluation")
    if not all(tasks <= verdict.losses.keys() for verdict in stage.verdicts):
        raise ValueError("verdicts: a loss is missing")
    return stage


def _encode_bias(bias: SelectionBias) -> JsonObject:
    mean = bias.interval
    return {"mean": mean.mean, "interval": [mean.low, mean.high], "count": mean.count, "programs": dict(bias.programs)}


def _decode_bias(recorded: JsonObject | None) -> JsonObject | None:
    if recorded is None:
        return None
    low, high = recorded["interval"]
    interval = {"mean": recorded["mean"], "low": low, "high": high, "count": recorded["count"]}
    return {"interval": interval, "programs": recorded["programs"]}
