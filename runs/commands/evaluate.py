"""Comparison of programs with tuned baselines on tasks: the implementation of ``evaluate``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from optsearch.dsl.program import Program
from optsearch.runs.commands.evaluation_record import record_evaluation
from optsearch.runs.library.discovery import DISCOVERED
from optsearch.runs.library.references import RUNS_FOLDER, NamedProgram, load_program, run_folder
from optsearch.runs.store.training_cache import training, worker_words
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.evaluation_result import EvaluationResult, evaluation_values
from optsearch.runs.summary.held_out import tasks_chosen_on, warnings
from optsearch.runs.terminal.tables import errors, warn_of_open_cluster
from optsearch.runs.terminal.training_view import TrainingView
from optsearch.search.evaluate import import_own_tasks
from optsearch.selection.contender import Contender, baseline, run_job
from optsearch.selection.evaluation import TrainingProgress as Ended
from optsearch.selection.evaluation import evaluate
from optsearch.selection.problem import Problem, problems
from optsearch.selection.tuning import TRIALS, TuningBudget, fresh_seeds, tuning_seeds


def run_evaluation(
    programs: Sequence[str | Program],
    tasks: Sequence[str],
    seeds: int,
    baselines: Sequence[str],
    *,
    skipped: int = 0,
    batches: Sequence[int] | None = None,
    trials: int = TRIALS,
    constants: bool = False,
    folder: Path | None = None,
    workers: int | None = None,
    imports: Sequence[str] = (),
    address: str | None = None,
    quiet: bool = False,
) -> EvaluationResult:
    """Tunes programs and baselines with the same budget, then trains all of them on the same fresh seeds.

    After an interruption, the same call executes only the missing training runs.

    Args:
        programs: references to programs, or programs as values.
        tasks: names of tasks.
        seeds: number of fresh seeds.
        baselines: names of baselines.
        skipped: number of fresh seeds to skip, because an earlier evaluation has used them.
        batches: batch sizes for each task; None for the task's default.
        trials: number of tuning trials for each contender and task.
        constants: if True, tunes constants too.
        folder: folder of the training cache; None for the folder of runs.
        workers: number of concurrent training runs; 0 for sequential runs in this process, None for one per core.
        address: address of a Ray cluster to join; None starts a local one.
        imports: ``module:object`` references of user-defined tasks.
        quiet: if True, shows no progress.

    Raises:
        ProgramError, RunError, TaskError, BaselineError, SeedError: a name is unknown, or too few seeds are available.
    """
    import_own_tasks(imports)
    found = problems(list(tasks), None if batches is None else list(batches))
    contenders = [baseline(name) for name in dict.fromkeys(name.lower() for name in baselines)]
    names = {contender.name for contender in contenders}
    named = _programs(programs, names)
    loaded = [Contender(name, program.program) for name, program in named.items()]
    chosen = fresh_seeds(skipped + seeds)[skipped:]
    said = tuple(dict.fromkeys(line for reference in programs for line in held_out(reference, found)))
    budget = TuningBudget(trials, tuning_seeds(), constants)
    view = TrainingView(errors, "evaluate", workers=worker_words(workers, address), quiet=quiet)
    where = folder or RUNS_FOLDER, workers, address, imports
    warn_of_open_cluster(address)
    with training(run_job, *where) as (pool, kept), view:
        for line in said:
            errors.print(line, markup=False, soft_wrap=True)
        if not quiet:
            many = len(found) * (len(loaded) + len(contenders)) * (budget.runs + seeds)
            errors.print(f"{many} training runs; they are kept in {kept.path}.", markup=False, soft_wrap=True)
        cost = TrainingCost(view)
        result = evaluate([*loaded, *contenders], found, chosen, budget=budget, pool=pool, progress=cost)
        evaluated = EvaluationResult(result, said, kept.known, kept.trained)
    asked = {
        "tasks": {problem.name: problem.load().version for problem in found},
        "seeds": seeds,
        "skipped_seeds": skipped,
        "baselines": [contender.name for contender in contenders],
        "trials": trials,
        "constants": constants,
    }
    for line in record_evaluation(named, asked, cost.as_values(), evaluation_values(result)):
        errors.print(line, markup=False, soft_wrap=True)
    return evaluated


class TrainingCost:
    """Accumulates the cost of training.

    Args:
        then: callback for every completed run.
    """

    def __init__(self, then: Callable[[Ended], None]):
        self._then, self._runs, self._steps, self._seconds = then, 0, 0, 0.0

    def __call__(self, ended: Ended) -> None:
        self._runs += 1
        self._steps += ended.trained.result.steps
        self._seconds += ended.trained.seconds
        self._then(ended)

    def as_values(self) -> dict[str, Any]:
        """``runs``, ``steps`` and ``seconds``."""
        return {"runs": self._runs, "steps": self._steps, "seconds": self._seconds}


def _programs(references: Sequence[str | Program], taken: Collection[str]) -> dict[str, NamedProgram]:
    """Maps display names to programs; a program has its short name if this name is unique."""
    named = {reference: load_program(reference) for reference in references}
    short = [program.name for program in named.values()]
    found: dict[str, NamedProgram] = {}
    for reference, program in named.items():
        name = reference if isinstance(reference, str) and short.count(program.name) > 1 else program.name
        found[f"{name} (program)" if name in taken else name] = program
    return found


def held_out(reference: str | Program, found: Sequence[Problem]) -> list[str]:
    """Warnings about tasks on which a program was selected in its run; empty for files and library programs."""
    tasks = [problem.task for problem in found]
    if isinstance(reference, Program):
        return []
    if reference in DISCOVERED:
        return warnings(reference, DISCOVERED[reference].record.chosen_on, tasks)
    run, colon, _ = reference.rpartition(":")
    for name in (run, reference) if colon else (reference,):
        for folder in (Path(name), RUNS_FOLDER / name):
            if name and RunStore.exists(folder):
                with RunStore.read(run_folder(name)) as store:
                    return warnings(name, tasks_chosen_on(store), tasks)
    return []
