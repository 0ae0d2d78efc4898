"""The result of an evaluation, with what it was made of and with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from optsearch.runs.summary.evaluation_json import encode_evaluation
from optsearch.runs.summary.stage_record import TrainingCost
from optsearch.selection.comparison.evaluation import Evaluation
from optsearch.selection.comparison.settings import EvaluationSettings


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """Result of ``evaluate``.

    Attributes:
        evaluation: rows and comparisons.
        warnings: messages about tasks that are not held out for a program.
        known: number of cached training runs.
        trained: number of training runs executed by this evaluation.
        looks: for each program and task the number of other comparisons that have used some of the same fresh seeds.
        settings: settings of the evaluation.
        programs: texts of the programs by their names in the evaluation.
        cost: cost of training, cached runs included.
        made_with: machine and versions of packages.
    """

    evaluation: Evaluation
    warnings: tuple[str, ...]
    known: int
    trained: int
    looks: Mapping[str, Mapping[str, int]]
    settings: EvaluationSettings
    programs: Mapping[str, str]
    cost: TrainingCost
    made_with: Mapping[str, str]

    def as_values(self) -> dict[str, Any]:
        """JSON representation; infinite values, such as the loss of a failed trial, become None."""
        values: dict[str, Any] = {
            "warnings": list(self.warnings),
            "known_runs": self.known,
            "trained_runs": self.trained,
        }
        values |= {"settings": self.settings.recorded(), "programs": dict(self.programs), "cost": asdict(self.cost)}
        values["made_with"] = dict(self.made_with)
        values["looks"] = {name: dict(tasks) for name, tasks in self.looks.items()}
        return values | encode_evaluation(self.evaluation)
