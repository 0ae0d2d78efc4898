"""Compiled programs on the largest rungs: what finalists and funnels run."""

from __future__ import annotations

import time
from functools import partial

from figures.plan import Figure, Figures, Plan, in_turns

PROGRAMS = ("adamw", "orthogonal-adamw")


def figures(plan: Plan) -> Figures:
    """Time of a step of each program on the x100 rung of each task."""
    for task in plan.tasks:
        rung = task if plan.small else f"{task}-x100"
        for program in PROGRAMS:
            yield f"compiled/{rung}/{program}", partial(measure, rung, program, plan.rounds)


def cpu_figures(plan: Plan) -> Figures:
    """The same on one core of the CPU, for the first task."""
    for name, call in figures(plan):
        if name.startswith(f"compiled/{plan.tasks[0]}"):
            yield f"cpu {name}", call


def measure(task: str, program: str, rounds: int) -> Figure:
    """Measures whole runs of a compiled program."""
    from optsearch.dsl.library import LIBRARY
    from optsearch.proxy_tasks.registry import get_task
    from optsearch.proxy_tasks.trainer import Trainer

    chosen = get_task(task)
    trainer = Trainer(chosen, method="compile")
    began = time.perf_counter()
    result = trainer.run(LIBRARY[program], 0)
    first = time.perf_counter() - began
    seconds = in_turns({"run": partial(trainer.run, LIBRARY[program], 0)}, rounds)["run"]
    return {
        "ms_a_step": 1000 * seconds / max(result.steps, 1),
        "run_s": seconds,
        "first_run_s": first,
        "parameters": chosen.parameters,
        "loss": result.loss,
    }
