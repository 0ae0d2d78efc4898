"""Budget of a search, and the training steps that it counts."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

PATIENCE = 20_000
"""Number of consecutive cache hits after which a budget of evaluations counts as spent."""

Unit = Literal["programs", "evaluations", "steps"]
"""What a budget counts."""


class Budget(BaseModel):
    """Budget of a search, which ends at the first limit it reaches; the counts exclude the warm start.

    Attributes:
        programs: maximum number of generated programs. Defaults to no limit.
        evaluations: maximum number of evaluations, which exclude cache hits. Defaults to no limit.
        steps: maximum number of training steps. The search ends with the first ticket whose population has cost as
            many; the open tickets, at most ``look_ahead``, come on top. Defaults to no limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    programs: int | None = Field(default=None, ge=1, le=1_000_000_000)
    evaluations: int | None = Field(default=None, ge=1, le=1_000_000_000)
    steps: int | None = Field(default=None, ge=1, le=1_000_000_000_000_000)

    @model_validator(mode="after")
    def _limited(self) -> Budget:
        if self.programs is None and self.evaluations is None and self.steps is None:
            raise ValueError("give programs, evaluations or steps, or several of them")
        return self

    @property
    def counted(self) -> tuple[Unit, int]:
        """Unit and limit of the progress count, such as ``("programs", 10000)``."""
        if self.programs is not None:
            return "programs", self.programs
        return ("evaluations", self.evaluations) if self.evaluations is not None else ("steps", self.steps or 1)


class StepSum:
    """Training steps of the tickets that have joined the population of the next ticket.

    Args:
        look_ahead: maximum number of open tickets.
    """

    def __init__(self, look_ahead: int):
        self._look_ahead = look_ahead
        self._waiting: dict[int, int] = {}  # ticket -> steps, for evaluated tickets that have not joined
        self._last = self._total = 0

    def note(self, ticket: int, steps: int) -> None:
        """Adds the training steps of an evaluated ticket; those of the warm start are not counted."""
        self._waiting[ticket] = steps

    def before(self, ticket: int, settled: int) -> int:
        """Returns the steps of the tickets from whose population a ticket is generated.

        Args:
            ticket: the ticket; must not fall from call to call.
            settled: highest settled ticket.
        """
        last = min(ticket - self._look_ahead, settled)
        for joined in range(self._last + 1, last + 1):
            self._total += self._waiting.pop(joined, 0)
        self._last = max(self._last, last)
        return self._total
