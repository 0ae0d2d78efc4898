"""Evaluation of contenders on tasks: tune each, train each on fresh seeds, compare by paired seeds.

All contenders get the same number of trials, the same tuning seeds and the same fresh seeds. Tuning uses the validation
loss; results are compared by the test loss, which is not used for any decision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count

from optsearch.proxy_tasks.run import Trained
from optsearch.search.pool import Here, Pool
from optsearch.selection.comparison import Comparison, Overall, TimeToTarget, compare, overall, times_to_target
from optsearch.selection.contender import Contender, TrainingJob, run_job
from optsearch.selection.problem import Problem
from optsearch.selection.schedule import Entry, drive
from optsearch.selection.space import Values
from optsearch.selection.tuning import Tuned, TuningBudget, tune
from optsearch.selection.work import operations_per_parameter

TUNING, EVALUATION = "tuning", "evaluation"


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """A training run has finished.

    Attributes:
        stage: ``tuning`` or ``evaluation``.
        done: number of runs finished so far, over both stages.
        total: total number of runs.
        job: the run.
        trained: its result.
    """

    stage: str
    done: int
    total: int
    job: TrainingJob
    trained: Trained


@dataclass(frozen=True, slots=True)
class Row:
    """Result of one contender on one task and one fresh seed.

    Attributes:
        task: name of the task, with the batch size unless it is the task's default.
        contender: name of the contender.
        baseline: True for a baseline.
        seed: training seed.
        values: tuned hyperparameters: factor on the task's schedule, weight decay, constants.
        at_edge: True if tuning ended at the edge of its search range.
        outcome: outcome of the run.
        loss: validation loss; None unless the outcome is ok.
        test_loss: test loss; None unless the outcome is ok.
        accuracy: test accuracy; None unless the outcome is ok and the task is a classification.
        steps: number of steps run.
        seconds: wall-clock time in seconds, including compilation.
        train_losses: running training loss at each checkpoint that the run passed.
    """

    task: str
    contender: str
    baseline: bool
    seed: int
    values: Values
    at_edge: bool
    outcome: str
    loss: float | None
    test_loss: float | None
    accuracy: float | None
    steps: int
    seconds: float
    train_losses: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Tuning:
    """Tuning of a contender on a task.

    Attributes:
        task: name of the task.
        contender: name of the contender.
        tuned: the selected hyperparameters and all trials.
    """

    task: str
    contender: str
    tuned: Tuned


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Results of an evaluation.

    Attributes:
        tasks: names of the tasks, with batch sizes unless they are the defaults.
        checkpoints: for each task, the steps at which training losses were recorded.
        contenders: names of programs, then of baselines, in the order given.
        reference: contender that normalises losses across tasks: the first baseline, else the first program.
        seeds: the fresh seeds.
        budget: tuning budget of each contender.
        rows: one result per task, contender and seed.
        tuning: one entry per task and contender.
        comparisons: every program against every baseline, on each task.
        overall: aggregates of each contender over all tasks.
        times: time of each contender to the reference's training loss after three quarters of its steps.
    """

    tasks: tuple[str, ...]
    checkpoints: tuple[tuple[int, ...], ...]
    contenders: tuple[str, ...]
    reference: str
    seeds: tuple[int, ...]
    budget: TuningBudget
    rows: tuple[Row, ...]
    tuning: tuple[Tuning, ...]
    comparisons: tuple[Comparison, ...]
    overall: tuple[Overall, ...]
    times: tuple[TimeToTarget, ...]

    def losses(self, *, test: bool = True) -> dict[str, dict[str, dict[int, float]]]:
        """Loss by task, contender and seed; infinity if training failed.

        Args:
            test: if True, the test loss; otherwise the validation loss.
        """
        found: dict[str, dict[str, dict[int, float]]] = {}
        for row in self.rows:
            loss = row.test_loss if test else row.loss
            of_task = found.setdefault(row.task, {})
            of_task.setdefault(row.contender, {})[row.seed] = math.inf if loss is None else loss
        return found


