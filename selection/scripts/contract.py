"""The contract between a comparison and a training script, version 1; docs/scripts.md describes it for users.

A script receives its optimizer, seed and number of steps through environment variables, which pass through launchers
such as ``torchrun`` and need no quoting. It prints reports, one JSON object a line, on its standard output:

    {"step": 100, "train_loss": 2.31, "validation_loss": 2.35}
    {"test_loss": 2.11}

Lines that are no JSON objects with ``step`` or ``test_loss`` are not reports; they are only logged.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from optsearch.proxy_tasks.outcome import Outcome, TrainingResult

CONTRACT_VERSION = 1
"""Incremented when a script that keeps the contract has to change."""

OPTIMIZER, SEED, STEPS, FOLDER, VERSION = (
    "OPTSEARCH_OPTIMIZER",
    "OPTSEARCH_SEED",
    "OPTSEARCH_STEPS",
    "OPTSEARCH_FOLDER",
    "OPTSEARCH_CONTRACT",
)
"""Variables: path of the optimizer's module, seed, steps, a folder for files of the run, version of the contract."""

Stop = tuple[tuple[int, float], ...]
"""Rule of early stopping: pairs of a step and the largest validation loss there."""

LOSSES = ("train_loss", "validation_loss")


class ReportError(ValueError):
    """A report does not keep the contract."""


class Reports:
    """Reports of a training run so far.

    Args:
        steps: budget of the run in steps.
        checkpoints: steps at which the result has losses.
        stop: rule of early stopping; a run is stopped at the first report at or after a step whose validation loss is
            above the limit of the step.

    Attributes:
        count: number of reports.
        fault: how a report breaks the contract; empty if none does.
        outcome: why the run should be stopped, or OK once it is complete; None otherwise.
    """

    def __init__(self, steps: int, checkpoints: Sequence[int], stop: Stop = ()):
        self._steps, self._checkpoints, self._stop = steps, checkpoints, stop
        self._known: list[tuple[int, float, float]] = []
        self._test_loss: float | None = None
        self._accuracy: float | None = None
        self.count, self.fault = 0, ""
        self.outcome: Outcome | None = None

    @property
    def losses(self) -> tuple[tuple[int, float, float], ...]:
        """Step, training loss and validation loss of each report."""
        return tuple(self._known)

    def add(self, line: str) -> None:
        """Reads a line of the script; ignored unless it is a report, and after the last report."""
        if self.outcome is not None or (values := parsed(line)) is None:
            return
        try:
            self._add(values)
        except ReportError as error:
            self.fault, self.outcome = f"{error}: {line.strip()[:200]}", Outcome.INCOMPLETE

    def _add(self, values: Mapping[str, Any]) -> None:
        if "step" in values:
            self._report(values)
        if "test_loss" not in values or self.outcome is not None:
            return
        if not self._known or self._known[-1][0] != self._steps:
            last = self._known[-1][0] if self._known else "missing"
            raise ReportError(
                f"the test loss is reported before the last step: report the losses after step {self._steps} first "
                f"(the step of the last report is {last})"
            )
        test_loss = _number(values, "test_loss")
        if values.get("accuracy") is not None:
            self._accuracy = _number(values, "accuracy")
            if not 0.0 <= self._accuracy <= 1.0:
                raise ReportError("'accuracy' is not a fraction from 0 to 1")
        self.count += 1
        self._test_loss = test_loss
        self.outcome = Outcome.OK if math.isfinite(test_loss) else Outcome.NON_FINITE

    def _report(self, values: Mapping[str, Any]) -> None:
        step: Any = values["step"]
        least = self._known[-1][0] + 1 if self._known else 0
        if not isinstance(step, int) or isinstance(step, bool) or not least <= step <= self._steps:
            raise ReportError(
                f"'step' must be a whole number from {least} (steps increase) to {self._steps}, the budget ({STEPS})"
            )
        train, validation = (_number(values, name) for name in LOSSES)
        self.count += 1
        if not (math.isfinite(train) and math.isfinite(validation)):
            self.outcome = Outcome.NON_FINITE
            return
        self._known.append((step, train, validation))
        if any(step >= at and validation > limit for at, limit in self._stop if at > least - 1):
            self.outcome = Outcome.HURDLE

    def result(self, outcome: Outcome) -> TrainingResult:
        """The result of a run that ended so.

        The losses at a checkpoint are those of the last report at or before it. Checkpoints before the first report
        have the training loss of the first report and no validation loss.
        """
        ok, last = outcome is Outcome.OK, self._known[-1] if self._known else None
        passed = [] if last is None else [checkpoint for checkpoint in self._checkpoints if checkpoint <= last[0]]
        train: list[float] = []
        validation: list[float | None] = []
        for checkpoint in passed:
            before = [report for report in self._known if report[0] <= checkpoint]
            train.append((before or self._known)[-1 if before else 0][1])
            validation.append(before[-1][2] if before else None)
        return TrainingResult(
            outcome=outcome,
            loss=last[2] if ok and last else None,
            test_loss=self._test_loss if ok else None,
            accuracy=self._accuracy if ok else None,
            steps=last[0] if last else 0,
            train_losses=tuple(train),
            loss_so_far=last[1] if last else None,
            validation_losses=tuple(validation),
        )


def parsed(line: str) -> Mapping[str, Any] | None:
    """The values of a line that is a report; None for any other line."""
    if not line.lstrip().startswith("{"):
        return None
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) and ("step" in values or "test_loss" in values) else None


def _number(values: Mapping[str, Any], name: str) -> float:
    """A number of a report; null, which some writers of JSON give for NaN, is NaN."""
    if name not in values:
        raise ReportError(f"a report without '{name}'")
    value: Any = values[name]
    if value is None:
        return math.nan
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ReportError(f"'{name}' is not a number")
    try:
        return float(value)
    except OverflowError:
        return math.inf
