"""Outcome of a training run. The failure of a program is a value, never an exception."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """Outcome of a training run; `sentence` describes it. The last three occur with training scripts only."""

    OK = "ok"
    NON_FINITE = "non_finite"
    HURDLE = "hurdle"
    CRASHED = "crashed"
    TIME_LIMIT = "time_limit"
    INCOMPLETE = "incomplete"

    @property
    def sentence(self) -> str:
        """Description of the outcome in one sentence."""
        return _SENTENCES[self]


_SENTENCES = {
    Outcome.OK: "All steps were run and every loss is a finite number.",
    Outcome.NON_FINITE: "A weight or a loss became infinite or not a number.",
    Outcome.HURDLE: "The training loss at a checkpoint was above the hurdle's limit, so the run was stopped there.",
    Outcome.CRASHED: "The training script ended with an error before its last report.",
    Outcome.TIME_LIMIT: "The training script reached its time limit before its last report, so it was stopped.",
    Outcome.INCOMPLETE: "The training script ended without a complete last report, or a report is invalid.",
}


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """Result of a training run.

    Attributes:
        outcome: outcome of the run.
        loss: mean loss on the validation split after the last step; None unless the outcome is OK.
        test_loss: mean loss on the test split after the last step; None unless the outcome is OK.
        accuracy: fraction of correct predictions on the test split, in [0, 1]; None unless the outcome is OK and the
            task is a classification.
        steps: number of optimizer steps run.
        train_losses: mean training loss since the previous checkpoint, for each checkpoint passed. The value that
            stopped a run is not included.
        loss_so_far: mean of the finite training losses since the last checkpoint passed, or of the last span if the run
            passed all checkpoints; None if there are none. It measures the progress of a stopped run.
        validation_losses: mean loss on the validation split at each checkpoint passed, None where it is not finite;
            empty unless the run records it.
    """

    outcome: Outcome
    loss: float | None
    test_loss: float | None
    accuracy: float | None
    steps: int
    train_losses: tuple[float, ...]
    loss_so_far: float | None = None
    validation_losses: tuple[float | None, ...] = ()
