"""Tuned values of a program from an evaluation, for exported files.

The values are those of one replicate, since constants of different tunings need not fit together: the replicate with
the lowest mean validation loss on its fresh seeds. The test losses decide nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from optsearch.dsl.export.arguments import Advice
from optsearch.dsl.fingerprint import fingerprint
from optsearch.dsl.program import Program, ProgramError
from optsearch.dsl.rate import at_rate
from optsearch.dsl.syntax import parse
from optsearch.dsl.verify import nearest
from optsearch.proxy_tasks.task import SCHEDULE_WORDS
from optsearch.runs.library.references import NamedProgram, run_folder
from optsearch.runs.store.errors import RunError
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.evaluation_result import EvaluationResult
from optsearch.runs.summary.result_file import ResultFile
from optsearch.runs.summary.selections import read_selections
from optsearch.selection.comparison.evaluation import Evaluation
from optsearch.selection.space import RATE, with_values

_AROUND = 3.0
"""The range to try includes a third and three times the tuned rate, and the rates of all replicates."""


@dataclass(frozen=True, slots=True)
class TunedProgram:
    """A program with tuned values.

    Attributes:
        program: the program with its tuned constants, and with its tuned rate at ``lr`` = 1.
        note: where the values are from, and how they were chosen.
        advice: range of the rates of all replicates, and the schedule of the evaluation.
    """

    program: Program
    note: str
    advice: Advice


@dataclass(frozen=True, slots=True)
class _Found:
    """An evaluation of a program: its title, the program's name and text in it, and whether it ran a script."""

    title: str
    name: str
    text: str
    evaluation: Evaluation
    is_script: bool


def tuned_program(named: NamedProgram, source: str | EvaluationResult, task: str | None = None) -> TunedProgram:
    """Reads the tuned values of a program.

    Args:
        named: the program.
        source: result of an evaluation; file with the output of ``evaluate --json``; or a run in which evaluations are
            recorded; of several, the last one with the program and the task counts.
        task: task of the evaluation; None if it has one task only.

    Raises:
        RunError: the source is neither, or has no tuned values of the program on the task.
    """
    meaning = fingerprint(named.program)
    if isinstance(source, EvaluationResult):
        every = list(_of_result(source))
        source = "this evaluation"
    else:
        every = list(_of_file(Path(source)) if Path(source).is_file() else _of_run(source))
    mine = [found for found in every if fingerprint(parse(found.text)) == meaning]
    if not mine:
        others = ", ".join(dict.fromkeys(found.name for found in every)) or "no program"
        raise RunError(
            f"{source}: '{named.name}' takes no part in it (fingerprint {meaning}; evaluated: {others}): evaluate it "
            f"first, such as by `optsearch evaluate {named.name} --json`"
        )
    tasks = list(dict.fromkeys(name for found in mine for name in found.evaluation.tasks))
    if task is None and len(tasks) > 1:
        raise RunError(f"{source}: the program was tuned on several tasks: choose one with --task: {', '.join(tasks)}")
    chosen = tasks[0] if task is None else task
    if chosen not in tasks:
        raise RunError(
            f"{source}: the program was not evaluated on '{chosen}'{nearest(chosen, tasks) or ':'} its tasks are "
            f"{', '.join(tasks)}"
        )
    tuned = [found for found in mine if chosen in found.evaluation.tasks and found.evaluation.budget.trials]
    if not tuned:
        raise RunError(f"{source}: nothing was tuned there (--tune 0): evaluate the program with tuning")
    return _best(tuned[-1], chosen)


def _of_result(result: EvaluationResult) -> Iterator[_Found]:
    for name, text in result.programs.items():
        yield _Found("an evaluation", name, text, result.evaluation, result.settings.script is not None)


def _of_file(path: Path) -> Iterator[_Found]:
    found = ResultFile.read(path)
    for name, text in found.programs.items():
        yield _Found(path.name, name, text, found.evaluation, "script" in found.settings)


def _of_run(reference: str) -> Iterator[_Found]:
    folder = run_folder(reference)
    with RunStore.read(folder) as store:
        studies = read_selections(store)
    for study in studies:
        for stage in study.stages:
            title = f"study {study.number} of the run {folder.name}"
            for entered in study.candidates:
                if entered.name in stage.evaluation.contenders:
                    yield _Found(title, entered.name, entered.program, stage.evaluation, "script" in study.asked)


def _best(found: _Found, task: str) -> TunedProgram:
    """The program at the values of its best replicate."""
    evaluation, replicates = found.evaluation, found.evaluation.replicates
    losses: dict[int, list[float]] = {}
    for row in evaluation.rows:
        if (row.task, row.contender) == (task, found.name):
            losses.setdefault(row.replicate, []).append(math.inf if row.loss is None else row.loss)
    means = {replicate: sum(every) / len(every) for replicate, every in losses.items()}
    best = min(means, key=lambda replicate: means[replicate])
    if not math.isfinite(means[best]):
        raise RunError(f"{found.title}: '{found.name}' failed on {task} in every replicate: there is nothing to export")
    tunings = {
        tuning.replicate: dict(tuning.tuned.values)
        for tuning in evaluation.tuning
        if (tuning.task, tuning.contender) == (task, found.name)
    }
    values, rates = tunings[best], [tuning[RATE] for tuning in tunings.values()]
    try:
        program = at_rate(with_values(parse(found.text), values), values[RATE])
    except ProgramError as error:
        raise RunError(f"{found.title}: '{found.name}': {error}") from error
    several = f", the lowest of {replicates} tunings and therefore biased" if replicates > 1 else ""
    told = "".join(f", {name} {value:.6g}" for name, value in values.items() if name != RATE)
    note = (
        f"Tuned on {task} ({found.title}): rate {values[RATE]:.6g} times that of the program{told}. "
        f"Mean validation loss on {len(losses[best])} fresh seeds: {means[best]:.6g}{several}"
    )
    schedule = "the schedule of the script" if found.is_script else SCHEDULE_WORDS
    ends = min(*rates, values[RATE] / _AROUND) / values[RATE], max(*rates, values[RATE] * _AROUND) / values[RATE]
    return TunedProgram(program, note, Advice(f"It was tuned under {schedule}.", ends))
