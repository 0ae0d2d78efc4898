"""Results of earlier evaluations that ``evaluate --join`` judges together with its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from optsearch.dsl.errors import UserError
from optsearch.runs.library.references import NamedProgram
from optsearch.runs.store.environment import about_machine
from optsearch.runs.summary.result_file import ResultFile
from optsearch.runs.summary.stage_record import TrainingCost
from optsearch.selection.comparison.settings import EvaluationSettings

PROTOCOL = {
    "baselines": "--baseline",
    "trials": "--tune",
    "replicates": "--replicates",
    "seeds": "--seeds",
    "skipped_seeds": "--skip-seeds",
    "constants": "--constants",
    "spaces": "--space",
}
"""What joined evaluations share, with the option that sets it."""


class JoinError(UserError, ValueError):
    """Evaluations cannot be judged as one."""


def read_joined(paths: Sequence[Path], settings: EvaluationSettings) -> tuple[EvaluationSettings, list[ResultFile]]:
    """Reads the results that are to be joined.

    Args:
        paths: files with the output of ``evaluate --json``.
        settings: settings of the evaluation that they join.

    Returns:
        The settings with the tasks of all files, and the files.

    Raises:
        RunError: a file cannot be read.
        JoinError: a file is from a training script, or has one setting for all of its tasks.
    """
    files = [ResultFile.read(path) for path in paths]
    for file in files:
        if "script" in file.settings:
            raise JoinError(f"{file.path}: is a comparison on a training script, whose baselines are others")
        if file.evaluation.shared or settings.shared:
            raise JoinError(f"{file.path}: --shared tunes all tasks of an evaluation at once, so that none can join it")
    return replace(settings, joined=tuple(task for file in files for task in file.evaluation.tasks)), files


def check_joined(
    file: ResultFile, settings: EvaluationSettings, programs: Mapping[str, NamedProgram], contenders: Sequence[str]
) -> None:
    """Checks that earlier results are of the same comparison.

    Args:
        file: the earlier results.
        settings: the settings with the joined tasks.
        programs: the programs by their names in the evaluation.
        contenders: the names of all contenders, in order.

    Raises:
        JoinError: contenders, protocol or the version of a task differ; the message names the difference and the fix.
        TaskError: a task does not exist any more, or is in two files, or in a file and the settings.
    """
    asked = settings.recorded()
    for key, option in PROTOCOL.items():
        if file.settings.get(key) != asked[key]:
            raise JoinError(
                f"{file.path}: was made with {option} {_words(file.settings.get(key))}, and this evaluation has "
                f"{_words(asked[key])}: only evaluations that differ in their tasks alone can be joined"
            )
    texts = {name: str(named.program) for name, named in programs.items()}
    if dict(file.programs) != texts or list(file.evaluation.contenders) != list(contenders):
        differing = sorted(set(file.programs.items()) ^ set(texts.items()))
        raise JoinError(
            f"{file.path}: has other programs, or in another order: {', '.join(file.programs)}. Name the same ones"
            + (f" ({', '.join(dict.fromkeys(name for name, _ in differing))} differs)" if differing else "")
        )
    for task, version in file.settings["tasks"].items():
        if asked["tasks"].get(task) != version:
            raise JoinError(
                f"{file.path}: its results are of version {version} of '{task}', and this release has version "
                f"{asked['tasks'].get(task)}: evaluate the task again"
            )


def said_of(files: Sequence[ResultFile]) -> tuple[str, ...]:
    """Warnings of the files, and where a file was made with another processor or other packages."""
    here = dict(about_machine())
    lines = [line for file in files for line in file.warnings]
    for file in files:
        if differing := [key for key, value in file.made_with.items() if here.get(key) != value]:
            words = ", ".join(f"{key} {file.made_with[key]}" for key in differing)
            lines.append(f"{', '.join(file.evaluation.tasks)}: measured elsewhere, with {words}.")
    return tuple(dict.fromkeys(lines))


def total(costs: Sequence[TrainingCost]) -> TrainingCost:
    """The sum of several costs."""
    return TrainingCost(
        sum(cost.runs for cost in costs), sum(cost.steps for cost in costs), sum(cost.seconds for cost in costs)
    )


def _words(value: object) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)
