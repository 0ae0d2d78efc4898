"""Distilling a program that a user names: what ``simplify`` runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from dsl.verify import nearest
from proxy_tasks.registry import get_task, import_tasks
from runs.errors import RunError
from runs.programs import load_program
from runs.terminal import errors
from simplify.distil import STEPS, Distilled, StepName, distil


def run_distillation(
    reference: str, steps: Sequence[str], tasks: Sequence[str], *, imports: Sequence[str] = (), quiet: bool = False
) -> Distilled:
    """Takes the steps on the program that the user names.

    Args:
        reference: a program as users name them.
        steps: names of steps.
        tasks: names of the tasks on which ablation tests changes.
        imports: references of the user's own tasks.
        quiet: whether to show no progress.

    Raises:
        ProgramError, RunError, TaskError: something of that name does not exist.
    """
    for step in steps:
        if step not in STEPS:
            raise RunError(f"unknown step '{step}'{nearest(step, STEPS)}; the steps are {', '.join(STEPS)}")
    import_tasks(imports)
    names = [get_task(task).name for task in tasks]
    program = load_program(reference).program

    def show(line: str) -> None:
        errors.print(line, markup=False, style="dim")

    return distil(program, cast(Sequence[StepName], steps), tasks=names, watch=None if quiet else show)
