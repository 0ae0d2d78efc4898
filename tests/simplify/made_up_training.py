"""A training run that ended with a loss which was made up."""

from __future__ import annotations

from proxy_tasks.outcome import Outcome, TrainingResult
from proxy_tasks.run import Trained


def ended(loss: float) -> Trained:
    return Trained(TrainingResult(Outcome.OK, loss, loss, None, 300, ()), 0.1)
