"""Funnels: successive stages on larger tasks. Each stage selects the programs that enter the next one.

    name: ladder
    candidates: {per_run: 50, most: 16}
    stages:
      - {name: fresh, tasks: [search], trials: 0, seeds: 16, baselines: [], keep: {best: 8}}
      - {name: x10, tasks: [x10], keep: {best: 4, beats: [adamw]}}

Each stage uses its own fresh seeds and tunes all contenders again, because optimal hyperparameters differ between
rungs.

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
from optsearch.selection.baselines.baseline import BaselineError
from optsearch.selection.comparison.evaluate import TrainingProgress, evaluate
from optsearch.selection.comparison.evaluation import REPLICATES, Evaluation
from optsearch.selection.comparison.trend import FADES
from optsearch.selection.contender import Contender, TrainingJob, baseline_contenders
from optsearch.selection.problem import Problem
from optsearch.selection.statistics.ranks import kendall_tau
from optsearch.selection.tuning.tuner import BLOCK, PER_REPLICATE, TRIALS, TuningBudget, fresh_seeds

_MODEL = ConfigDict(frozen=True, extra="forbid", strict=True)


class CandidatesConfig(BaseModel):
    """Selection of the programs that enter the funnel.

    Attributes:
        per_run: number of programs of lowest fitness considered per search of each run.
        most: maximum number of programs that enter, best first.
        distance: programs at a smaller behavioural distance, in [0, 2], are duplicates; see `behaviour`.
    """

    model_config = _MODEL

    per_run: int = Field(default=50, ge=1, le=100_000)
    most: int = Field(default=16, ge=1, le=1000)
    distance: float = Field(default=0.02, ge=0.0, le=2.0, allow_inf_nan=False)


class KeepConfig(BaseModel):
    """Criteria for programs to pass a stage.

    Attributes:
        best: maximum number of programs, ranked by mean loss relative to the reference; None for no limit.
        beats: baselines that the program must beat in mean loss over all tasks of the stage.
        certain: if True, the difference over all tasks must be significant, and the contrary on no task.
        lasting: if True, a lead over these baselines must not be shown to fade with the number of steps, on any task.
    """

    model_config = _MODEL

    best: int | None = Field(default=None, ge=1, le=1000)
    beats: list[str] = []
    certain: bool = False
    lasting: bool = False


class StageConfig(BaseModel):
    """One stage of a funnel.

    Attributes:
        name: name of the stage.
        tasks: names of tasks; ``search`` stands for the tasks of the search, ``x10`` and the like for their larger
            rungs.
        horizons: multiples of each task's number of steps; None for its own. Contenders are tuned again at each.
        shared: if True, each tuning selects one setting for all tasks.
        trials: tuning trials per contender, task and replicate; 0 to use programs as the search left them.
        constants: if True, constants are tuned in addition to learning rate and weight decay.
        replicates: number of tunings of each contender; without trials there is one.
        seeds: number of fresh seeds of each replicate.
        baselines: baselines to tune and train beside the programs, by name or as ``module:object``; the first is the
            reference.
        keep: criteria for programs to pass.
    """

    model_config = _MODEL

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    tasks: list[str] = Field(min_length=1, max_length=64)
    horizons: list[float] | None = Field(default=None, min_length=1, max_length=16)
    shared: bool = False
    trials: int = Field(default=TRIALS, ge=0, le=10_000)
    constants: bool = True
    replicates: int = Field(default=REPLICATES, ge=1, le=BLOCK // PER_REPLICATE)
    seeds: int = Field(default=8, ge=2, le=PER_REPLICATE)
    baselines: list[str] = ["adamw", "lion"]
    keep: KeepConfig = KeepConfig()

    @field_validator("baselines")
    @classmethod
    def _baselines_are_known(cls, names: list[str]) -> list[str]:
        try:
            return [one.reference or one.name for one in baseline_contenders(names)]
        except BaselineError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _those_to_beat_are_there(self) -> StageConfig:
        for name in self.keep.beats:
            if name.lower() not in map(str.lower, self.opponents):
                raise ValueError(f"keep.beats names '{name}', which is not among the stage's baselines")
        if self.keep.certain and not self.keep.beats:
            raise ValueError("keep.certain requires keep.beats")
        if self.keep.certain and (self.replicates < 2 or not self.trials):
            raise ValueError(
                "keep.certain requires trials and two or more replicates: one tuning compares settings only"
            )
        if self.keep.lasting and not self.keep.beats:
            raise ValueError("keep.lasting requires keep.beats")
        if self.keep.lasting and (self.replicates < 2 or not self.trials or len(self.horizons or ()) < 2):
            raise ValueError(
                "keep.lasting requires two or more horizons, trials, and two or more replicates: else no trend is shown"
            )
        if self.shared and not self.trials:
            raise ValueError("shared requires trials: one setting for all tasks is the result of a tuning")
        return self

    @property
    def tunings(self) -> int:
        """Number of replicates: one without trials."""
        return self.replicates if self.trials else 1

    @property
    def opponents(self) -> list[str]:
        """Display names of the baselines, which differ from the references of the user's own."""
        return [one.name for one in baseline_contenders(self.baselines)]


