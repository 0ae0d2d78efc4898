"""Records of a run other than tickets: searches, runs on further seeds, studies, and sessions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

JsonObject = Mapping[str, Any]
"""A JSON object of a run file. Its schema is that of the file: ``decoding`` validates the keys that this version reads,
and keeps further ones, which another version may have recorded."""


@dataclass(frozen=True, slots=True)
class Search:
    """One search of a run.

    Attributes:
        number: key of the search in the file.
        name: name of the search, such as ``search`` or ``control``.
        prefix: prefix of its program ids; empty for the main search.
        settings: settings of the search, as JSON values.
    """

    number: int
    name: str
    prefix: str
    settings: JsonObject

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
    result: JsonObject


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
    settings: JsonObject
    status: str
    stages: tuple[Stage, ...]


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One process that wrote the run.

    Attributes:
        started: date and time of the start.
        seconds: time until the last record.
        about: machine type, environment variables and versions of packages, by name.
    """

    started: str
    seconds: float
    about: Mapping[str, str]
