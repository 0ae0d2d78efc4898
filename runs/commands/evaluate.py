"""Comparison of programs with tuned baselines on tasks: the implementation of ``evaluate``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from optsearch.dsl.program import Program
from optsearch.proxy_tasks.outcome import Outcome
from optsearch.proxy_tasks.registry import check_packages
from optsearch.proxy_tasks.run import Trained
from optsearch.runs.commands.evaluation_record import record_evaluation
from optsearch.runs.commands.join import check_joined, read_joined, said_of, total
from optsearch.runs.commands.timing import with_step_times
from optsearch.runs.library.discovery import DISCOVERED
from optsearch.runs.library.references import RUNS_FOLDER, NamedProgram, load_program, run_folder
from optsearch.runs.store.environment import about_machine
from optsearch.runs.store.training_cache import Trainings, training, worker_words
from optsearch.runs.store.work import WorkLog, working
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.evaluation_result import EvaluationResult
from optsearch.runs.summary.held_out import tasks_chosen_on, warnings
from optsearch.runs.summary.stage_record import TrainingCost
from optsearch.runs.terminal.tables import errors, say_device, warn_of_open_cluster
from optsearch.runs.terminal.training_view import TrainingView
from optsearch.search.pool import Pool
from optsearch.search.scoring.evaluate import import_own_tasks, use_one_cpu_thread
from optsearch.selection.comparison.evaluate import TrainingProgress as Ended
from optsearch.selection.comparison.evaluate import evaluate
from optsearch.selection.comparison.evaluation import Evaluation
from optsearch.selection.comparison.join import join as join_evaluations
from optsearch.selection.comparison.replicate import runs_of_replicate
from optsearch.selection.comparison.settings import EvaluationSettings, ScriptSettingsError
from optsearch.selection.contender import Contender, TrainingJob, run_job
from optsearch.selection.problem import Problem
from optsearch.selection.scripts.script import TrainingScript
from optsearch.selection.tuning.objective import check_shared
from optsearch.selection.tuning.rate_sensitivity import FACTORS


def run_evaluation(
    programs: Sequence[str | Program],
    settings: EvaluationSettings,
    *,
    folder: Path | None = None,
    workers: int | None = None,
    address: str | None = None,
    gpus: float = 0.0,
    imports: Sequence[str] = (),
    join: Sequence[Path] = (),
    quiet: bool = False,
) -> EvaluationResult:
    """Tunes programs and baselines several times with the same budget, and trains all on the same fresh seeds.

    After an interruption, the same call executes only the missing training runs.

    Args:
        programs: references to programs, or programs as values.
        settings: what is compared with what, and how. If it is timed, JAX must not have computed before in this
            process, unless it is already restricted to one CPU thread; steps are timed after all training runs.
        folder: folder of the training cache; None for the folder of runs.
        workers: number of concurrent training runs; 0 for sequential runs in this process, None for one per core,
            or per share of a GPU.
        address: address of a Ray cluster to join; None starts a local one.
        gpus: share of a GPU of each worker, for tasks; a script has its own resources.
        imports: ``module:object`` references of user-defined tasks.
        join: files with the output of ``evaluate --json`` for the same contenders on other tasks, which are judged
            together with those of the settings.
        quiet: if True, shows no progress.

    Raises:
        ProgramError, RunError, TaskError, BaselineError, SeedError, SpaceError: a name is unknown, too few seeds are
            available, or a declared range excludes a contender's own setting.
        JoinError: a file to join is of another comparison.
        SharedTuningError: one setting for all tasks is requested, and a task has no trivial loss or nothing is tuned.
        ScriptSettingsError: workers have a share of a GPU, and the settings are those of a training script.
        ScriptRunError: the training script of the settings cannot be run.
    """
    if settings.script is not None and gpus:
        raise ScriptSettingsError("a share of a GPU for each worker is for tasks: a script has its own number of GPUs")
    if settings.timed:
        use_one_cpu_thread()  # before JAX's first computation, such as the import of a task
    import_own_tasks(imports)
    settings, files = read_joined(join, settings)
    entered = enter(programs, settings)
    names = [contender.name for contender in entered.contenders]
    for file in files:
        check_joined(file, settings, entered.programs, names)
    script = settings.script
    said = tuple(dict.fromkeys((*entered.warnings, *said_of(files))))
    for line in said:
        errors.print(line, markup=False, soft_wrap=True)
    parts = [Part(file.evaluation, file.cost, file.looks) for file in files]
    if entered.problems or not files:
        parts.append(_train(settings, entered, folder or RUNS_FOLDER, workers, address, gpus, imports, quiet=quiet))
    evaluation = parts[0].evaluation
    if files:
        every = [part.evaluation for part in parts]
        evaluation = join_evaluations(every, entered.contenders, settings.judged, entered.seeds, settings.budget)
    result = EvaluationResult(
        evaluation,
        said,
        sum(part.known for part in parts),
        sum(part.trained for part in parts),
        {
            name: {task: n for part in parts for task, n in part.looks.get(name, {}).items()}
            for name in entered.programs
        },
        settings=settings,
        programs={name: str(named.program) for name, named in entered.programs.items()},
        cost=total([part.cost for part in parts]),
        made_with=about_machine(),
    )
    if script is not None and (failed := sum(row.outcome != Outcome.OK.value for row in evaluation.rows)):
        errors.print(
            f"{failed} of {len(evaluation.rows)} runs on fresh seeds failed; the logs in {script.logs} say how.",
            markup=False,
            soft_wrap=True,
        )
    for line in record_evaluation(entered.programs, settings, result.cost, evaluation):
        errors.print(line, markup=False, soft_wrap=True)
    return result


@dataclass(frozen=True, slots=True)
class Part:
    """An evaluation on some of the tasks.

    Attributes:
        evaluation: its results.
        cost: cost of training.
        looks: for each program and task the number of other comparisons that have used some of the same fresh seeds.
        known: number of cached training runs.
        trained: number of training runs executed by this command.
    """

    evaluation: Evaluation
    cost: TrainingCost
    looks: Mapping[str, Mapping[str, int]]
    known: int = 0
    trained: int = 0


def _train(
    settings: EvaluationSettings,
    entered: Entered,
    folder: Path,
    workers: int | None,
    address: str | None,
    gpus: float,
    imports: Sequence[str],
    *,
    quiet: bool,
) -> Part:
    """Trains on the tasks of the settings."""
    script = settings.script
    words = worker_words(workers, address, cpus=script.cpus if script else 1, gpus=gpus)
    view = TrainingView(errors, "evaluate", workers=words, quiet=quiet)
    warn_of_open_cluster(address)
    opened = training(run_job, folder, workers, address, imports, gpus=gpus, script=script)
    about = list(entered.programs), [named.run[0] for named in entered.programs.values() if named.run]
    log = working(folder, "evaluate", *about, [problem.name for problem in entered.problems])
    with opened as (pool, kept), log as work, view:
        if not quiet:
            errors.print(_plan(settings, entered, kept.path), markup=False, soft_wrap=True)
            if script is not None:
                errors.print(_script_plan(script, entered.problems), markup=False, soft_wrap=True)
        if gpus:
            say_device(pool.machine, quiet=quiet)
        cost = CostCounter(logged(view, work))
        evaluation = _evaluate(settings, entered, pool, cost)
        looks = _looks(kept, settings, entered)
    if settings.timed:
        evaluation = with_step_times(evaluation, entered.contenders, entered.problems, quiet=quiet)
    return Part(evaluation, cost.total, looks, kept.known, kept.trained)


def logged(view: TrainingView, work: WorkLog) -> Callable[[Ended], None]:
    """A callback that updates a live view, and the file that `watch` follows."""

    def update(ended: Ended) -> None:
        view(ended)
        work.update(ended.done, ended.total, lambda: view.line(ended))

    return update


@dataclass(frozen=True, slots=True)
class Entered:
    """What takes part in an evaluation, as its names and settings say.

    Attributes:
        problems: the tasks.
        programs: the programs by their names in the evaluation.
        contenders: the programs, then the baselines.
        seeds: the fresh seeds of each replicate.
        warnings: messages about tasks that are not held out for a program.
    """

    problems: tuple[Problem, ...]
    programs: dict[str, NamedProgram]
    contenders: tuple[Contender, ...]
    seeds: tuple[tuple[int, ...], ...]
    warnings: tuple[str, ...]


def enter(programs: Sequence[str | Program], settings: EvaluationSettings) -> Entered:
    """Loads tasks, programs and baselines, and refuses settings that do not fit them before any training."""
    problems, baselines = settings.problems, settings.opponents
    check_packages(problem.task for problem in problems if problem.script is None)
    named = _programs(programs, {baseline.name for baseline in baselines})
    contenders = (*(Contender(name, program.program) for name, program in named.items()), *baselines)
    seeds = settings.fresh_seeds
    lines = (line for reference in programs for line in held_out(reference, problems)) if not settings.script else ()
    said = tuple(dict.fromkeys(lines))
    budget = settings.budget
    for contender in contenders:
        contender.space(constants=budget.constants, ranges=budget.ranges)  # raises SpaceError
    if settings.shared:
        check_shared(problems, budget.trials)
    return Entered(problems, named, contenders, seeds, said)


def _plan(settings: EvaluationSettings, entered: Entered, kept: Path) -> str:
    """States the number of training runs, and what they are for."""
    budget, replicates, seeds = settings.budget, settings.tunings, settings.seeds
    pairs = len(entered.problems) * len(entered.contenders)
    total = pairs * replicates * runs_of_replicate(budget, seeds, sensitivity=settings.sensitivity)
    together = " (one setting for all tasks)" if settings.shared else ""
    further = f", {len(FACTORS)} at multiples of the tuned rate" if settings.sensitivity else ""
    return (
        f"{total:,} training runs: for each of {pairs} pairs of contender and task {budget.runs} to tune{together} and "
        f"{seeds} on fresh seeds{further}, in {replicates} replicate{'s' * (replicates > 1)}. They are kept in {kept}."
    )


def _script_plan(script: TrainingScript, problems: Sequence[Problem]) -> str:
    """States what a run of a script has, and where its log is."""
    steps = " or ".join(f"{problem.target.steps:,}" for problem in problems)
    cpus, gpus = f"{script.cpus} CPU core{'s' * (script.cpus > 1)}", "no GPU"
    if script.gpus:
        gpus = f"{script.gpus:g} GPU{'s' * (script.gpus > 1)}"
    return (
        f"Each runs {script.name} for {steps} steps with {cpus} and {gpus}, for at most "
        f"{script.time_limit_s:,.0f} s. Logs: {script.logs}"
    )


def _evaluate(
    settings: EvaluationSettings,
    entered: Entered,
    pool: Pool[TrainingJob, Trained],
    progress: Callable[[Ended], None],
) -> Evaluation:
    return evaluate(
        entered.contenders,
        entered.problems,
        entered.seeds,
        budget=settings.budget,
        shared=settings.shared,
        sensitivity=settings.sensitivity,
        pool=pool,
        progress=progress,
    )


def _looks(kept: Trainings, settings: EvaluationSettings, entered: Entered) -> dict[str, dict[str, int]]:
    """Records the use of fresh seeds; for programs and tasks the number of other comparisons that have used them."""
    digest = settings.digest
    return {
        program.name: {
            problem.name: kept.look(program.meaning, problem.target.version, settings.seed_places, digest)
            for problem in entered.problems
        }
        for program in entered.contenders
        if not program.is_baseline
    }


class CostCounter:
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

    @property
    def total(self) -> TrainingCost:
        """The cost so far."""
        return TrainingCost(self._runs, self._steps, self._seconds)


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
