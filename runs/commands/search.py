"""Runs a campaign: the search, its controls, and the comparison of their best programs on fresh seeds.

Every step is recorded before the next begins, so the same call after any interruption resumes the campaign and yields
the same result.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from optsearch.dsl.verify import nearest
from optsearch.proxy_tasks.registry import check_packages, get_task
from optsearch.runs.commands.announcer import Announcer
from optsearch.runs.commands.final_runs import due, train_finals
from optsearch.runs.commands.warm_starts import PLACEHOLDER, is_reference, read_start, recorded_starts
from optsearch.runs.library.discovery import DISCOVERED
from optsearch.runs.library.references import RUNS_FOLDER
from optsearch.runs.store.environment import about_machine, available_cores, machine_changes
from optsearch.runs.store.errors import RunError
from optsearch.runs.store.ledger import SearchInbox, SearchLedger
from optsearch.runs.store.records import JsonObject, Search
from optsearch.runs.store.stream import Callback, RunEnded, RunStarted, SearchProgress, identity_of
from optsearch.runs.store.writer import RunStore
from optsearch.runs.summary.glance import glance, rivals
from optsearch.runs.summary.searches import (
    SEARCH,
    PlannedSearch,
    make_evolution,
    planned_searches,
    reference_of,
    reference_rule,
    spent,
)
from optsearch.runs.terminal.search_view import ProgressView
from optsearch.runs.terminal.tables import errors, warn_of_open_cluster
from optsearch.search.config import CampaignConfig, load_campaign, load_campaign_file
from optsearch.search.events import Progress, Timing
from optsearch.search.evolution import History
from optsearch.search.meta_validation import MetaValidation
from optsearch.search.scoring.evaluate import EvaluationError, Evaluator, InProcessEvaluator, import_own_tasks
from optsearch.search.scoring.fitness import Reference
from optsearch.search.session import Session
from optsearch.search.settings.config_errors import ConfigError
from optsearch.search.warm_starts import ReadProgram
from optsearch.search.workers.handover import HeadStart
from optsearch.search.workers.ray_runtime import check_share

SHIPPED = files("optsearch.runs.commands.campaigns")


def load_named(
    reference: str | Mapping[str, Any],
    overrides: Sequence[str] = (),
    folder: Path | None = None,
    *,
    resume: bool = True,
) -> tuple[CampaignConfig, str]:
    """Settings and text of a shipped campaign, of the campaign of a discovered program, of a YAML file or of a mapping.

    Warm starts that are references are read, or taken from the run that the campaign resumes.

    Args:
        reference: name of a campaign or discovered program, path of a file, or a mapping of settings.
        overrides: ``key.sub=value`` settings that override the text.
        folder: folder of the run, or of a study's first run; None for ``optsearch-runs/NAME-seedS``.
        resume: if False, an existing run in this folder is ignored.

    Raises:
        ConfigError: the campaign does not exist or is invalid.
    """
    known: dict[str, str] = {}
    if resume:
        with suppress(ConfigError):  # whatever is wrong is reported below, with the programs themselves
            loose, _ = _load(reference, overrides, lambda entry: PLACEHOLDER if is_reference(entry) else None)
            if loose.warm_start_references:
                known = recorded_starts(folder or RUNS_FOLDER / f"{loose.name}-seed{loose.seed}")
    return _load(reference, overrides, lambda entry: known.get(entry) or read_start(entry))


def _load(
    reference: str | Mapping[str, Any], overrides: Sequence[str], program: ReadProgram | None
) -> tuple[CampaignConfig, str]:
    if isinstance(reference, Mapping):
        text = yaml.safe_dump(dict(reference), sort_keys=False)
        return load_campaign(text, "campaign", overrides, program), text
    names = sorted(entry.name.removesuffix(".yaml") for entry in SHIPPED.iterdir() if entry.name.endswith(".yaml"))
    if reference in names:
        text = (SHIPPED / f"{reference}.yaml").read_text(encoding="utf-8")
        return load_campaign(text, f"{reference}.yaml", overrides, program), text
    if reference in DISCOVERED:
        text = DISCOVERED[reference].record.origin.campaign
        return load_campaign(text, f"the campaign of {reference}", overrides, program), text
    if Path(reference).exists() or reference.endswith((".yaml", ".yml")):
        return load_campaign_file(Path(reference), overrides, program)
    hint = nearest(reference, [*names, *DISCOVERED]) or f"; the shipped ones are {', '.join(names)}"
    raise ConfigError([f"unknown campaign '{reference}': it is neither a shipped campaign nor a YAML file{hint}"])


@dataclass(frozen=True, slots=True)
class Finished:
    """Result of one session of a campaign.

    Attributes:
        folder: the run folder.
        interrupted: True if the session was interrupted before completion.
    """

    folder: Path
    interrupted: bool


@dataclass(frozen=True, slots=True)
class Workers:
    """Configuration of the workers.

    Attributes:
        count: number of worker processes; 0 evaluates in this process, None for one per core, or per share of a GPU.
        address: address of a Ray cluster to join; None starts a local one.
        gpus: fraction of a GPU per worker.
    """

    count: int | None
    address: str | None
    gpus: float


class Campaign:
    """A campaign and the folder of its run.

    Args:
        config: the settings.
        text: original text of the campaign.
        folder: run folder; None for ``optsearch-runs/NAME-seedS``.
        callbacks: receivers of the run's events.
    """

    def __init__(
        self, config: CampaignConfig, text: str, folder: Path | None = None, callbacks: Sequence[Callback] = ()
    ):
        self.config, self._text = config, text
        self.folder = folder or RUNS_FOLDER / f"{config.name}-seed{config.seed}"
        self._setting = config.setting
        self._callbacks = callbacks
        self.timing = Timing()
        """Time spent by this process's searches, by activity."""

    def run(
        self,
        *,
        workers: int | None = None,
        address: str | None = None,
        gpus: float = 0.0,
        force: bool = False,
        quiet: bool = False,
        stop: threading.Event | None = None,
    ) -> Finished:
        """Starts or resumes the run, until it is complete or interrupted (Ctrl-C, SIGTERM).

        Args:
            workers: number of worker processes; 0 evaluates in this process, None for one per core, or per share of a
                GPU.
            address: address of a Ray cluster to join; None starts a local one.
            gpus: fraction of a GPU that each worker requests from Ray.
            force: if True, replaces an existing run in the folder.
            quiet: if True, shows no progress.
            stop: event that interrupts the run when set; None if only signals interrupt it.

        Returns:
            The run folder, and the interruption flag.

        Raises:
            RunError: the folder cannot be written, or an evaluation raised an exception.
            TaskError: a user-defined task cannot be imported, or the package of a task's data is not installed.
        """
        stop = stop or threading.Event()
        import_own_tasks(self.config.imports)
        check_packages(self.config.tasks)
        tell, status = Announcer(self._callbacks, stop), ""
        try:
            with self._open(force) as store, _interruptible(stop):
                if store.meta("status") == "finished" and spent(store, self.config) and due(store) is None:
                    return Finished(self.folder, interrupted=False)
                store.set_meta("status", "running")
                status = "failed"
                try:
                    store.listen(tell)
                    tell(RunStarted(self.folder, identity_of(store), store.meta("settings"), len(store.sessions()) > 1))
                    done = self._train(store, Workers(workers, address, gpus), quiet, tell)
                    status = "finished" if done else "interrupted"
                except KeyboardInterrupt:
                    status = "interrupted"
                    raise
                finally:
                    store.set_meta("status", status)
        finally:
            if status:
                tell(RunEnded(self.folder, status))  # after the file is closed, so that a callback can read all of it
        return Finished(self.folder, interrupted=not done)

    def _open(self, force: bool) -> RunStore:
        settings, about = self.config.model_dump(mode="json"), about_machine()
        tasks = {name: get_task(name).version for name in self.config.tasks}
        if not RunStore.exists(self.folder) or force:
            return RunStore.create(
                self.folder, campaign=self._text, settings=settings, about=about, tasks=tasks, force=force
            )
        store = RunStore.resume(self.folder, settings=settings, about=about, tasks=tasks, complete=_completed)
        changed = machine_changes(store.sessions()[0].about, about)
        if changed:
            errors.print(
                f"This machine differs from the one that started the run: {'; '.join(changed)}. Results may differ in "
                "their last digits from those of an uninterrupted run; this session is recorded with its machine.",
                markup=False,
            )
        return store

    def _train(self, store: RunStore, options: Workers, quiet: bool, tell: Announcer) -> bool:
        """Runs the searches, the controls, then the final comparison; returns True if all are complete."""
        with self._evaluator(options, quiet) as evaluator:
            done = all(
                self._search(store, planned, evaluator, quiet, tell) for planned in planned_searches(store, self.config)
            )
            done = done and train_finals(store, evaluator.pool, quiet=quiet, stop=tell.stop)
            machines = sorted({*store.meta("worker_machines", []), *evaluator.statistics.machines})
        if machines != store.meta("worker_machines", []):
            store.set_meta("worker_machines", machines)
        if len(machines) > 1 and not quiet:
            errors.print(f"Workers ran on machines of different kinds: {'; '.join(machines)}.", markup=False)
        return done

    def _search(
        self, store: RunStore, planned: PlannedSearch, evaluator: Evaluator, quiet: bool, tell: Announcer
    ) -> bool:
        config, search, budget = self.config, planned.search, planned.budget
        ledger = SearchLedger(store, search)
        history = ledger.history(config.tickets_to_resume)
        evolution = make_evolution(store, config, search, budget, history)

        validation = self._meta_validation(store, search, history)
        try:
            with ProgressView(
                errors,
                search.name,
                budget.counted,
                glance=lambda progress: glance(store, search, progress, evolution.redundancy()),
                rivals=rivals(store, search),
                workers=f"{evaluator.workers} worker{'' if evaluator.workers == 1 else 's'}",
                program_id=search.program_id,
            ) as view:
                session = Session(
                    evolution,
                    evaluator,
                    ledger,
                    rule=reference_rule(config),
                    reference=self._reference(store, search),
                    validation=validation,
                    inbox=SearchInbox(store, search, config.limits) if search.name == SEARCH else None,
                    batch_size=max(config.batch_size, config.lanes),
                    timing=self.timing,
                )

                def on_turn(progress: Progress) -> None:
                    event = SearchProgress(search, budget.counted, progress)
                    if not quiet:
                        view.update(event.progress)
                    tell(event)

                progress = session.run(progress=on_turn, should_stop=tell.stop.is_set)
        except EvaluationError as error:
            store.add_failure(search, error.ticket, error.text, error.details)
            raise RunError(f"{self.folder}: {error}") from error
        return progress.finished and not (validation is not None and validation.waiting)

    def _reference(self, store: RunStore, search: Search) -> Reference | None:
        """The reference of all searches but the first, which makes it; None for the first."""
        return None if search.number == 0 else reference_of(store, self.config)

    def _meta_validation(self, store: RunStore, search: Search, history: History | None) -> MetaValidation | None:
        """Meta-validation of the search's best programs; None for controls."""
        config = self.config.meta_validation
        if config is None or search.name != SEARCH:
            return None
        results = () if history is None else (r for r in history.evaluated if r.ticket <= history.settled)
        return MetaValidation(config.every_evaluations, results, store.validations(search))

    @contextmanager
    def _evaluator(self, options: Workers, quiet: bool) -> Generator[Evaluator]:
        workers, address = options.count, options.address
        check_share(workers, options.gpus, address)
        if workers is None and address is None and not options.gpus:
            workers = available_cores()
        if not quiet:
            where = f"the Ray cluster at {address}" if address else "this process" if workers == 0 else "local Ray"
            names = [task.task for task in self._setting.tasks]
            tasks = f"task{'s' if len(names) > 1 else ''} {', '.join(names)}"
            count = f"{workers} worker{'' if workers == 1 else 's'} on " if workers else ""
            errors.print(
                f"{self.config.name}: {tasks}, seed {self.config.seed}, {count}{where}; run folder {self.folder}",
                markup=False,
                soft_wrap=True,
            )
        if workers == 0:
            evaluator: Evaluator = InProcessEvaluator(self._setting)
        else:
            from optsearch.search.workers.ray_evaluator import RayEvaluator

            warn_of_open_cluster(address)

            def make() -> RayEvaluator:
                return RayEvaluator(self._setting, workers=workers, address=address, gpus=options.gpus)

            # Join a cluster at once, so that a connection error is reported before any work. If workers have GPUs, this
            # process has no share of one and would round differently.
            here_first = address is None and not options.gpus
            evaluator = HeadStart(self._setting, make, workers) if workers and here_first else make()
        try:
            yield evaluator
        finally:
            evaluator.close()


def _completed(settings: JsonObject) -> JsonObject:
    """Completes settings recorded by an older version with the defaults of newer settings."""
    return CampaignConfig.model_validate(dict(settings)).model_dump(mode="json")


@contextmanager
def _interruptible(stop: threading.Event) -> Generator[None]:
    """Handles Ctrl-C and SIGTERM: the first signal requests a stop, the second stops immediately.

    Outside the main thread, signal handlers are left unchanged.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        errors.print(
            "\nStopping: results in flight are discarded, all others are saved. Press Ctrl-C again to stop immediately."
        )

    previous: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        previous[number] = signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
