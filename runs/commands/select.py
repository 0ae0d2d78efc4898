"""A funnel over runs: the implementation of ``select``, which is recorded in the runs and resumable.

Stages and training runs are recorded on completion, so that the same command repeats neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

from optsearch.dsl.verify import nearest
from optsearch.proxy_tasks.registry import TASKS, check_packages
from optsearch.proxy_tasks.run import Trained
from optsearch.runs.commands.entrants import Entrant, candidates, run_names
from optsearch.runs.commands.evaluate import CostCounter, logged
from optsearch.runs.commands.own_imports import require_imports
from optsearch.runs.library.references import RUNS_FOLDER, run_folder
from optsearch.runs.store.environment import about_machine
from optsearch.runs.store.errors import RunError
from optsearch.runs.store.training_cache import training, worker_words
from optsearch.runs.store.work import working
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.held_out import searched_tasks, tasks_chosen_on, warnings
from optsearch.runs.summary.selections import SelectionRecord, SelectionResult, read_selection
from optsearch.runs.summary.stage_record import SelectionBias, StageRecord, TrainingCost, encode_stage
from optsearch.runs.terminal.tables import errors, say_device, warn_of_open_cluster
from optsearch.runs.terminal.training_view import TrainingView
from optsearch.search.pool import Pool
from optsearch.search.scoring.evaluate import import_own_tasks
from optsearch.search.settings.config_errors import ConfigError
from optsearch.search.settings.settings import load_settings, settings_text
from optsearch.selection.comparison.evaluate import TrainingProgress
from optsearch.selection.contender import Contender, TrainingJob, run_job
from optsearch.selection.funnel import FunnelConfig, StageConfig, StageResult, rank_correlation, run_stage
from optsearch.selection.problem import Problem, problems
from optsearch.selection.statistics.bootstrap import bootstrap_interval
from optsearch.selection.tuning.objective import check_shared

SHIPPED = files("optsearch.runs.commands.funnels")

SEARCH = "search"
_RUNG = re.compile(r"x[0-9]+\Z")


def load_funnel(reference: str, overrides: Sequence[str] = ()) -> FunnelConfig:
    """Settings of a shipped funnel or a YAML file.

    Raises:
        ConfigError: the funnel does not exist or is invalid.
    """
    names = sorted(entry.name.removesuffix(".yaml") for entry in SHIPPED.iterdir() if entry.name.endswith(".yaml"))
    if reference in names:
        text = (SHIPPED / f"{reference}.yaml").read_text(encoding="utf-8")
        return load_settings(FunnelConfig, text, f"{reference}.yaml", overrides)
    if Path(reference).exists() or reference.endswith((".yaml", ".yml")):
        return load_settings(FunnelConfig, settings_text(Path(reference)), reference, overrides)
    hint = nearest(reference, names) or f"; the shipped ones are {', '.join(names)}"
    raise ConfigError([f"unknown funnel '{reference}': it is no shipped funnel and no YAML file{hint}"])


def run_selection(
    runs: Sequence[str],
    funnel: str,
    overrides: Sequence[str] = (),
    *,
    folder: Path | None = None,
    workers: int | None = None,
    address: str | None = None,
    gpus: float = 0.0,
    imports: Sequence[str] = (),
    quiet: bool = False,
) -> SelectionResult:
    """Takes the best programs of runs through a funnel.

    Args:
        runs: folders or names of runs; the study is recorded in each.
        funnel: name of a shipped funnel, or path of a YAML file.
        overrides: ``key.sub=value`` settings that override those of the funnel.
        folder: folder of the training cache; None for the folder of runs.
        workers: number of concurrent training runs; 0 for sequential runs in this process, None for one per core,
            or per share of a GPU.
        address: address of a Ray cluster to join; None starts a local one.
        gpus: share of a GPU of each worker; 0 for none.
        imports: ``module:object`` references of user-defined tasks.
        quiet: if True, shows no progress.

    Raises:
        ConfigError, RunError, TaskError: a name is unknown, or a run cannot be written.
    """
    import_own_tasks(imports)
    config = load_funnel(funnel, overrides)
    folders = list({path.resolve(): path for path in map(run_folder, runs)}.values())
    with ExitStack() as stack:
        stores = [stack.enter_context(RunStore.amend(path, about_machine())) for path in folders]
        for store in stores if any(SEARCH in stage.tasks for stage in config.stages) else ():
            require_imports(store.folder, store.config, imports, "select")
        found = candidates(stores, config.candidates)
        stages = [_problems(stage, searched_tasks(stores)) for stage in config.stages]
        study = _Study(stores, config, found.entrants, stages)
        if not quiet:
            for line in study.warnings:
                errors.print(line, markup=False, soft_wrap=True)
        if study.finished:
            workers, gpus = 0, 0.0
        else:
            check_packages(problem.task for stage in stages for problem in stage)
            warn_of_open_cluster(address)
        opened = training(run_job, folder or RUNS_FOLDER, workers, address, imports, gpus=gpus)
        pool, kept = stack.enter_context(opened)
        names = dict.fromkeys(problem.name for stage in stages for problem in stage)
        log = working(folder or RUNS_FOLDER, "select", run_names(stores), [s.folder for s in stores], list(names))
        work = stack.enter_context(log)
        if gpus:
            say_device(pool.machine, quiet=quiet)
        words = worker_words(workers, address, gpus=gpus)
        while not study.finished:
            if not quiet:
                errors.print(f"Stage {study.next_words()}", markup=False, soft_wrap=True)
            with TrainingView(errors, study.next, workers=words, quiet=quiet) as view:
                study.next_stage(pool, logged(view, work))
        return SelectionResult(
            study.record(), tuple(study.warnings), found.considered, found.doubles, kept.known, kept.trained
        )


class _Study:
    """A funnel study and its records: starts a new study, or resumes one with the same settings.

    Args:
        stores: the runs.
        config: the funnel.
        found: candidates of the first stage.
        stages: tasks of every stage.
    """

    def __init__(
        self,
        stores: Sequence[RunStore],
        config: FunnelConfig,
        found: Sequence[Entrant],
        stages: Sequence[tuple[Problem, ...]],
    ):
        self._stores, self._config, self._candidates, self._problems = stores, config, found, stages
        self._settings = {
            "funnel": config.model_dump(mode="json"),
            "runs": run_names(stores),
            "candidates": [asdict(candidate.recorded) for candidate in found],
            "versions": {problem.name: problem.load().version for stage in stages for problem in stage},
        }
        same = [study for study in stores[0].studies() if dict(study.settings) == self._settings]
        self.warnings = self._warnings(same[-1].number if same else None)
        self._numbers = [self._number(store) for store in stores]
        # A process may have been killed after it recorded a stage in one run but not in the next.
        done = stores[0].studies()[self._numbers[0] - 1].stages
        for store, number in zip(stores, self._numbers, strict=True):
            for stage in done[len(store.studies()[number - 1].stages) :]:
                store.add_stage(number, stage.name, stage.result)
        self._done = list(self.record().stages)
        self._finish()

    @property
    def finished(self) -> bool:
        """True if all stages have ended or no programs remain."""
        return len(self._done) == len(self._config.stages) or (bool(self._done) and not self._survivors())

    @property
    def next(self) -> str:
        """Name of the next stage."""
        return self._config.stages[len(self._done)].name

    def next_words(self) -> str:
        """Description of the next stage: its name, remaining programs, baselines and tasks."""
        number = len(self._done)
        stage, left = self._config.stages[number], len(self._survivors())
        beside = f" beside {', '.join(stage.baselines)}" if stage.baselines else ""
        tasks = ", ".join(problem.name for problem in self._problems[number])
        return f"'{stage.name}': {left} program{'s' * (left != 1)}{beside} on {tasks}"

    def next_stage(self, pool: Pool[TrainingJob, Trained], progress: Callable[[TrainingProgress], None]) -> None:
        """Runs the next stage and records it."""
        number = len(self._done)
        config, names = self._config.stages[number], self._survivors()
        programs = [Contender(c.name, c.program) for c in self._candidates if c.name in names]
        cost = CostCounter(progress)
        result = run_stage(config, number, self._problems[number], programs, pool=pool, progress=cost)
        stage = self._stage(config.name, result, cost.total)
        for store, study in zip(self._stores, self._numbers, strict=True):
            store.add_stage(study, stage.name, encode_stage(stage))
        self._done.append(stage)
        self._finish()

    def record(self) -> SelectionRecord:
        """The study as recorded in the first run."""
        return read_selection(self._stores[0], self._numbers[0])

    def _number(self, store: RunStore) -> int:
        """Number of this study in a run; creates the study if the run does not have it."""
        for study in store.studies():
            if dict(study.settings) == self._settings:
                return study.number
        return store.add_study(self._settings)

    def _finish(self) -> None:
        if self.finished:
            for store, number in zip(self._stores, self._numbers, strict=True):
                if store.studies()[number - 1].status != "finished":
                    store.finish_study(number)

    def _survivors(self) -> Sequence[str]:
        return self._done[-1].passed if self._done else [candidate.name for candidate in self._candidates]

    def _stage(self, name: str, result: StageResult, cost: TrainingCost) -> StageRecord:
        scores = {verdict.contender: verdict.score for verdict in result.verdicts if not verdict.baseline}
        correlation = rank_correlation(self._scores(), scores)
        return StageRecord(name, result.verdicts, cost, self._bias(result), correlation, result.evaluation)

    def _scores(self) -> dict[str, float | None]:
        """Score of each candidate in the previous stage, or its fitness in the search."""
        if not self._done:
            return {candidate.name: candidate.fitness for candidate in self._candidates}
        return {verdict.contender: verdict.score for verdict in self._done[-1].programs}

    def _bias(self, result: StageResult) -> SelectionBias | None:
        """Selection bias of the fitness against validation loss on fresh seeds; None if the two are not comparable."""
        fits = all(len(store.config.fitness_tasks) == 1 for store in self._stores)
        if result.evaluation.budget.trials or not fits or self._done:
            return None
        if list(result.evaluation.tasks) != searched_tasks(self._stores) or len(result.evaluation.tasks) > 1:
            return None
        (losses,) = result.evaluation.losses(test=False).values()
        means = {name: sum(row.values()) / len(row) for name, row in losses.items()}
        gaps = {c.name: means[c.name] - c.fitness for c in self._candidates if means[c.name] < float("inf")}
        return SelectionBias(bootstrap_interval(list(gaps.values())), gaps) if gaps else None

    def _warnings(self, own: int | None) -> list[str]:
        """Warnings about tasks that are not held out: used for selection before this study, or twice within it."""
        stages = zip(self._config.stages, self._problems, strict=True)
        held = [problem.task for stage, tasks in stages if SEARCH not in stage.tasks for problem in tasks]
        found: list[str] = []
        for name, store in zip(run_names(self._stores), self._stores, strict=True):
            found += warnings(name, tasks_chosen_on(store, before=own), held)
        for task in sorted({task for task in held if held.count(task) > 1}):
            found.append(
                f"Not held out: two stages of the funnel use '{task}', so that the second flatters who is left."
            )
        return found


def _problems(stage: StageConfig, searched: Sequence[str]) -> tuple[Problem, ...]:
    """The tasks of a stage.

    Raises:
        RunError: a rung does not exist.
        SharedTuningError: one setting for all tasks is requested, and a task has no trivial loss.
        TaskError: a task does not exist, or a horizon is out of range.
    """
    names: list[str] = []
    for word in stage.tasks:
        if word == SEARCH:
            names += searched
        elif _RUNG.match(word):
            for task in searched:
                if f"{task}-{word}" not in TASKS:
                    others = [name for name, other in TASKS.items() if other.use == "held out"]
                    raise RunError(
                        f"stage '{stage.name}': task '{task}' has no rung {word}: name a task, such as "
                        f"{', '.join(others)}"
                    )
                names.append(f"{task}-{word}")
        else:
            names.append(word)
    found = problems(tuple(dict.fromkeys(names)), horizons=stage.horizons)
    if stage.shared:
        check_shared(found, stage.trials)
    return found
