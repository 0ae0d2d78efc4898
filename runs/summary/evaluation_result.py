"""The result of an evaluation, and its conversion to plain values."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from optsearch.selection.evaluation import Evaluation
from optsearch.selection.sensitivity import sensitivity


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """Result of ``evaluate``.

    Attributes:
        evaluation: rows and comparisons.
        warnings: messages about tasks that are not held out for a program.
        known: number of cached training runs.
        trained: number of training runs executed by this evaluation.
    """

    evaluation: Evaluation
    warnings: tuple[str, ...]
    known: int
    trained: int

    def as_values(self) -> dict[str, Any]:
        """JSON representation; infinite values, such as the loss of a failed trial, become None."""
        values = {"warnings": list(self.warnings), "known_runs": self.known, "trained_runs": self.trained}
        return values | evaluation_values(self.evaluation)


def evaluation_values(evaluation: Evaluation) -> dict[str, Any]:
    """JSON representation of an evaluation; tuned values of a contender become an object."""
    values = finite(asdict(evaluation))
    for row in values["rows"]:
        row["values"] = dict(row["values"])
    for entry, tuning in zip(values["tuning"], evaluation.tuning, strict=True):
        tuned = entry.pop("tuned")
        trials = [{"values": dict(t["values"]), "losses": t["losses"]} for t in tuned["trials"]]
        entry |= {**tuned, "values": dict(tuned["values"]), "trials": trials}
        entry["sensitivity"] = finite(asdict(sensitivity(tuning.tuned.trials)))
    for row in values["times"]:
        row |= {"median_steps": dict(row["median_steps"]), "failed": dict(row["failed"])}
    return values


def finite(value: Any) -> Any:
    """Replaces non-finite numbers by None, for JSON."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