class FunnelConfig(BaseModel):
    """Settings of a funnel.

    Attributes:
        name: name of the funnel.
        description: its purpose.
        candidates: selection of the programs that enter.
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
    """Result of a contender in a stage.

    Attributes:
        contender: name of the contender.
        baseline: True for a baseline, which is not selected.
        passed: True if it enters the next stage.
        why: reason, in one sentence.
        score: mean over tasks of its mean loss relative to the reference's; None if it failed.
        losses: mean loss on each task, over the seeds on which it trained; None if there are none.
        failed: number of failed runs.
    """

    contender: str
    baseline: bool
    passed: bool
    why: str
    score: float | None
    losses: Mapping[str, float | None]
    failed: int


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """Rank correlation of a stage with the stage before.

    Attributes:
        tau: Kendall's tau of the scores.
        programs: number of programs with a score in both stages.
    """

    tau: float
    programs: int


@dataclass(frozen=True, slots=True)
class StageResult:
    """Result of a stage.

    Attributes:
        evaluation: its training runs and statistics.
        verdicts: programs from best to worst, then baselines.
    """

    evaluation: Evaluation
    verdicts: tuple[StageVerdict, ...]

    @property
    def survivors(self) -> list[str]:
        """Names of the programs that pass, best first."""
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
    """Evaluates all programs of a stage and selects those that pass.

    Args:
        config: the stage.
        number: index of the stage in the funnel, from 0; it determines the fresh seeds.
        problems: tasks of the stage.
        programs: remaining programs.
        pool: executes the training runs. Defaults to this process.
        progress: called after each run. Defaults to no callback.
    """
    contenders = [*programs, *baseline_contenders(config.baselines)]
    evaluation = evaluate(
        contenders,
        problems,
        [fresh_seeds(config.seeds, block=number + 1, replicate=replicate) for replicate in range(config.tunings)],
        budget=TuningBudget(config.trials, constants=config.constants),
        shared=config.shared,
        pool=pool,
        progress=progress,
    )
    return StageResult(evaluation, judge(config, evaluation, [program.name for program in programs]))


def judge(config: StageConfig, evaluation: Evaluation, programs: Sequence[str]) -> tuple[StageVerdict, ...]:
    """Selects the programs that pass.

    Without tuning, validation losses decide, as in the search. With tuning, test losses decide, which tuning did not
    use.
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
        reference = means[config.opponents[0]]
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
    for name in config.opponents:
        why = f"did not train on {failed[name]} runs" if failed[name] else "for comparison"
        verdicts.append(StageVerdict(name, True, False, why, scores[name], means[name], failed[name]))
    return tuple(verdicts)


def rank_correlation(before: Mapping[str, float | None], after: Mapping[str, float | None]) -> RankCorrelation | None:
    """Rank correlation between the scores of two stages; None for fewer than two programs with both."""
    both = [(a, b) for name, b in after.items() if (a := before.get(name)) is not None and b is not None]
    tau = kendall_tau([a for a, _ in both], [b for _, b in both])
    return None if tau is None else RankCorrelation(tau, len(both))


def _fault(
    config: StageConfig,
    evaluation: Evaluation,
    name: str,
    scores: Mapping[str, float | None],
    failed: Mapping[str, int],
) -> str | None:
    """Reason to reject a program regardless of its rank; None if there is none."""
    score = scores[name]
    if score is None:
        return f"did not train on {failed[name]} of {len(evaluation.tasks) * len(evaluation.seeds)} runs"
    beaten = {name.lower() for name in config.keep.beats}
    for other in (name for name in config.opponents if name.lower() in beaten):
        theirs = scores[other]
        if theirs is not None and score >= theirs:
            return f"worse than tuned {other} by {score - theirs:.2%}" if score > theirs else f"no better than {other}"
        verdicts = [c.verdict for c in evaluation.comparisons if (c.contender, c.baseline) == (name, other)]
        if config.keep.certain and (not _is_ahead(evaluation, name, other) or "worse" in verdicts):
            return f"not shown to be better than tuned {other}"
        fading = [
            row.task
            for row in evaluation.trends
            if row.verdict == FADES and (row.contender, row.opponent) == (name, other)
        ]
        if config.keep.lasting and fading:
            return f"its lead over tuned {other} fades with the steps on {', '.join(fading)}"
    return None


def _is_ahead(evaluation: Evaluation, name: str, other: str) -> bool:
    """True if a program is significantly better over all tasks than a baseline, or than its family's best member."""
    names = {other, *(family.name for family in evaluation.families if other in family.members)}
    return any(
        row.verdict == "better" for row in evaluation.headlines if row.contender == name and row.opponent in names
    )


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
