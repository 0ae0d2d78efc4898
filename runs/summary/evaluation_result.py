"""The result of an evaluation, and its conversion to plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from optsearch.selection.comparison import UNREPLICATED
from optsearch.selection.evaluation import Evaluation
from optsearch.selection.sensitivity import sensitivity
from optsearch.selection.tuning import Trial
from optsearch.selection.tuning_curve import tuning_curve

VALIDATION, TRAINING = "validation loss", "training loss"
"""Losses that set the target of `times`: this release's, and that of records without the key ``target``."""


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """Result of ``evaluate``.

    Attributes:
        evaluation: rows and comparisons.
        warnings: messages about tasks that are not held out for a program.
        known: number of cached training runs.
        trained: number of training runs executed by this evaluation.
        looks: for each program and task the number of other comparisons that have used some of the same fresh seeds.
        settings: settings of the evaluation, with the version of each task.
        programs: texts of the programs by their names in the evaluation.
        cost: ``runs``, ``steps`` and ``seconds`` of training, cached runs included.
        made_with: machine and versions of packages.
    """

    evaluation: Evaluation
    warnings: tuple[str, ...]
    known: int
    trained: int
    looks: Mapping[str, Mapping[str, int]]
    settings: Mapping[str, Any]
    programs: Mapping[str, str]
    cost: Mapping[str, Any]
    made_with: Mapping[str, str]

    def as_values(self) -> dict[str, Any]:
        """JSON representation; infinite values, such as the loss of a failed trial, become None."""
        values: dict[str, Any] = {
            "warnings": list(self.warnings),
            "known_runs": self.known,
            "trained_runs": self.trained,
        }
        values |= {"settings": dict(self.settings), "programs": dict(self.programs), "cost": dict(self.cost)}
        values["made_with"] = dict(self.made_with)
        values["looks"] = {name: dict(tasks) for name, tasks in self.looks.items()}
        return values | evaluation_values(self.evaluation)


def evaluation_values(evaluation: Evaluation) -> dict[str, Any]:
    """JSON representation of an evaluation; pairs of a name and a value become objects.

    ``target`` names the loss that sets the target of ``times``.
    """
    values = finite(asdict(evaluation)) | {"target": VALIDATION}
    for row in values["rows"]:
        row["values"] = dict(row["values"])
    for entry, tuning in zip(values["tuning"], evaluation.tuning, strict=True):
        tuned = entry.pop("tuned")
        trials = [{**trial, "values": dict(trial["values"])} for trial in tuned["trials"]]
        entry |= {**tuned, "values": dict(tuned["values"]), "trials": trials}
        entry["sensitivity"] = finite(asdict(sensitivity(tuning.tuned.trials)))
    values |= {"trivial": dict(evaluation.trivial), "state_bytes": dict(evaluation.state_bytes)}
    values["untuned"] = {name: list(left) for name, left in evaluation.untuned}
    for entry, family in zip(values["families"], evaluation.families, strict=True):
        entry["best"] = {task: list(best) for task, best in family.best}
    for row in values["times"]:
        row |= {"median_steps": dict(row["median_steps"]), "failed": dict(row["failed"])}
    return values


def recorded_evaluation(stage: Mapping[str, Any]) -> Mapping[str, Any]:
    """The evaluation in the record of a stage.

    Releases that tuned every contender once recorded verdicts from paired seeds. These hold for the settings found and
    do not compare optimizers, so they are replaced by `UNREPLICATED`, without p-values. Where the sensitivity or the
    loss against tuning budget was not recorded, it is computed from the trials. Releases that recorded no ``target``
    measured ``times`` to a training loss, and no time of steps.
    """
    evaluation: Mapping[str, Any] = {"target": TRAINING, "step_times": [], **stage["evaluation"]}
    if "replicates" not in evaluation:
        evaluation = _of_settings(evaluation)
    if "shared" in evaluation:
        return evaluation
    return {
        **evaluation,
        "shared": False,
        "tuning_curves": _tuning_curves(evaluation["tuning"]),
        "rate_runs": [],
        "rate_sensitivity": [],
    }


def _of_settings(evaluation: Mapping[str, Any]) -> Mapping[str, Any]:
    """An evaluation whose contenders were tuned once, without verdicts."""
    tuning = [
        row if "sensitivity" in row else {**row, "sensitivity": finite(asdict(sensitivity(_trials(row))))}
        for row in evaluation["tuning"]
    ]
    unknown = {"verdict": UNREPLICATED, "p_value": None, "corrected": None, "detectable": None}
    return {
        **evaluation,
        "replicates": 1,
        "tuning": tuning,
        "comparisons": [{**row, **unknown} for row in evaluation["comparisons"]],
        "headlines": [],
        "estimates": [],
        "failed_tuning": [],
    }


def _tuning_curves(tuning: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Loss against tuning budget of each contender on each task; none without trials."""
    found: dict[tuple[str, str], list[list[Trial]]] = {}
    for row in tuning:
        if row["trials"]:
            found.setdefault((row["task"], row["contender"]), []).append(_trials(row))
    return [finite(asdict(tuning_curve(*about, replicates))) for about, replicates in found.items()]


def _trials(row: Mapping[str, Any]) -> list[Trial]:
    """The trials of a recorded tuning on one task."""
    found: list[Trial] = []
    for trial in row["trials"]:
        losses = tuple(math.inf if loss is None else loss for loss in trial["losses"])
        found.append(Trial(tuple(trial["values"].items()), losses, math.fsum(losses) / len(losses)))
    return found


def finite(value: Any) -> Any:
    """Replaces non-finite numbers by None, for JSON."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
