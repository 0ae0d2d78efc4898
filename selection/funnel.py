"""A funnel: stage after stage on larger tasks, and in each only those programs go on that hold up.

    name: ladder
    candidates: {per_run: 50, most: 16}
    stages:
      - {name: fresh, tasks: [search], trials: 0, seeds: 16, baselines: [], keep: {best: 8}}
      - {name: x10, tasks: [x10], keep: {best: 4, beats: [adamw]}}

Every stage has fresh seeds of its own, and tunes all contenders anew, since settings of one rung do not fit the next.

Source: Chen et al. 2023 (arXiv:2302.06675), section 2.3.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from optsearch.proxy_tasks.run import Trained
from optsearch.search.pool import Pool
from optsearch.selection.baselines import BaselineError, get_baseline
from optsearch.selection.contender import Contender, TrainingJob, baseline
from optsearch.selection.evaluation import Evaluation, TrainingProgress, evaluate
from optsearch.selection.problem import Problem
from optsearch.selection.ranks import kendall_tau
from optsearch.selection.tuning import TRIALS, TuningBudget, fresh_seeds

_MODEL = ConfigDict(frozen=True, extra="forbid", strict=True)


class CandidatesConfig(BaseModel):
    """Who enters.

    Attributes:
        per_run: programs of lowest fitness that are looked at in each search of each run.
        most: programs that enter, best first.
        distance: programs whose updates differ by less, on a scale from 0 to 2, count as one; see `behaviour`.
    """

    model_config = _MODEL

    per_run: int = Field(default=50, ge=1, le=100_000)
    most: int = Field(default=16, ge=1, le=1000)
    distance: float = Field(default=0.02, ge=0.0, le=2.0, allow_inf_nan=False)


class KeepConfig(BaseModel):
    """Who goes on.

    Attributes:
        best: at most so many, by mean loss relative to the reference; None for no limit.
        beats: baselines whose mean loss, over all tasks of the stage, must be higher.
        certain: whether that must be more than chance on a task at least, and the contrary on none.
    """

    model_config = _MODEL

    best: int | None = Field(default=None, ge=1, le=1000)
    beats: list[str] = []
    certain: bool = False


class StageConfig(BaseModel):
    """A stage.

    Attributes:
        name: what tables call it.
        tasks: names of tasks; ``search`` means those of the search, ``x10`` and the like their larger rungs.
        trials: tuning trials of every contender on every task; 0 to take programs as the search left them.
        constants: whether constants are tuned beside rate and weight decay.
        seeds: fresh seeds.
        baselines: who is tuned and run beside the programs; the first is the reference.
        keep: who goes on.
    """

    model_config = _MODEL

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    tasks: list[str] = Field(min_length=1, max_length=64)
    trials: int = Field(default=TRIALS, ge=0, le=10_000)
    constants: bool = False
    seeds: int = Field(default=16, ge=2, le=10_000)
    baselines: list[str] = ["adamw", "lion"]
    keep: KeepConfig = KeepConfig()

    @field_validator("baselines")
    @classmethod
    def _baselines_are_known(cls, names: list[str]) -> list[str]:
        try:
            return list(dict.fromkeys(get_baseline(name).name for name in names))
        except BaselineError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _those_to_beat_are_there(self) -> StageConfig:
        for name in self.keep.beats:
            if name.lower() not in self.baselines:
                raise ValueError(f"keep.beats names '{name}', which is not among the stage's baselines")
        if self.keep.certain and not self.keep.beats:
            raise ValueError("keep.certain has a meaning only with keep.beats")
        return self


class FunnelConfig(BaseModel):
    """All settings of a funnel.

    Attributes:
        name: what it is called.
        description: what it is for.
        candidates: who enters.
        stages: the stages, in order.
    """

    model_config = _MODEL

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    description: str = ""
    candidates: CandidatesConfig = CandidatesConfig()
    stages: Annotated[list[StageConfig], Field(min_length=1, max_length=100)]

    @field_validator("stages")
    @classmethod
    def _names_differ(cls, stages: list[StageConfig]) -> list[StageConfig]:
        names = [stage.name for stage in stages]
        if len(set(names)) < len(names):
            raise ValueError(f"two stages have the same name: {', '.join(names)}")
        return stages


@dataclass(frozen=True, slots=True)
class StageVerdict:
    """What became of a contender in a stage.

    Attributes:
        contender: its name.
        baseline: whether it is a baseline, which nothing happens to.
        passed: whether it goes on.
        why: one sentence.
        score: mean over tasks of its mean loss relative to the reference's; None when it failed.
        losses: mean loss on each task, over the seeds on which it trained; None where there are none.
        failed: runs that failed.
    """

    contender: str
    baseline: bool
    passed: bool
    why: str
    score: float | None
    losses: Mapping[str, float | None]
    failed: int


@dataclass(frozen=True, slots=True)
class StageResult:
    """A stage that has ended.

    Attributes:
        evaluation: all of its runs.
        verdicts: programs from best to worst, then baselines.
    """

    evaluation: Evaluation
    verdicts: tuple[StageVerdict, ...]

    @property
    def survivors(self) -> list[str]:
        """Names of those who go on, the best first."""
        return [verdict.contender for verdict in self.verdicts if verdict.passed]


def run_stage(
    config: StageConfig,
    number: int,
    problems: Sequence[Problem],
    programs: Sequence[Contender],
    *,
    pool: Pool[TrainingJob, Trained] | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> StageResult:
    """Trains everybody and says who goes on.

    Args:
        config: the stage.
        number: its place in the funnel, from 0; it has fresh seeds of its own.
        problems: its tasks.
        programs: who is left.
        pool: makes the training runs; None for this process.
        progress: called when a run has ended.
    """
    contenders = [*programs, *map(baseline, config.baselines)]
    evaluation = evaluate(
        contenders,
        problems,
        fresh_seeds(config.seeds, block=number + 1),
        budget=TuningBudget(config.trials, constants=config.constants),
        pool=pool,
        progress=progress,
    )
    return StageResult(evaluation, judge(config, evaluation, [program.name for program in programs]))


def judge(config: StageConfig, evaluation: Evaluation, programs: Sequence[str]) -> tuple[StageVerdict, ...]:
    """Who goes on. Without tuning, validation losses count, as in the search; with it test losses, which tuning did
    not see.
    """
    losses = evaluation.losses(test=config.trials > 0)
    means = {
        name: {task: _mean([x for x in rows[name].values() if x < math.inf]) for task, rows in losses.items()}
        for name in evaluation.contenders
    }
    failed = {
        name: sum(x == math.inf for rows in losses.values() for x in rows[name].values())
        for name in evaluation.contenders
    }
    if config.baselines:
        reference = means[config.baselines[0]]
    else:
        reference = {task: _median([means[name][task] for name in programs]) for task in losses}
    scores = {name: None if failed[name] else _relative(means[name], reference) for name in evaluation.contenders}
    ranked = sorted(programs, key=lambda name: (math.inf if (s := scores[name]) is None else s, programs.index(name)))
    verdicts: list[StageVerdict] = []
    passed = 0
    for rank, name in enumerate(ranked, start=1):
        fault = _fault(config, evaluation, name, scores, failed)
        if fault is None and config.keep.best is not None and passed >= config.keep.best:
            fault = f"rank {rank} of {len(ranked)}, and {config.keep.best} go on"
        passed += fault is None
        why = fault or f"rank {rank} of {len(ranked)}"
        verdicts.append(StageVerdict(name, False, fault is None, why, scores[name], means[name], failed[name]))
    for name in config.baselines:
        why = f"did not train on {failed[name]} runs" if failed[name] else "for comparison"
        verdicts.append(StageVerdict(name, True, False, why, scores[name], means[name], failed[name]))
    return tuple(verdicts)


def rank_correlation(before: Mapping[str, float | None], after: Mapping[str, float | None]) -> tuple[float, int] | None:
    """Kendall's tau between the scores of two stages, and the number of programs that have both; None below two."""
    both = [(a, b) for name, b in after.items() if (a := before.get(name)) is not None and b is not None]
    tau = kendall_tau([a for a, _ in both], [b for _, b in both])
    return None if tau is None else (tau, len(both))


def _fault(
    config: StageConfig,
    evaluation: Evaluation,
    name: str,
    scores: Mapping[str, float | None],
    failed: Mapping[str, int],
) -> str | None:
    """Why a program falls whatever its rank; None when it need not."""
    score = scores[name]
    if score is None:
        return f"did not train on {failed[name]} of {len(evaluation.tasks) * len(evaluation.seeds)} runs"
    for other in (name.lower() for name in config.keep.beats):
        theirs = scores[other]
        if theirs is not None and score >= theirs:
            return f"worse than tuned {other} by {score - theirs:.2%}" if score > theirs else f"no better than {other}"
        verdicts = [c.verdict for c in evaluation.comparisons if (c.contender, c.baseline) == (name, other)]
        if config.keep.certain and ("better" not in verdicts or "worse" in verdicts):
            return f"not shown to be better than tuned {other}"
    return None


def _relative(losses: Mapping[str, float | None], reference: Mapping[str, float | None]) -> float | None:
    found = [
        (loss - base) / (abs(base) or 1.0)
        for task, loss in losses.items()
        if loss is not None and (base := reference[task]) is not None
    ]
    return math.fsum(found) / len(found) if found else None


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
