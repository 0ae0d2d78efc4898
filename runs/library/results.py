"""Results of a discovered program, taken from an evaluation: a part of its record, and the losses of all seeds."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.program import Program
from optsearch.dsl.syntax import parse
from optsearch.runs.store.errors import RunError
from optsearch.runs.summary.stage_record import TrainingCost
from optsearch.selection.comparison.comparison import Comparison, Headline
from optsearch.selection.comparison.evaluation import Evaluation
from optsearch.selection.statistics.intervals import Interval

Fields = dict[str, Any]
"""Fields of a part of the record before `read_discovery` validates the whole; the schema is that of
`discovery.Record`."""

COLUMNS = ("task", "contender", "kind", "replicate", "settings", "tuned_validation_loss", "test_losses")
"""Columns of the file with the losses of all seeds; the last one has a loss for every fresh seed of the replicate."""


class Line(Fields):
    """A mapping that is dumped in flow style, on one line."""


@dataclass(frozen=True, slots=True)
class RecordedSettings:
    """Settings of an evaluation, as recorded, that its results are stated with.

    Attributes:
        tasks: version of each task.
        seeds: number of fresh seeds of each replicate.
        trials: number of tuning trials.
        constants: True if constants were tuned too.
        skipped_seeds: number of skipped fresh seeds of each replicate.
        shared: True if each tuning selected one setting for all tasks.
    """

    tasks: Mapping[str, str]
    seeds: int
    trials: int
    constants: bool
    skipped_seeds: int = 0
    shared: bool = False


SETTINGS: TypeAdapter[RecordedSettings] = TypeAdapter(RecordedSettings)
"""Reads the settings of an evaluation from its record or its JSON."""


@dataclass(frozen=True, slots=True)
class RecordedResult:
    """An evaluation from which an entry takes its results.

    Attributes:
        settings: settings of the evaluation.
        programs: texts of the programs by their names in the evaluation.
        cost: cost of training.
        evaluation: its results.
        made_with: processor and versions of packages.
    """

    settings: RecordedSettings
    programs: Mapping[str, str]
    cost: TrainingCost
    evaluation: Evaluation
    made_with: Mapping[str, str]

    def called(self, program: Program) -> str:
        """Name of a program in the evaluation.

        Raises:
            RunError: the program does not take part.
        """
        meaning = fingerprint(program)
        for name, text in self.programs.items():
            if fingerprint(parse(text)) == meaning:
                return name
        raise RunError(f"the program with fingerprint {meaning} takes no part in the evaluation: evaluate it again")


def results_of(evaluated: RecordedResult, program: str, name: str, losses: str) -> Fields:
    """The fields of `discovery.RecordedEvaluation` for a program, by its name in the evaluation.

    Args:
        evaluated: the evaluation.
        program: name of the program in it.
        name: name of the program's entry.
        losses: name of the file with the losses of all seeds.
    """
    asked, found = evaluated.settings, evaluated.evaluation
    results: list[Fields] = []
    trivial = dict(found.trivial)
    for task in found.tasks:
        against = [
            Line(
                {"baseline": row.baseline, **_losses(found, task, row.baseline)}
                | {"difference": _ends(row.difference), **_test(row)}
            )
            for row in found.comparisons
            if row.task == task and row.contender == program
        ]
        about = {"task": task, "version": asked.tasks[task], "trivial": _short(trivial[task])}
        results.append(about | _losses(found, task, program) | {"against": against})
    members = {family.name: list(family.members) for family in found.families}
    over_tasks = [
        {"opponent": row.opponent, "members": members.get(row.opponent, [row.opponent])}
        | {"relative": _ends(row.relative), "leads": row.leads, **_test(row)}
        for row in found.headlines
        if row.contender == program
    ]
    return {
        "replicates": found.replicates,
        "seeds": asked.seeds,
        "skipped_seeds": asked.skipped_seeds,
        "trials": asked.trials,
        "constants": asked.constants,
        **({"shared": True} if asked.shared else {}),
        "programs": [name if other == program else other for other in evaluated.programs],
        "comparisons": len(found.comparisons) + len(found.headlines),
        "losses": losses,
        "over_tasks": over_tasks,
        "results": results,
        "made_with": dict(evaluated.made_with),
    }


def _test(row: Comparison | Headline) -> Fields:
    return {"p": _short(row.p_value), "corrected": _short(row.corrected), "verdict": row.verdict}


def losses_of_seeds(evaluated: RecordedResult) -> str:
    """CSV with one line per task, contender and replicate: tuned values, tuned validation loss, and all test losses.

    All contenders of the evaluation are included, since p-values are corrected for all comparisons. A run that did not
    train has the loss ``failed``.
    """
    found = evaluated.evaluation
    losses: dict[tuple[str, str, int], list[str]] = {}
    for row in found.rows:
        losses.setdefault((row.task, row.contender, row.replicate), []).append(_loss_text(row.test_loss))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for entry in found.tuning:
        place = entry.task, entry.contender, entry.replicate
        kind = "program" if entry.contender in evaluated.programs else "baseline"
        settings = " ".join(f"{key}={value!r}" for key, value in entry.tuned.values)
        tuned = _loss_text(entry.tuned.loss)
        table.writerow([*place[:2], kind, entry.replicate, settings, tuned, " ".join(losses[place])])
    return text.getvalue()


def _loss_text(loss: float | None) -> str:
    return "failed" if loss is None or loss == math.inf else repr(loss)


def _losses(found: Evaluation, task: str, contender: str) -> Fields:
    """Mean test loss with its interval over replicates, as printed by `evaluate`, and number of failed runs."""
    (row,) = [row for row in found.estimates if (row.task, row.contender) == (task, contender)]
    return {"loss": _ends(row.loss), "failed": row.failed}


def _ends(interval: Interval | None) -> list[float | None]:
    return [None] * 3 if interval is None else [_short(end) for end in (interval.mean, interval.low, interval.high)]


def _short(value: float | None) -> float | None:
    """Rounds to six significant digits, well below the variation between seeds."""
    return None if value is None else float(f"{value:.6g}")
