"""Evaluation of contenders on tasks: tune each several times, train each on fresh seeds, compare replicates.

A replicate is one independent tuning, with its own points and tuning seeds, followed by its own fresh seeds. All
contenders get the same number of replicates and trials, the same tuning seeds and the same fresh seeds. Tuning uses the
validation loss; results are compared by the test loss, which is not used for any decision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

from optsearch.proxy_tasks.run import Trained
from optsearch.search.pool import Here, Pool
from optsearch.selection.comparison.evaluation import Evaluation, Row, Tuning
from optsearch.selection.comparison.judge import judge
from optsearch.selection.comparison.replicate import ReplicateResult, measure, runs_of_replicate
from optsearch.selection.contender import Contender, TrainingJob, run_job
from optsearch.selection.problem import Problem
from optsearch.selection.tuning.families import groups
from optsearch.selection.tuning.objective import check_shared
from optsearch.selection.tuning.rate_sensitivity import RateRun, rate_runs, rate_seed
from optsearch.selection.tuning.schedule import drive
from optsearch.selection.tuning.tuner import Tuned, TuningBudget

TUNING, EVALUATION, SENSITIVITY = "tuning", "evaluation", "sensitivity"


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """A training run has finished.

    Attributes:
        stage: ``tuning``, ``evaluation`` or ``sensitivity``.
        done: number of runs finished so far, over all stages.
        total: total number of runs.
        replicate: index of the replicate, from 0.
        job: the run.
        trained: its result.
    """

    stage: str
    done: int
    total: int
    replicate: int
    job: TrainingJob
    trained: Trained


def evaluate(
    contenders: Sequence[Contender],
    problems: Sequence[Problem],
    seeds: Sequence[Sequence[int]],
    *,
    budget: TuningBudget | None = None,
    shared: bool = False,
    sensitivity: bool = False,
    pool: Pool[TrainingJob, Trained] | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> Evaluation:
    """Tunes every contender in every replicate and compares them on fresh seeds.

    Args:
        contenders: programs and baselines with distinct names.
        problems: tasks with distinct names.
        seeds: for each replicate its fresh seeds, such as from `tuning.fresh_seeds`; equally many for all.
        budget: tuning budget per contender, task and replicate. Defaults to `TuningBudget()`.
        shared: if True, each tuning selects one setting for all tasks; its trials are trained on all of them.
        sensitivity: if True, each tuned point is also trained at multiples of its rate.
        pool: executes the training runs. Defaults to this process.
        progress: called after each run. Defaults to no callback.

    Returns:
        Results, tunings and comparisons.

    Raises:
        SharedTuningError: one setting for all tasks is requested, and a task has no trivial loss or nothing is tuned.
        SpaceError: a declared range excludes a setting of a contender.
        TaskError: a task does not exist.
        ValueError: there are no contenders, two have the same name, there are no seeds, a seed is duplicated, a seed is
            also a tuning seed, or several replicates are requested without tuning, which would not differ.
    """
    budget = budget or TuningBudget()
    _check(contenders, problems, seeds, budget)
    if shared:
        check_shared(problems, budget.trials)
    together = [problems] if shared else [[problem] for problem in problems]
    plan = [(p, number, group) for p in together for number in range(len(seeds)) for group in groups(contenders)]
    each = runs_of_replicate(budget, len(seeds[0]), sensitivity=sensitivity)
    total = len(problems) * len(seeds) * len(contenders) * each
    done, fresh = count(1), {seed: number for number, replicate in enumerate(seeds) for seed in replicate}
    tuning_seeds = {seed: number for number in range(len(seeds)) for seed in budget.seeds_of(number)}
    used = {rate_seed(number): number for number in range(len(seeds)) if sensitivity} | tuning_seeds | fresh

    def ended(job: TrainingJob, trained: Trained) -> None:
        stage = EVALUATION if job.seed in fresh else TUNING if job.seed in tuning_seeds else SENSITIVITY
        if progress is not None:
            progress(TrainingProgress(stage, next(done), total, used[job.seed], job, trained))

    programs = [contender for contender in contenders if contender.program is not None]
    entries = [
        measure(group, programs, p, budget, number, seeds[number], sensitivity=sensitivity) for p, number, group in plan
    ]
    found: dict[tuple[str, str, int], ReplicateResult] = {}
    for (_, number, _), ended_group in zip(plan, drive(entries, pool or Here(run_job), ended), strict=True):
        found |= {(task, name, number): result for (task, name), result in ended_group.items()}
    rows: list[Row] = []
    tuning: list[Tuning] = []
    rates: list[RateRun] = []
    for problem in problems:
        for contender in contenders:
            for number, replicate in enumerate(seeds):
                one = found[problem.name, contender.name, number]
                tuning.append(Tuning(problem.name, contender.name, number, one.tuned))
                for seed, trained in zip(replicate, one.fresh, strict=True):
                    rows.append(_row(problem, contender, number, seed, one.tuned, trained))
                rates += rate_runs(problem.name, contender.name, number, one.rates)
    return judge(contenders, problems, seeds, budget, rows, tuning, rates, shared=shared)


def _check(
    contenders: Sequence[Contender],
    problems: Sequence[Problem],
    seeds: Sequence[Sequence[int]],
    budget: TuningBudget,
) -> None:
    names = [contender.name for contender in contenders]
    if not names or not problems:
        raise ValueError("nothing to evaluate: give at least one program or baseline, and a task")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two contenders are named '{name}': give each a unique name")
    if not seeds or not all(seeds) or (budget.trials and not budget.seeds):
        raise ValueError("an evaluation needs at least one fresh seed and one tuning seed")
    if len({len(replicate) for replicate in seeds}) > 1:
        raise ValueError("all replicates need the same number of fresh seeds")
    if len(seeds) > 1 and not budget.trials:
        raise ValueError("without tuning there is nothing to replicate: use one replicate, or at least one trial")
    every = [seed for replicate in seeds for seed in replicate]
    tuning = {seed for number in range(len(seeds)) for seed in budget.seeds_of(number)}
    if len(set(every)) < len(every):
        raise ValueError("fresh seeds must be distinct")
    if shared := set(every) & tuning:
        raise ValueError(f"seed {min(shared)} is both a tuning seed and a fresh seed: results would be biased")
    for contender in contenders:
        contender.space(constants=budget.constants, ranges=budget.ranges)  # raises SpaceError before any training


def _row(problem: Problem, contender: Contender, replicate: int, seed: int, tuned: Tuned, trained: Trained) -> Row:
    result = trained.result
    return Row(
        task=problem.name,
        contender=contender.name,
        baseline=contender.is_baseline,
        replicate=replicate,
        seed=seed,
        values=tuned.values,
        at_edge=tuned.at_edge,
        outcome=result.outcome.value,
        loss=result.loss,
        test_loss=result.test_loss,
        accuracy=result.accuracy,
        steps=result.steps,
        seconds=trained.seconds,
        train_losses=result.train_losses,
        validation_losses=result.validation_losses,
    )