def evaluate(
    contenders: Sequence[Contender],
    problems: Sequence[Problem],
    seeds: Sequence[int],
    *,
    budget: TuningBudget | None = None,
    pool: Pool[TrainingJob, Trained] | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> Evaluation:
    """Tunes every contender and compares them on fresh seeds.

    Args:
        contenders: programs and baselines with distinct names.
        problems: tasks with distinct names.
        seeds: at least one fresh seed, such as from `tuning.fresh_seeds`.
        budget: tuning budget per contender and task. Defaults to `TuningBudget()`.
        pool: executes the training runs. Defaults to this process.
        progress: called after each run. Defaults to no callback.

    Returns:
        Results, tunings and comparisons.

    Raises:
        TaskError: a task does not exist.
        ValueError: there are no contenders, two have the same name, there are no seeds, a seed is duplicated, or a seed
            is also a tuning seed.
    """
    budget = budget or TuningBudget()
    _check(contenders, problems, seeds, budget)
    pairs = [(problem, contender) for problem in problems for contender in contenders]
    total, done, fresh = len(pairs) * (budget.runs + len(seeds)), count(1), set(seeds)

    def ended(job: TrainingJob, trained: Trained) -> None:
        stage = EVALUATION if job.seed in fresh else TUNING
        if progress is not None:
            progress(TrainingProgress(stage, next(done), total, job, trained))

    entries = drive([_entry(c, p, seeds, budget) for p, c in pairs], pool or Here(run_job), ended)
    rows: list[Row] = []
    tuning: list[Tuning] = []
    for (problem, contender), (tuned, results) in zip(pairs, entries, strict=True):
        tuning.append(Tuning(problem.name, contender.name, tuned))
        rows += [_row(problem, contender, s, tuned, r) for s, r in zip(seeds, results, strict=True)]
    return _judged(contenders, problems, seeds, budget, rows, tuning)


def _entry(
    contender: Contender, problem: Problem, seeds: Sequence[int], budget: TuningBudget
) -> Entry[tuple[Tuned, list[Trained]]]:
    tuned = yield from tune(contender, problem, budget)
    results = yield [TrainingJob(contender, problem, tuned.values, seed) for seed in seeds]
    return tuned, results


def _check(
    contenders: Sequence[Contender], problems: Sequence[Problem], seeds: Sequence[int], budget: TuningBudget
) -> None:
    names = [contender.name for contender in contenders]
    if not names or not problems:
        raise ValueError("nothing to evaluate: give at least one program or baseline, and a task")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two contenders are named '{name}': give each a unique name")
    if not seeds or (budget.trials and not budget.seeds):
        raise ValueError("an evaluation needs at least one fresh seed and one tuning seed")
    if len(set(seeds)) < len(seeds) or len(set(budget.seeds)) < len(budget.seeds):
        raise ValueError("fresh seeds and tuning seeds must be distinct")
    if shared := set(seeds) & set(budget.seeds):
        raise ValueError(f"seed {min(shared)} is both a tuning seed and a fresh seed: results would be biased")


def _row(problem: Problem, contender: Contender, seed: int, tuned: Tuned, trained: Trained) -> Row:
    result = trained.result
    return Row(
        task=problem.name,
        contender=contender.name,
        baseline=contender.is_baseline,
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
    )


def _judged(
    contenders: Sequence[Contender],
    problems: Sequence[Problem],
    seeds: Sequence[int],
    budget: TuningBudget,
    rows: Sequence[Row],
    tuning: Sequence[Tuning],
) -> Evaluation:
    names = [contender.name for contender in contenders]
    baselines = [contender.name for contender in contenders if contender.is_baseline]
    reference = (baselines or names)[0]
    checkpoints = {problem.name: problem.load().checkpoints for problem in problems}
    curves: dict[str, dict[str, list[tuple[float, ...]]]] = {}
    for row in rows:
        curves.setdefault(row.task, {}).setdefault(row.contender, []).append(row.train_losses)
    bare = Evaluation(
        tasks=tuple(checkpoints),
        checkpoints=tuple(checkpoints.values()),
        contenders=tuple(names),
        reference=reference,
        seeds=tuple(seeds),
        budget=budget,
        rows=tuple(rows),
        tuning=tuple(tuning),
        comparisons=(),
        overall=(),
        times=(),
    )
    losses = bare.losses()
    work = {contender.name: operations_per_parameter(contender) for contender in contenders}
    return replace(
        bare,
        comparisons=compare(losses, [name for name in names if name not in baselines], baselines),
        overall=overall(losses, names, reference),
        times=times_to_target(curves, checkpoints, work, reference),
    )
