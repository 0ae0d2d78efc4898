"""Comparison of programs with tuned baselines on tasks: the implementation of ``evaluate``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from optsearch.dsl.program import Program
from optsearch.runs.commands.evaluation_record import record_evaluation
from optsearch.runs.commands.timing import with_step_times
from optsearch.runs.library.discovery import DISCOVERED
from optsearch.runs.library.references import RUNS_FOLDER, NamedProgram, load_program, run_folder
from optsearch.runs.store.environment import about_machine
from optsearch.runs.store.training_cache import Trainings, training, worker_words
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.evaluation_result import EvaluationResult, evaluation_values
from optsearch.runs.summary.held_out import tasks_chosen_on, warnings
from optsearch.runs.terminal.tables import errors, warn_of_open_cluster
from optsearch.runs.terminal.training_view import TrainingView
from optsearch.search.evaluate import import_own_tasks, use_one_cpu_thread
from optsearch.selection.contender import Contender, baseline_contenders, run_job
from optsearch.selection.evaluation import REPLICATES, evaluate
from optsearch.selection.evaluation import TrainingProgress as Ended
from optsearch.selection.objective import check_shared
from optsearch.selection.problem import Problem, problems
from optsearch.selection.rate_sensitivity import FACTORS
from optsearch.selection.replicate import runs_of_replicate
from optsearch.selection.space import parse_ranges
from optsearch.selection.tuning import TRIALS, TuningBudget, fresh_seeds


def run_evaluation(
    programs: Sequence[str | Program],
    tasks: Sequence[str],
    seeds: int,
    baselines: Sequence[str],
    *,
    skipped: int = 0,
    batches: Sequence[int] | None = None,
    trials: int = TRIALS,
    replicates: int = REPLICATES,
    constants: bool = True,
    spaces: Sequence[str] = (),
    shared: bool = False,
    sensitivity: bool = False,
    timed: bool = False,
    folder: Path | None = None,
    workers: int | None = None,
    imports: Sequence[str] = (),
    address: str | None = None,
    quiet: bool = False,
) -> EvaluationResult:
    """Tunes programs and baselines several times with the same budget, and trains all on the same fresh seeds.

    After an interruption, the same call executes only the missing training runs.

    Args:
        programs: references to programs, or programs as values.
        tasks: names of tasks.
        seeds: number of fresh seeds of each replicate.
        baselines: names of baselines.
        skipped: number of fresh seeds of each replicate to skip, because an earlier evaluation has used them.
        batches: batch sizes for each task; None for the task's default.
        trials: number of tuning trials for each contender, task and replicate; 0 compares the contenders' own settings
            in a single replicate.
        replicates: number of independent tunings of each contender on each task.
        constants: if True, tunes constants too.
        spaces: declared ranges such as ``beta=0:0.999``, which replace the defaults.
        shared: if True, each tuning selects one setting for all tasks.
        sensitivity: if True, also trains each tuned point at multiples of its rate, all else fixed.
        timed: if True, also measures the wall-clock time of compiled steps in this process, after all training runs.
            JAX must not have computed before in this process, unless it is already restricted to one CPU thread.
        folder: folder of the training cache; None for the folder of runs.
        workers: number of concurrent training runs; 0 for sequential runs in this process, None for one per core.
        address: address of a Ray cluster to join; None starts a local one.
        imports: ``module:object`` references of user-defined tasks.
        quiet: if True, shows no progress.

    Raises:
        ProgramError, RunError, TaskError, BaselineError, SeedError, SpaceError: a name is unknown, too few seeds are
            available, or a declared range excludes a contender's own setting.
        SharedTuningError: one setting for all tasks is requested, and a task has no trivial loss or nothing is tuned.
    """
    if timed:
        use_one_cpu_thread()  # before JAX's first computation, such as the import of a task
    import_own_tasks(imports)
    found = problems(list(tasks), None if batches is None else list(batches))
    contenders = baseline_contenders(baselines)
    names = {contender.name for contender in contenders}
    named = _programs(programs, names)
    loaded = [Contender(name, program.program) for name, program in named.items()]
    replicates = replicates if trials else 1
    chosen = [fresh_seeds(seeds, replicate=number, skipped=skipped) for number in range(replicates)]
    said = tuple(dict.fromkeys(line for reference in programs for line in held_out(reference, found)))
    budget = TuningBudget(trials, constants=constants, ranges=parse_ranges(spaces))
    for contender in (*loaded, *contenders):
        contender.space(constants=constants, ranges=budget.ranges)  # raises SpaceError before any training
    if shared:
        check_shared(found, trials)
    view = TrainingView(errors, "evaluate", workers=worker_words(workers, address), quiet=quiet)
    where = folder or RUNS_FOLDER, workers, address, imports
    warn_of_open_cluster(address)
    with training(run_job, *where) as (pool, kept), view:
        for line in said:
            errors.print(line, markup=False, soft_wrap=True)
        if not quiet:
            pairs = len(found) * (len(loaded) + len(contenders))
            total = pairs * replicates * runs_of_replicate(budget, seeds, sensitivity=sensitivity)
            together = " (one setting for all tasks)" if shared else ""
            further = f", {len(FACTORS)} at multiples of the tuned rate" if sensitivity else ""
            each = (
                f"{budget.runs} to tune{together} and {seeds} on fresh seeds{further}, "
                f"in {replicates} replicate{'s' * (replicates > 1)}"
            )
            errors.print(
                f"{total:,} training runs: for each of {pairs} pairs of contender and task {each}. "
                f"They are kept in {kept.path}.",
                markup=False,
                soft_wrap=True,
            )
        cost = TrainingCost(view)
        result = evaluate(
            [*loaded, *contenders],
            found,
            chosen,
            budget=budget,
            shared=shared,
            sensitivity=sensitivity,
            pool=pool,
            progress=cost,
        )
        asked = {
            "tasks": {problem.name: problem.load().version for problem in found},
            "seeds": seeds,
            "skipped_seeds": skipped,
            "baselines": [contender.reference or contender.name for contender in contenders],
            "trials": trials,
            "replicates": replicates,
            "constants": constants,
            "spaces": list(spaces),
        } | ({"shared": True} if shared else {})
        looks = _looks(kept, loaded, found, range(skipped, skipped + seeds), asked)
        asked |= {"sensitivity": True} if sensitivity else {}  # uses no fresh seeds
    if timed:
        result, asked = with_step_times(result, [*loaded, *contenders], found, quiet=quiet), asked | {"timed": True}
    evaluated = EvaluationResult(
        result,
        said,
        kept.known,
        kept.trained,
        looks,
        settings=asked,
        programs={name: str(program.program) for name, program in named.items()},
        cost=cost.as_values(),
        made_with=about_machine(),
    )
    for line in record_evaluation(named, asked, evaluated.cost, evaluation_values(result)):
        errors.print(line, markup=False, soft_wrap=True)
    return evaluated


def _looks(
    kept: Trainings, programs: Sequence[Contender], found: Sequence[Problem], seeds: range, asked: Mapping[str, Any]
) -> dict[str, dict[str, int]]:
    """Records the use of fresh seeds; for programs and tasks the number of other comparisons that have used them."""
    settings = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]
    return {
        program.name: {
            problem.name: kept.look(program.meaning, problem.load().version, seeds, settings) for problem in found
        }
        for program in programs
    }


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
