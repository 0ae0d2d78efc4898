"""Campaigns, comparisons and distillation as functions, for scripts and notebooks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from optsearch.dsl.program import Program
from optsearch.runs.commands.evaluate import run_evaluation
from optsearch.runs.commands.search import Campaign, load_named
from optsearch.runs.commands.simplify import run_distillation
from optsearch.runs.notebook import Run, load_run
from optsearch.runs.summary.evaluation_result import EvaluationResult
from optsearch.search.config import load_campaign
from optsearch.selection.comparison.evaluation import REPLICATES
from optsearch.selection.comparison.settings import SCRIPT_BASELINES, EvaluationSettings
from optsearch.selection.scripts.script import TrainingScript
from optsearch.selection.tuning.tuner import TRIALS
from optsearch.simplify.distil import Distilled

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

    Returns:
        The run. After an interruption its status is ``interrupted``, and the same call resumes it.

    Raises:
        ConfigError: a setting is unknown or out of range.
        RunError: the folder cannot be used.
        TaskError: a task does not exist.
    """
    overrides = [f"{key}={json.dumps(value)}" for key, value in (settings or {}).items()]
    if isinstance(campaign, Mapping):
        text = yaml.safe_dump(dict(campaign), sort_keys=False)
        config = load_campaign(text, "campaign", overrides)
    else:
        config, text = load_named(str(campaign), overrides)
    run = Campaign(config, text, None if out is None else Path(out))
    done = run.run(workers=workers, address=address, gpus=gpus_per_worker, force=force, quiet=quiet)
    return load_run(done.folder)


def evaluate(
    programs: str | Program | Sequence[str | Program],
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
    kept_in: str | Path | None = None,
    workers: int | None = None,
    address: str | None = None,
    gpus_per_worker: float = 0.0,
    imports: Sequence[str] = (),
    quiet: bool = False,
) -> EvaluationResult:
    """Compares programs with baselines, by repeated tuning with an equal budget, and on fresh seeds.

    Args:
        programs: one or several programs, each a value, a name, a file or ``RUN:ID``.
        tasks: names of tasks; ``optsearch tasks`` lists them. None for ``X_ae``, or for the script alone.
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
    """
    if tasks is None:
        tasks = () if script else "X_ae"
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
        [programs] if isinstance(programs, str | Program) else programs,
        settings,
        folder=None if kept_in is None else Path(kept_in),
        workers=workers,
        address=address,
        gpus=gpus_per_worker,
        imports=imports,
        quiet=quiet,
    )


def simplify(
    program: str | Program,
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
        program,
        steps,
        tasks,
        workers=workers,
        address=address,
        gpus=gpus_per_worker,
        folder=None if kept_in is None else Path(kept_in),
        imports=imports,
        quiet=quiet,
    )
