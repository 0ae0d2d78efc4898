"""Synthetic training results, for tests of requests and conclusions without training."""

from __future__ import annotations

import math
from collections.abc import Mapping

from optsearch.proxy_tasks.outcome import Outcome, TrainingResult
from optsearch.proxy_tasks.run import Trained
from optsearch.selection.contender import TrainingJob

FAILED = Trained(TrainingResult(Outcome.NON_FINITE, None, None, None, 3, ()), 0.1)


def ended(loss: float, curve: tuple[float, ...] = (2.0, 1.0)) -> Trained:
    return Trained(TrainingResult(Outcome.OK, loss, loss + 1.0, None, 300, curve, None, curve), 0.1)


class Invented:
    """The loss is lowest, ``floor``, where the rate is ``best``; it rises with the square of the decades from there.

    Args:
        best: best rate by contender.
        floor: lowest loss by contender; 1 for the others.
        noise: how far seeds lie apart.
    """

    def __init__(self, best: Mapping[str, float], floor: Mapping[str, float] | None = None, noise: float = 0.1):
        self.best, self.floor, self.noise, self.jobs = best, floor or {}, noise, list[TrainingJob]()

    def __call__(self, job: TrainingJob) -> Trained:
        self.jobs.append(job)
        name = job.contender.name
        decades = math.log10(dict(job.values)["rate"] / self.best[name])
        wobble = 0.01 * self.noise * math.sin(job.seed * len(name))  # of the contender's own
        luck = 0.02 * self.noise * math.sin(1e3 * len(name) * decades)  # of the tuning
        loss = self.floor.get(name, 1.0) + decades**2 + self.noise * (job.seed % 7) + wobble + luck
        return FAILED if decades > 1.9 else ended(loss)
