"""Evaluations of the same contenders on different tasks, made apart, judged as one.

Tasks that are evaluated apart, such as by the jobs of an array or on several days, are one comparison: p-values are to
be corrected for all of its tests. Tunings and runs stay as they are, and all conclusions are drawn again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from optsearch.selection.comparison.evaluation import Evaluation
from optsearch.selection.comparison.judge import judge
from optsearch.selection.contender import Contender
from optsearch.selection.problem import Problem
from optsearch.selection.tuning.tuner import TuningBudget


def join(
    parts: Sequence[Evaluation],
    contenders: Sequence[Contender],
    problems: Sequence[Problem],
    seeds: Sequence[Sequence[int]],
    budget: TuningBudget,
) -> Evaluation:
    """Judges several evaluations as one.

    Args:
        parts: evaluations of the same contenders on distinct tasks, with the same seeds and budget.
        contenders: the contenders.
        problems: the tasks of all parts, in the order of the result.
        seeds: for each replicate its fresh seeds.
        budget: tuning budget per contender, task and replicate.

    Raises:
        ValueError: a part has other contenders, seeds or another budget, has one setting for all of its tasks, or the
            tasks of the parts are not those of ``problems``.
    """
    names, every = tuple(each.name for each in contenders), tuple(seed for replicate in seeds for seed in replicate)
    for part in parts:
        if (part.contenders, part.seeds, part.budget, part.shared) != (names, every, budget, False):
            raise ValueError(f"the evaluation on {', '.join(part.tasks)} has other contenders or another protocol")
    place = {problem.name: number for number, problem in enumerate(problems)}
    if sorted(task for part in parts for task in part.tasks) != sorted(place):
        raise ValueError("each task of the parts must be one of the problems, and in one part alone")
    rows = sorted((row for part in parts for row in part.rows), key=lambda row: place[row.task])
    tuning = sorted((entry for part in parts for entry in part.tuning), key=lambda entry: place[entry.task])
    rates = sorted((run for part in parts for run in part.rate_runs), key=lambda run: place[run.task])
    judged = judge(contenders, problems, seeds, budget, rows, tuning, rates)
    return replace(judged, step_times=tuple(time for part in parts for time in part.step_times))
