"""A completed training run with a synthetic loss."""

from __future__ import annotations

from optsearch.proxy_tasks.outcome import Outcome, TrainingResult
from optsearch.proxy_tasks.run import Trained


def ended(loss: float) -> Trained:
    return Trained(TrainingResult(Outcome.OK, loss, loss, None, 300, ()), 0.1)
