"""Fitness of the same programs in processes on this device and on the CPU."""

from __future__ import annotations

import hashlib
from functools import partial

from candidates import elementwise

from figures.plan import Figure, Figures, Plan

TASK = "ae"

LOSS_BOUND, LOSS_SHARE, OUTCOME_SHARE = 0.02, 0.9, 0.95
"""Stated bounds: of the programs that train on both, nine of ten have losses that differ by at most 2 %, and 95 % of
all programs have the same outcome. GPUs multiply matrices in TF32 by default, with 10 bits of mantissa."""


def device_figures(plan: Plan, number: int) -> Figures:
    """Fitness on JAX's default device, in the process of this number."""
    yield f"fitness/device {number}", partial(fitness, plan.programs, min(plan.lanes[0], plan.programs))


def cpu_figures(plan: Plan) -> Figures:
    """Fitness on one core of the CPU, one program after the other."""
    yield "fitness/cpu", partial(fitness, plan.programs, 1)


def fitness(count: int, lanes: int) -> Figure:
    """Trains programs at their own learning rates."""
    from optsearch.proxy_tasks.registry import get_task
    from optsearch.proxy_tasks.run import TrainingRun
    from optsearch.proxy_tasks.trainer import Trainer

    trainer = Trainer(get_task(TASK), method="interpret", lanes=lanes)
    results = trainer.run_all([TrainingRun(program, 0) for program in elementwise(count)])
    return {
        "digest": hashlib.sha256(repr(results).encode()).hexdigest()[:12],
        "outcomes": [result.outcome.value for result in results],
        "losses": [result.loss for result in results],
    }


def compared(device: Figure, cpu: Figure) -> Figure:
    """Agreement of two figures of `fitness`: shares, and whether they are within the stated bounds."""
    pairs = list(zip(device["losses"], cpu["losses"], strict=True))
    both = [abs(a - b) / max(abs(b), 1e-12) for a, b in pairs if a is not None and b is not None]
    same = sum(a == b for a, b in zip(device["outcomes"], cpu["outcomes"], strict=True)) / len(pairs)
    near = sum(gap <= LOSS_BOUND for gap in both) / max(len(both), 1)
    return {
        "programs": len(pairs),
        "same_outcome": same,
        "trained_on_both": len(both),
        "loss_within_2_percent": near,
        "median_gap": sorted(both)[len(both) // 2] if both else None,
        "within_bounds": same >= OUTCOME_SHARE and near >= LOSS_SHARE,
    }
