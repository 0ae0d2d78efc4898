"""The result of an evaluation, with what it was made of and with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from markupsafe import Markup

from optsearch.runs.summary.evaluation_json import encode_evaluation
from optsearch.runs.summary.evaluation_rows import (
    LossRow,
    RateRow,
    StepCostRow,
    TargetTimeRow,
    TuningCurveRow,
    VerdictRow,
    loss_rows,
    rate_rows,
    step_cost_rows,
    target_time_rows,
    tuning_curve_rows,
    verdict_rows,
)
from optsearch.runs.summary.stage_record import TrainingCost
from optsearch.runs.text.html_table import html_table
from optsearch.runs.text.phrasing import headline_verdict
from optsearch.selection.comparison.evaluation import Evaluation
from optsearch.selection.comparison.settings import EvaluationSettings

_COLUMNS = ("task", "contender", "test loss", "low", "high", "failed")


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

    def losses(self) -> list[LossRow]:
        """Test losses, by task and contender."""
        return loss_rows(self.evaluation)

    def verdicts(self) -> list[VerdictRow]:
        """Comparisons of each program with each opponent over all tasks."""
        return verdict_rows(self.evaluation)

    def target_times(self) -> list[TargetTimeRow]:
        """Steps to a target validation loss, by task and contender."""
        return target_time_rows(self.evaluation)

    def step_costs(self) -> list[StepCostRow]:
        """Arithmetic, state and wall-clock time of a step, by task and contender; times need ``timed=True``."""
        return step_cost_rows(self.evaluation)

    def rate_sensitivity(self) -> list[RateRow]:
        """Loss at multiples of the tuned learning rates; empty without ``sensitivity=True``."""
        return rate_rows(self.evaluation)

    def tuning_curves(self) -> list[TuningCurveRow]:
        """Loss against the number of tuning trials; empty without tuning."""
        return tuning_curve_rows(self.evaluation)

    def __repr__(self) -> str:
        found = self.evaluation
        verdicts = [headline_verdict(row) for row in found.headlines]
        about = f"<EvaluationResult: {', '.join(found.contenders)} on {', '.join(found.tasks)}"
        return "\n  ".join([f"{about}, {len(found.rows)} runs on fresh seeds", *verdicts]) + ">"

    def _repr_html_(self) -> str:
        rows = [(row.task, row.contender, row.loss, row.low, row.high, row.failed) for row in self.losses()]
        verdicts = [headline_verdict(row) for row in self.evaluation.headlines]
        says = Markup("").join(Markup("<li>{}</li>").format(sentence) for sentence in verdicts)
        return str(Markup("{}<ul>{}</ul>").format(html_table(_COLUMNS, rows), says))

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
