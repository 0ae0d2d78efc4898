"""Results of a discovered program, taken from an evaluation: a part of its record, and the losses of all seeds."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.program import Program
from optsearch.dsl.syntax import parse
from optsearch.runs.store.errors import RunError
from optsearch.runs.store.records import JsonObject

Fields = dict[str, Any]
"""Fields of a part of the record before `read_discovery` validates the whole; the schema is that of
`discovery.Record`."""

COLUMNS = ("task", "contender", "kind", "replicate", "settings", "tuned_validation_loss", "test_losses")
"""Columns of the file with the losses of all seeds; the last one has a loss for every fresh seed of the replicate."""


class Line(Fields):
    """A mapping that is dumped in flow style, on one line."""


@dataclass(frozen=True)
class Evaluated:
    """An evaluation from which an entry takes its results.

    Attributes:
        settings: settings of the evaluation, with the versions of its tasks.
        programs: texts of the programs by their names in the evaluation.
        runs: number of training runs.
        seconds: training time, summed over all workers.
        values: results, as returned by `evaluation_values`.
        made_with: processor and versions of packages.
    """

    settings: JsonObject
    programs: Mapping[str, str]
    runs: int
    seconds: float
    values: JsonObject
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


def held_out(evaluated: Evaluated, program: str, name: str, losses: str) -> Fields:
    """The fields of `discovery.Held` for a program, by its name in the evaluation.

    Args:
        evaluated: the evaluation.
        program: name of the program in it.
        name: name of the program's entry.
        losses: name of the file with the losses of all seeds.
    """
    asked, found = evaluated.settings, evaluated.values
    results: list[Fields] = []
    for task in found["tasks"]:
        against = [
            Line(
                {"baseline": row["baseline"], **_losses(found, task, row["baseline"])}
                | {"difference": _ends(row["difference"]), **_test(row)}
            )
            for row in found["comparisons"]
            if row["task"] == task and row["contender"] == program
        ]
        about = {"task": task, "version": asked["tasks"][task], "trivial": _short(found["trivial"][task])}
        results.append(about | _losses(found, task, program) | {"against": against})
    members = {family["name"]: family["members"] for family in found["families"]}
    over_tasks = [
        {"opponent": row["opponent"], "members": members.get(row["opponent"], [row["opponent"]])}
        | {"relative": _ends(row["relative"]), "leads": row["leads"], **_test(row)}
        for row in found["headlines"]
        if row["contender"] == program
    ]
    return {
        "replicates": found["replicates"],
        "seeds": asked["seeds"],
        "skipped_seeds": asked.get("skipped_seeds", 0),
        "trials": asked["trials"],
        "constants": asked["constants"],
        **({"shared": True} if asked.get("shared") else {}),
        "programs": [name if other == program else other for other in evaluated.programs],
        "comparisons": len(found["comparisons"]) + len(found["headlines"]),
        "losses": losses,
        "over_tasks": over_tasks,
        "results": results,
        "made_with": dict(evaluated.made_with),
    }


def _test(row: JsonObject) -> Fields:
    return {"p": _short(row["p_value"]), "corrected": _short(row["corrected"]), "verdict": row["verdict"]}


def losses_of_seeds(evaluated: Evaluated) -> str:
    """CSV with one line per task, contender and replicate: tuned values, tuned validation loss, and all test losses.

    All contenders of the evaluation are included, since p-values are corrected for all comparisons. A run that did not
    train has the loss ``failed``.
    """
    found = evaluated.values
    losses: dict[tuple[str, str, int], list[str]] = {}
    for row in found["rows"]:
        text = "failed" if row["test_loss"] is None else repr(row["test_loss"])
        losses.setdefault((row["task"], row["contender"], row["replicate"]), []).append(text)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for row in found["tuning"]:
        task, name, replicate = place = row["task"], row["contender"], row["replicate"]
        kind = "program" if name in evaluated.programs else "baseline"
        settings = " ".join(f"{key}={value!r}" for key, value in row["values"].items())
        tuned = "failed" if row["loss"] is None else repr(row["loss"])
        table.writerow([task, name, kind, replicate, settings, tuned, " ".join(losses[place])])
    return text.getvalue()


def _losses(found: JsonObject, task: str, contender: str) -> Fields:
    """Mean test loss with its interval over replicates, as printed by `evaluate`, and number of failed runs."""
    (row,) = [row for row in found["estimates"] if (row["task"], row["contender"]) == (task, contender)]
    return {"loss": _ends(row["loss"]), "failed": row["failed"]}


def _ends(interval: JsonObject | None) -> list[float | None]:
    return [None] * 3 if interval is None else [_short(interval[key]) for key in ("mean", "low", "high")]


def _short(value: float | None) -> float | None:
    """Rounds to six significant digits, well below the variation between seeds."""
    return None if value is None else float(f"{value:.6g}")
