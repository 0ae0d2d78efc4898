"""The funnels and evaluations of a run's programs, as recorded."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup
from pydantic import TypeAdapter

from optsearch.runs.store.errors import DamagedRunError, plain_errors
from optsearch.runs.store.reader import RunReader
from optsearch.runs.store.records import JsonObject, Stage, Study
from optsearch.runs.summary.stage_record import StageRecord, decode_stage
from optsearch.runs.text.html_table import html_table


@dataclass(frozen=True, slots=True)
class EnteredProgram:
    """A program that entered a funnel or an evaluation.

    Attributes:
        name: its name there, such as ``RUN:ID``.
        fingerprint: semantic fingerprint.
        fitness: fitness in the search; None for an evaluation.
        program: text of the program.
    """

    name: str
    fingerprint: str
    fitness: float | None
    program: str


@dataclass(frozen=True, slots=True)
class Double:
    """A program at the top of a run for which another one stands in a funnel.

    Attributes:
        name: its name, such as ``RUN:ID``.
        stands: name of the program that stands for it.
        same_meaning: True if both have the same fingerprint; False if they only behave alike.
    """

    name: str
    stands: str
    same_meaning: bool


@dataclass(frozen=True, slots=True)
class FunnelPlan:
    """What the settings of a funnel say about it.

    Attributes:
        name: name of the funnel.
        description: its purpose.
        stages: names of the stages, in order.
    """

    name: str
    description: str
    stages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SelectionRecord:
    """A funnel or an evaluation of programs of a run.

    Attributes:
        number: number of the study within the run, from 1.
        created: date and time of creation.
        status: ``running`` or ``finished``; an interrupted study remains ``running``.
        funnel: the funnel; None for an evaluation.
        runs: names of the runs of the candidates.
        candidates: programs that entered.
        stages: completed stages; a single one for an evaluation.
        key: identifies the same study in the files of several runs.
        asked: settings of an evaluation, as recorded; empty for a funnel.
    """

    number: int
    created: str
    status: str
    funnel: FunnelPlan | None
    runs: tuple[str, ...]
    candidates: tuple[EnteredProgram, ...]
    stages: tuple[StageRecord, ...]
    key: str
    asked: JsonObject

    @property
    def name(self) -> str:
        """Name of the funnel; empty for an evaluation."""
        return "" if self.funnel is None else self.funnel.name

    @property
    def survivors(self) -> tuple[str, ...]:
        """Names of the programs that passed the last completed stage, or of all candidates before the first."""
        return self.stages[-1].passed if self.stages else tuple(candidate.name for candidate in self.candidates)

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the remaining stages."""
        return () if self.funnel is None else self.funnel.stages[len(self.stages) :]


@dataclass(frozen=True, slots=True)
class SelectionResult:
    """Result of ``select``.

    Attributes:
        selection: the funnel, as recorded in the first run.
        warnings: messages about tasks that are not held out.
        considered: number of programs at the top of the runs' leaderboards.
        doubles: the programs among them for which a candidate stands.
        known: number of cached training runs.
        trained: number of training runs executed by this call.
    """

    selection: SelectionRecord
    warnings: tuple[str, ...]
    considered: int
    doubles: tuple[Double, ...]
    known: int
    trained: int

    @property
    def survivors(self) -> tuple[str, ...]:
        """Names of the programs that passed the last completed stage, best first."""
        return self.selection.survivors

    def __repr__(self) -> str:
        record = self.selection
        stages = "; ".join(
            f"{stage.name}: {len(stage.passed)} of {len(stage.programs)} pass" for stage in record.stages
        )
        left = ", ".join(record.survivors) or "no program"
        return f"<SelectionResult of funnel {record.name}: {record.status}; {stages or 'no stage yet'}; left: {left}>"

    def _repr_html_(self) -> str:
        rows = [
            (stage.name, verdict.contender, verdict.score, verdict.why)
            for stage in self.selection.stages
            for verdict in stage.programs
        ]
        return str(Markup("<p>{}</p>{}").format(repr(self), html_table(("stage", "program", "score", "result"), rows)))


_CANDIDATES: TypeAdapter[tuple[EnteredProgram, ...]] = TypeAdapter(tuple[EnteredProgram, ...])


def read_selections(store: RunReader) -> list[SelectionRecord]:
    """The funnels and evaluations of a run, in the order of their creation.

    Raises:
        DamagedRunError: a record is damaged.
    """
    with plain_errors(store.path):
        return [_selection(study) for study in store.studies()]


def read_selection(store: RunReader, number: int) -> SelectionRecord:
    """One funnel or evaluation of a run, by its number.

    Raises:
        DamagedRunError: its record is damaged.
    """
    with plain_errors(store.path):
        return _selection(store.studies()[number - 1])


def _selection(study: Study) -> SelectionRecord:
    settings = study.settings
    return SelectionRecord(
        number=study.number,
        created=study.created,
        status=study.status,
        funnel=_funnel(settings.get("funnel")),
        runs=tuple(settings["runs"]),
        candidates=_CANDIDATES.validate_python(settings["candidates"]),
        stages=tuple(_stage(study, stage) for stage in study.stages),
        key=repr(sorted(settings.items())),
        asked=settings.get("evaluation") or {},
    )


def _funnel(settings: JsonObject | None) -> FunnelPlan | None:
    if settings is None:
        return None
    stages = tuple(stage["name"] for stage in settings["stages"])
    return FunnelPlan(settings["name"], settings.get("description", ""), stages)


def _stage(study: Study, stage: Stage) -> StageRecord:
    try:
        return decode_stage(stage.result)
    except ValueError as error:
        raise DamagedRunError(f"table stages: record ({study.number}) is not what it must be: {error}") from None
