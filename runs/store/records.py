"""What a run holds besides its searches' tickets: arms, runs on further seeds, and studies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Arm:
    """One search of a run.

    Attributes:
        number: its key in the file.
        name: such as ``search`` or ``control``.
        prefix: what its programs' ids start with; empty for the search itself.
        settings: what distinguishes it, as JSON values.
    """

    number: int
    name: str
    prefix: str
    settings: Mapping[str, Any]

    def program_id(self, ticket: int) -> str:
        """Id of a ticket's program within the run: ``8123``, ``c8123``; ``0`` for the warm start.

        Ticket 0 of a search that started from another's program has that program's id.
        """
        return str(self.settings.get("start", "0")) if ticket == 0 else f"{self.prefix}{ticket}"


@dataclass(frozen=True, slots=True)
class Final:
    """One training run with a seed that the search never used.

    Attributes:
        contender: a program id or a control's name.
        task: where it was trained.
        seed: the seed.
        outcome: the outcome's name.
        loss: validation loss; None unless the outcome is ``ok``.
        test_loss: test loss; None unless the outcome is ``ok``.
        accuracy: test accuracy; None where there is none.
        steps: optimizer steps that were run.
    """

    contender: str
    task: str
    seed: int
    outcome: str
    loss: float | None
    test_loss: float | None
    accuracy: float | None
    steps: int


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a study that has ended.

    Attributes:
        name: what the study's settings call it.
        result: everything that it found, as JSON values.
    """

    name: str
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Study:
    """A selection among the programs of this run, and perhaps of others.

    Attributes:
        number: counts the studies of the run from 1.
        created: date and time.
        settings: its settings and whom it began with, as JSON values.
        status: ``running`` or ``finished``; one that was interrupted is still ``running``.
        stages: the stages that have ended, in order.
    """

    number: int
    created: str
    settings: Mapping[str, Any]
    status: str
    stages: tuple[Stage, ...]
