"""Files with the output of ``evaluate --json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from optsearch.dsl.syntax import parse
from optsearch.runs.store.decoding import fault
from optsearch.runs.store.errors import RunError
from optsearch.runs.store.records import JsonObject
from optsearch.runs.summary.evaluation_json import decode_evaluation
from optsearch.runs.summary.stage_record import TrainingCost
from optsearch.selection.comparison.evaluation import Evaluation


@dataclass(frozen=True, slots=True)
class _Rest:
    """The parts of the output that are no results."""

    settings: dict[str, Any]
    programs: dict[str, str]
    cost: TrainingCost
    made_with: dict[str, str]
    warnings: tuple[str, ...] = ()
    looks: Mapping[str, Mapping[str, int]] | None = None


_REST: TypeAdapter[_Rest] = TypeAdapter(_Rest)


@dataclass(frozen=True, slots=True)
class ResultFile:
    """An evaluation in a file.

    Attributes:
        path: the file.
        evaluation: its results.
        settings: its settings, as recorded.
        programs: texts of the programs by their names in the evaluation.
        cost: cost of training.
        made_with: machine and versions of packages.
        warnings: messages about tasks that are not held out for a program.
        looks: for each program and task the number of other comparisons that had used some of the same fresh seeds.
    """

    path: Path
    evaluation: Evaluation
    settings: JsonObject
    programs: Mapping[str, str]
    cost: TrainingCost
    made_with: Mapping[str, str]
    warnings: tuple[str, ...]
    looks: Mapping[str, Mapping[str, int]]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads a file.

        Raises:
            RunError: the file cannot be read, or is no output of ``evaluate --json``.
        """
        try:
            values: Any = json.loads(path.read_text(encoding="utf-8"))
            evaluation, rest = decode_evaluation(values), _REST.validate_python(values)
            if not isinstance(rest.settings.get("tasks"), dict):
                raise ValueError("settings: has no tasks")
            for text in rest.programs.values():
                parse(text)
        except ValidationError as error:
            raise RunError(f"{path}: is no output of `optsearch evaluate --json`: {fault(error)}") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = "" if isinstance(error, KeyError | TypeError | AttributeError) else f": {error}"
            raise RunError(f"{path}: is no output of `optsearch evaluate --json`{reason}") from error
        looks = rest.looks or {}
        return cls(path, evaluation, rest.settings, rest.programs, rest.cost, rest.made_with, rest.warnings, looks)
