"""Timing of training steps for ``evaluate --time``, once all training runs and their workers have ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from optsearch.runs.terminal.tables import errors
from optsearch.selection.comparison.evaluation import Evaluation
from optsearch.selection.comparison.step_time import ROUNDS, step_times
from optsearch.selection.contender import Contender
from optsearch.selection.problem import Problem


def with_step_times(
    evaluation: Evaluation, contenders: Sequence[Contender], found: Sequence[Problem], *, quiet: bool
) -> Evaluation:
    """Measures the compiled step of every contender, at the settings of its first tuning.

    Args:
        evaluation: the evaluation without step times.
        contenders: its contenders.
        found: its tasks.
        quiet: if True, does not announce the measurement.

    Returns:
        The evaluation with step times.
    """
    if not quiet:
        errors.print(
            f"Timing the compiled step of {len(contenders)} contenders on {len(found)} task{'s' * (len(found) > 1)}, "
            f"in {ROUNDS} rounds: compiling takes seconds to minutes each, and other load on this machine disturbs.",
            markup=False,
            soft_wrap=True,
        )
    values = {(entry.task, entry.contender): entry.tuned.values for entry in evaluation.tuning if not entry.replicate}
    times = step_times(contenders, found, values, evaluation.reference, evaluation.seeds[0])
    return replace(evaluation, step_times=times)
