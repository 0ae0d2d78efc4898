"""Records of a run other than tickets: arms, runs on further seeds, and studies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Arm:
    """One search of a run.

    Attributes:
        number: key of the arm in the file.
        name: name of the arm, such as ``search`` or ``control``.
        prefix: prefix of the arm's program ids; empty for the search itself.
        settings: settings of the arm, as JSON values.
    """

    number: int
    name: str
    prefix: str
    settings: Mapping[str, Any]

    def program_id(self, ticket: int) -> str:
        """Id of a ticket's program within the run, such as ``8123`` or ``c8123``; ``0`` for the warm start.

        If a search started from a program of another search, its ticket 0 has the id of that program.
        """
        return str(self.settings.get("start", "0")) if ticket == 0 else f"{self.prefix}{ticket}"


@dataclass(frozen=True, slots=True)
class Final:
    """One training run on a seed that the search did not use.

    Attributes:
        contender: a program id or a control's name.
        task: name of the task.
        seed: training seed.
        outcome: name of the outcome.
        loss: validation loss; None unless the outcome is ``ok``.
        test_loss: test loss; None unless the outcome is ``ok``.
        accuracy: test accuracy; None if not available.
        steps: number of completed optimizer steps.
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
    """A completed stage of a study.

    Attributes:
        name: name of the stage in the study's settings.
        result: complete result, as JSON values.
    """

    name: str
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Study:
    """A selection among the programs of this run and possibly of others.

    Attributes:
        number: number of the study within the run, from 1.
        created: date and time of creation.
        settings: settings and candidates, as JSON values.
        status: ``running`` or ``finished``; an interrupted study remains ``running``.
        stages: completed stages, in order.
    """

    number: int
    created: str
    settings: Mapping[str, Any]
    status: str
    stages: tuple[Stage, ...]
