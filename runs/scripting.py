"""The commands as functions, for scripts and notebooks: equal names, options and results.

import optsearch

run = optsearch.search("quickstart", callbacks=[print], settings={"budget.evaluations": 500})
found = optsearch.evaluate(run.best, "X_ae")
optsearch.export(run.best, to="torch", path="found.py")
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optsearch.dsl.program import Program
from optsearch.runs.commands.evaluate import run_evaluation
from optsearch.runs.commands.propose import Draft, Offer
from optsearch.runs.commands.propose import propose as offer
from optsearch.runs.commands.search import Campaign, load_named
from optsearch.runs.commands.select import run_selection
from optsearch.runs.commands.simplify import run_distillation
from optsearch.runs.commands.verify import Check, verify_run
from optsearch.runs.library.export import write_export
from optsearch.runs.library.references import load_program, run_folder
from optsearch.runs.notebook import FoundProgram, Run, load_run
from optsearch.runs.store.stream import Callback
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.evaluation_result import EvaluationResult
from optsearch.runs.summary.selections import SelectionResult
from optsearch.search.config import load_campaign
from optsearch.selection.comparison.evaluation import REPLICATES
from optsearch.selection.comparison.settings import SCRIPT_BASELINES, EvaluationSettings
from optsearch.selection.scripts.script import TrainingScript
from optsearch.selection.tuning.tuner import TRIALS
from optsearch.simplify.distil import Distilled

AnyProgram = str | Program | FoundProgram | Distilled
"""A program: a name, a file, ``RUN:ID`` or ``RUN:best``; a value; a program of a loaded run; a distilled program."""

AnyRun = str | Path | Run
"""A run: its folder, its name in ``optsearch-runs/``, or a loaded run."""

Settings = Mapping[str, Any]
"""Settings of a campaign by name: strings, numbers, lists and mappings, as in a campaign file."""


def search(
    campaign: str | Path | Settings,
    *,
    out: str | Path | None = None,
    workers: int | None = None,
    address: str | None = None,
    gpus_per_worker: float = 0.0,
    settings: Settings | None = None,
    force: bool = False,
    quiet: bool = False,
    callbacks: Sequence[Callback] = (),
    stop: threading.Event | None = None,
) -> Run:
    """Runs a campaign, or resumes an interrupted one.

    Args:
        campaign: name of a shipped campaign, path of a YAML file, or a mapping of settings.
        out: run folder. None for ``optsearch-runs/NAME-seedS``.
        workers: number of worker processes on local Ray; 0 evaluates in this process. None for one per core.
        address: address of a Ray cluster to join. None starts a local one.
        gpus_per_worker: GPUs of each worker, or a fraction that several share; 0 for none.
        settings: overrides of the campaign's settings, such as ``{"seed": 3, "budget.evaluations": 500}``.
        force: if True, replaces an existing run in the folder.
        quiet: if True, shows no progress.
        callbacks: each receives every event of the run, in this thread; see `optsearch.runs.store.stream`. A callback
            that raises `StopSearch` interrupts the run; another exception ends it as ``failed`` and propagates. Either
            can be resumed.
        stop: event that interrupts the run when it is set, from a callback or another thread. None for none.

    Returns:
        The run. After an interruption its status is ``interrupted``, and the same call resumes it.

    Raises:
        ConfigError: a setting is unknown or out of range.
        RunError: the folder cannot be used.
        TaskError: a task does not exist.
    """
    overrides = _overrides(settings)
    folder = None if out is None else Path(out)
    given = campaign if isinstance(campaign, Mapping) else str(campaign)
    config, text = load_named(given, overrides, folder, resume=not force)
    run = Campaign(config, text, folder, callbacks)
    done = run.run(workers=workers, address=address, gpus=gpus_per_worker, force=force, quiet=quiet, stop=stop)
    return load_run(done.folder)


def resume(
    run: AnyRun,
    *,
    settings: Settings | None = None,
    workers: int | None = None,
    address: str | None = None,
    gpus_per_worker: float = 0.0,
    quiet: bool = False,
    callbacks: Sequence[Callback] = (),
    stop: threading.Event | None = None,
) -> Run:
    """Resumes an interrupted run with its recorded settings; the result is that of an uninterrupted run.

    User-defined tasks of the run are imported.

    Args:
        run: the run.
        settings: changes of the budget or the controls, such as ``{"budget.evaluations": 6000}``; nothing else may
            differ.
        workers: number of worker processes on local Ray; 0 evaluates in this process. None for one per core.
        address: address of a Ray cluster to join. None starts a local one.
        gpus_per_worker: GPUs of each worker, or a fraction that several share; 0 for none.
        quiet: if True, shows no progress.
        callbacks: as in `search`.
        stop: as in `search`.

    Raises:
        ConfigError: a setting is unknown or out of range.
        RunError: the run does not exist, or cannot be resumed with these settings.
    """
    folder = _folder(run)
    with RunStore.read(folder) as store:
        text, recorded = store.meta("campaign"), store.config.model_dump(mode="json")
    config = load_campaign(json.dumps(recorded), f"the settings of {folder}", _overrides(settings))
    done = Campaign(config, text, folder, callbacks).run(
        workers=workers, address=address, gpus=gpus_per_worker, quiet=quiet, stop=stop
    )
    return load_run(done.folder)


def propose(run: AnyRun, programs: AnyProgram | Sequence[AnyProgram], *, source: str = "user") -> Offer:
    """Proposes programs to the search of a run as candidates; nothing is trained.

    Args:
        run: the run. A running search takes the programs up, at most the share of its evaluations that
            ``proposals.share`` of its campaign allows; otherwise they wait until it is resumed.
        programs: one or several programs, each a value, a name, a file or ``RUN:ID``. Valid ones are accepted even if
            others are refused.
        source: name of the person or program that proposes, for the record.

    Returns:
        What became of each program.

    Raises:
        RunError: the folder is not a run of this version, its campaign admits no proposals, its inbox is full or cannot
            be written, or ``source`` is no name.
    """
    given = [programs] if isinstance(programs, AnyProgram) else programs
    drafts = [Draft.from_reference(_reference(one), number) for number, one in enumerate(given, start=1)]
    return offer(_folder(run), drafts, source)


def evaluate(
    programs: AnyProgram | Sequence[AnyProgram],
    tasks: str | Sequence[str] | None = None,
    *,
    script: TrainingScript | None = None,
    seeds: int = 8,
    baselines: Sequence[str] | None = None,
    trials: int = TRIALS,
    replicates: int = REPLICATES,
    constants: bool = True,
    spaces: Sequence[str] = (),
    shared: bool = False,
    sensitivity: bool = False,
    timed: bool = False,
    join: Sequence[str | Path] = (),
    kept_in: str | Path | None = None,
    workers: int | None = None,
    address: str | None = None,
    gpus_per_worker: float = 0.0,
    imports: Sequence[str] = (),
    quiet: bool = False,
) -> EvaluationResult:
    """Compares programs with baselines, by repeated tuning with an equal budget, and on fresh seeds.

    Args:
        programs: one or several programs, each a value, a name, a file or ``RUN:ID``. Results of programs of runs are
            also recorded there.
        tasks: names of tasks; ``optsearch tasks`` lists them. None for ``X_ae``, or for the script or the
            joined files alone.
        script: a training script in the place of tasks, from `load_script`. None for tasks.
        seeds: number of fresh seeds of each replicate.
        baselines: names of baselines, or ``module:object`` of your own. None for AdamW and Lion, or with a script of
            torch for AdamW and SGD.
        trials: number of tuning trials for each contender, task and replicate.
        replicates: number of independent tunings of each contender; a verdict on optimizers needs at least two.
        constants: if True, tunes decay rates and other constants too.
        spaces: declared ranges such as ``beta=0:0.999``, which replace the defaults.
        shared: if True, each tuning selects one setting for all tasks.
        sensitivity: if True, also trains each tuned point at multiples of its rate, all else fixed.
        timed: if True, also measures the wall-clock time of compiled steps in this process, after all training runs.
            JAX must not have computed before in this process, unless it is already restricted to one CPU thread.
        join: files with results of the same comparison on other tasks, as ``evaluate --json`` printed them, which are
            judged together with these.
        kept_in: folder of the training cache. None for ``optsearch-runs``.
        workers: number of concurrent training runs; 0 for sequential runs in this process. None for one per core.
        address: address of a Ray cluster to join. None starts a local one.
        gpus_per_worker: GPUs of each worker, or a fraction that several share; 0 for none.
        imports: ``module:object`` references of user-defined tasks.
        quiet: if True, shows no progress.

    Raises:
        ProgramError, RunError, TaskError, BaselineError, SeedError, SpaceError: a name is unknown, too few seeds are
            available, or a declared range excludes a contender's own setting.
        SharedTuningError: one setting for all tasks is requested, and a task has no trivial loss or nothing is tuned.
        ScriptSettingsError, ScriptRunError: a setting is for tasks alone, or the script cannot be run.
        JoinError: a file to join is of another comparison.
    """
    if tasks is None:
        tasks = () if script or join else "X_ae"
    if baselines is None:
        baselines = SCRIPT_BASELINES[script.framework] if script else ("adamw", "lion")
    settings = EvaluationSettings(
        tasks=(tasks,) if isinstance(tasks, str) else tuple(tasks),
        seeds=seeds,
        baselines=tuple(baselines),
        script=script,
        trials=trials,
        replicates=replicates,
        constants=constants,
        spaces=tuple(spaces),
        shared=shared,
        sensitivity=sensitivity,
        timed=timed,
    )
    return run_evaluation(
        [_reference(one) for one in ([programs] if isinstance(programs, AnyProgram) else programs)],
        settings,
        folder=None if kept_in is None else Path(kept_in),
        workers=workers,
        address=address,
        gpus=gpus_per_worker,
        imports=imports,
        join=[Path(path) for path in join],
        quiet=quiet,
    )


def select(
    runs: AnyRun | Sequence[AnyRun],
    funnel: str | Path = "ladder",
    *,
    settings: Settings | None = None,
    kept_in: str | Path | None = None,
    workers: int | None = None,
    address: str | None = None,
    gpus_per_worker: float = 0.0,
    imports: Sequence[str] = (),
    quiet: bool = False,
) -> SelectionResult:
    """Selects the best programs of runs in stages: on fresh seeds, then on larger tasks against tuned baselines.

    The results of each stage are recorded in the runs; the same call resumes an interrupted selection.

    Args:
        runs: one or several runs.
        funnel: name of a shipped funnel, or path of a YAML file.
        settings: overrides of the funnel's settings, such as ``{"candidates.most": 4}``.
        kept_in: folder of the training cache. None for ``optsearch-runs``.
        workers: number of concurrent training runs; 0 for sequential runs in this process. None for one per core.
        address: address of a Ray cluster to join. None starts a local one.
        gpus_per_worker: GPUs of each worker, or a fraction that several share; 0 for none.
        imports: ``module:object`` references of user-defined tasks.
        quiet: if True, shows no progress.

    Raises:
        ConfigError, RunError, TaskError: a name is unknown, or a run cannot be written.
    """
    return run_selection(
        [str(_folder(run)) for run in ([runs] if isinstance(runs, AnyRun) else runs)],
        str(funnel),
        _overrides(settings),
        folder=None if kept_in is None else Path(kept_in),
        workers=workers,
        address=address,
        gpus=gpus_per_worker,
        imports=imports,
        quiet=quiet,
    )


def simplify(
    program: AnyProgram,
    steps: Sequence[str] = ("prune", "rewrite"),
    *,
    tasks: Sequence[str] | None = None,
    workers: int | None = None,
    address: str | None = None,
    gpus_per_worker: float = 0.0,
    kept_in: str | Path | None = None,
    imports: Sequence[str] = (),
    quiet: bool = False,
) -> Distilled:
    """Distils a program to its shortest readable form.

    Args:
        program: a value, a name, a file, or ``RUN:ID``.
        steps: any of ``prune``, ``rewrite`` and ``ablate``; only ``ablate`` trains.
        tasks: tasks on which ablation tests changes. None for the tasks of the program's search, or ``ae``.
        workers: number of concurrent training runs; 0 for sequential runs in this process. None for one per core.
        address: address of a Ray cluster to join. None starts a local one.
        gpus_per_worker: GPUs of each worker, or a fraction that several share; 0 for none.
        kept_in: folder of the training cache. None for ``optsearch-runs``.
        imports: ``module:object`` references of user-defined tasks.
        quiet: if True, shows no progress.

    Raises:
        ProgramError, RunError, TaskError: a name is unknown.
        DoesNotTrainError: ablation is requested and the program does not train.
    """
    return run_distillation(
        _reference(program),
        steps,
        tasks,
        workers=workers,
        address=address,
        gpus=gpus_per_worker,
        folder=None if kept_in is None else Path(kept_in),
        imports=imports,
        quiet=quiet,
    )


def export(
    program: AnyProgram,
    to: str = "optax",
    path: str | Path | None = None,
    *,
    tuned: str | Path | EvaluationResult | None = None,
    task: str | None = None,
    force: bool = False,
) -> str:
    """Exports a program as text that does not depend on optsearch.

    The learning rate of an optax or torch file is an argument of its optimizer; the program's own is the default.

    Args:
        program: the program.
        to: ``optax``, ``torch``, ``latex``, ``pseudocode``, ``json``, or a format of a plug-in.
        path: file to write. None writes no file.
        tuned: exports the tuned values of an evaluation: a result of `evaluate`, a file with the output of
            ``optsearch evaluate --json``, or a run. None for the program's own values.
        task: task of that evaluation, if it has several.
        force: if True, replaces an existing file.

    Returns:
        The text of the file.

    Raises:
        ExportError: there is no such format, or ``task`` is given without ``tuned``.
        ProgramError, RunError: the program or the evaluation does not exist, or the file cannot be written.
    """
    source = str(tuned) if isinstance(tuned, Path) else tuned
    return write_export(
        load_program(_reference(program)), to, None if path is None else Path(path), source, task, force=force
    )


def verify(run: AnyRun, sample: int = 20, *, imports: Sequence[str] = ()) -> tuple[Check, ...]:
    """Verifies a run: all checksums and programs, the complete history, and a sample of the training runs.

    Args:
        run: the run.
        sample: number of training runs of each kind to repeat; those of the best programs always are.
        imports: ``module:object`` references of user-defined tasks that may be imported.

    Returns:
        The checks; the run is right if ``agrees`` is False for none of them.

    Raises:
        RunError: the folder is not a run, or needs an import that is not allowed.
    """
    return tuple(verify_run(_folder(run), sample, imports))


def _overrides(settings: Settings | None) -> list[str]:
    return [f"{key}={json.dumps(value)}" for key, value in (settings or {}).items()]


def _reference(program: AnyProgram) -> str | Program:
    if isinstance(program, FoundProgram):
        return program.reference
    return program.program if isinstance(program, Distilled) else program


def _folder(run: AnyRun) -> Path:
    return run.folder if isinstance(run, Run) else run_folder(str(run))
