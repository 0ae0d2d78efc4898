"""How a training run ended: a bad program is a value, never an exception."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """How a training run ended; `sentence` says it in words."""

    OK = "ok"
    NON_FINITE = "non_finite"
    HURDLE = "hurdle"

    @property
    def sentence(self) -> str:
        """The outcome as a sentence for people."""
        return _SENTENCES[self]


_SENTENCES = {
    Outcome.OK: "All steps were run and every loss is a finite number.",
    Outcome.NON_FINITE: "A weight or a loss became infinite or not a number.",
    Outcome.HURDLE: "The training loss at a checkpoint was above the hurdle's limit, so the run was stopped there.",
}


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What one training run gave.

    Attributes:
        outcome: how it ended.
        loss: mean loss on the validation split after the last step; None unless the outcome is OK.
        test_loss: mean loss on the test split after the last step; None unless the outcome is OK.
        accuracy: share of right answers on the test split, in [0, 1]; None unless the outcome is OK and the task
            classifies.
        steps: optimizer steps run before it ended.
        train_losses: mean training loss over the steps since the checkpoint before, for each checkpoint of the task
            that was passed. The value that stopped a run is not among them.
        loss_so_far: mean of the finite training losses since the last checkpoint that was passed, or of those before
            it when the run passed all; None when there are none. For a run that was stopped it is how far it came.
    """

    outcome: Outcome
    loss: float | None
    test_loss: float | None
    accuracy: float | None
    steps: int
    train_losses: tuple[float, ...]
    loss_so_far: float | None = None
