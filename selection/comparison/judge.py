"""What an evaluation concludes from its training runs: all statistics, of all tasks as one family of tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from optsearch.selection.comparison.comparison import compare, estimates, overall, times_to_target
from optsearch.selection.comparison.evaluation import Evaluation, Row, Tuning
from optsearch.selection.comparison.failed_tuning import failed_tunings
from optsearch.selection.comparison.trend import trends
from optsearch.selection.comparison.work import operations_per_parameter, state_bytes_per_parameter
from optsearch.selection.contender import Contender
from optsearch.selection.problem import Problem
from optsearch.selection.tuning.families import families
from optsearch.selection.tuning.rate_sensitivity import RateRun, rate_sensitivities
from optsearch.selection.tuning.tuner import TuningBudget
from optsearch.selection.tuning.tuning_curve import tuning_curve


def judge(
    contenders: Sequence[Contender],
    problems: Sequence[Problem],
    seeds: Sequence[Sequence[int]],
    budget: TuningBudget,
    rows: Sequence[Row],
    tuning: Sequence[Tuning],
    rates: Sequence[RateRun] = (),
    *,
    shared: bool = False,
) -> Evaluation:
    """Draws all conclusions from training runs.

    Args:
        contenders: programs and baselines.
        problems: tasks.
        seeds: for each replicate its fresh seeds.
        budget: tuning budget per contender, task and replicate.
        rows: one result per task, contender, replicate and seed.
        tuning: one entry per task, contender and replicate.
        rates: runs at multiples of the tuned rates.
        shared: True if each tuning selected one setting for all tasks.
    """
    names = [contender.name for contender in contenders]
    baselines = [contender.name for contender in contenders if contender.is_baseline]
    programs = [name for name in names if name not in baselines]
    reference = (baselines or names)[0]
    checkpoints = {problem.name: problem.target.checkpoints for problem in problems}
    curves: dict[str, dict[str, list[tuple[float | None, ...]]]] = {}
    for row in rows:
        curves.setdefault(row.task, {}).setdefault(row.contender, []).append(row.validation_losses)
    tuned = {(row.task, row.contender, row.replicate): row.tuned for row in tuning}
    bare = Evaluation(
        tasks=tuple(checkpoints),
        checkpoints=tuple(checkpoints.values()),
        contenders=tuple(names),
        families=families(contenders, list(checkpoints), len(seeds), tuned),
        reference=reference,
        replicates=len(seeds),
        seeds=tuple(seed for replicate in seeds for seed in replicate),
        budget=budget,
        shared=shared,
        trivial=tuple((problem.name, problem.target.trivial_loss) for problem in problems),
        untuned=tuple((c.name, c.untuned(constants=budget.constants)) for c in contenders),
        state_bytes=tuple((c.name, size) for c in contenders if (size := state_bytes_per_parameter(c)) is not None),
        rows=tuple(rows),
        tuning=tuple(tuning),
        rate_runs=tuple(rates),
        rate_sensitivity=rate_sensitivities(rates),
    )
    losses = bare.with_families()
    members = {name for family in bare.families for name in family.members}
    opponents = [*(family.name for family in bare.families), *(name for name in baselines if name not in members)]
    work = {contender.name: operations_per_parameter(contender) for contender in contenders}
    replicated = len(seeds) > 1
    trivial = dict(bare.trivial)
    horizons: dict[str, list[tuple[str, int]]] = {}
    for problem in problems:
        horizons.setdefault(problem.setting, []).append((problem.name, problem.target.steps))
    comparisons, headlines = compare(losses, programs, baselines, opponents, trivial, replicated=replicated)
    return replace(
        bare,
        estimates=estimates(losses, trivial),
        comparisons=comparisons,
        headlines=headlines,
        overall=overall(losses, [*names, *(family.name for family in bare.families)], reference, trivial),
        trends=trends(losses, horizons, programs, trivial),
        times=times_to_target(curves, checkpoints, work, reference),
        failed_tuning=failed_tunings(contenders, bare.by_replicate(test=False)) if replicated else (),
        tuning_curves=tuple(
            tuning_curve(task, name, [tuned[task, name, number].trials for number in range(len(seeds))])
            for task in checkpoints
            for name in names
            if budget.trials
        ),
    )
