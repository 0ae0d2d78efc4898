"""One campaign from its settings to its verdict: the search, its control, and both on seeds that neither has seen.

Every step is recorded before the next begins, so that the same call after any interruption goes on where it stopped and
ends with the same result.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from dsl.dataflow import prune
from dsl.verify import nearest
from runs.errors import RunError
from runs.finalists import best, finalist_seeds, finalists
from runs.inspect import CONTROL, SEARCH
from runs.machine import about_machine, available_cores
from runs.programs import RUNS_FOLDER
from runs.progress import ProgressView
from runs.reader import Arm, Final
from runs.store import RunStore
from runs.terminal import errors
from search.config import CampaignConfig, ConfigError, load_campaign, load_campaign_file
from search.evaluate import EvaluationError, Evaluator, InProcessEvaluator, Setting, make_trainer
from search.evolution import WARM_START, Budget, Evolution
from search.mutate import Mutator
from search.session import run_session

if TYPE_CHECKING:
    from proxy_tasks.trainer import Trainer

SHIPPED = files("runs.campaigns")


def load_named(reference: str, overrides: Sequence[str] = ()) -> tuple[CampaignConfig, str]:
    """Settings and text of a shipped campaign or a YAML file.

    Args:
        reference: a shipped campaign's name, or a path.
        overrides: ``key.sub=value`` settings that replace those of the text.

    Raises:
        ConfigError: there is no such campaign, or anything is wrong in it.
    """
    names = sorted(entry.name.removesuffix(".yaml") for entry in SHIPPED.iterdir() if entry.name.endswith(".yaml"))
    if reference in names:
        text = (SHIPPED / f"{reference}.yaml").read_text(encoding="utf-8")
        return load_campaign(text, f"{reference}.yaml", overrides), text
    if Path(reference).exists() or reference.endswith((".yaml", ".yml")):
        return load_campaign_file(Path(reference), overrides)
    hint = nearest(reference, names) or f"; the shipped ones are {', '.join(names)}"
    raise ConfigError([f"unknown campaign '{reference}': it is no shipped campaign and no YAML file{hint}"])


@dataclass(frozen=True, slots=True)
class Finished:
    """How a sitting ended.

    Attributes:
        folder: the run.
        interrupted: whether it was asked to stop before it was done.
    """

    folder: Path
    interrupted: bool


class Campaign:
    """A campaign and the folder of its run.

    Args:
        config: the settings.
        text: the campaign as the user wrote it.
        folder: where the run is kept; None for ``optsearch-runs/NAME-seedS``.
    """

    def __init__(self, config: CampaignConfig, text: str, folder: Path | None = None):
        self.config, self._text = config, text
        self.folder = folder or RUNS_FOLDER / f"{config.name}-seed{config.seed}"
        self._setting = Setting(config.task, tuple(config.training_seeds))

    def run(
        self,
        *,
        workers: int | None = None,
        address: str | None = None,
        force: bool = False,
        quiet: bool = False,
        stop: threading.Event | None = None,
    ) -> Finished:
        """Starts or resumes the run and goes on until it is done or interrupted (Ctrl-C, SIGTERM).

        Args:
            workers: worker processes; 0 for none, None for one for each core.
            address: a Ray cluster to join; None to start a local one.
            force: whether a run in the folder is replaced.
            quiet: whether to show no progress.
            stop: set by somebody else to interrupt; None when only signals do.

        Returns:
            The folder, and whether the run was interrupted.

        Raises:
            RunError: the folder is not ours to write, or an evaluation raised.
        """
        stop = stop or threading.Event()
        with self._open(force) as store, _interruptible(stop):
            if store.meta("status") == "finished" and self._spent(store):
                return Finished(self.folder, interrupted=False)
            store.set_meta("status", "running")
            status = "failed"
            try:
                done = self._arms(store, workers, address, quiet, stop) and self._finals(store, quiet, stop)
                status = "finished" if done else "interrupted"
            except KeyboardInterrupt:
                status = "interrupted"
                raise
            finally:
                store.set_meta("status", status)
        return Finished(self.folder, interrupted=not done)

    def _open(self, force: bool) -> RunStore:
        settings, about = self.config.model_dump(mode="json"), about_machine()
        if RunStore.exists(self.folder) and not force:
            return RunStore.resume(self.folder, settings=settings, about=about)
        return RunStore.create(self.folder, campaign=self._text, settings=settings, about=about, force=force)

    def _spent(self, store: RunStore) -> bool:
        """Whether the search has used up its budget, which a resumed run may have extended."""
        arm, budget = store.arm(SEARCH), self.config.budget
        generated = store.settled(arm) - 1
        if budget.programs is not None and generated >= budget.programs:
            return True
        evaluated = sum(1 for result in store.evaluations(arm) if result.ticket > 0)
        return budget.evaluations is not None and evaluated >= budget.evaluations

    def _arms(
        self, store: RunStore, workers: int | None, address: str | None, quiet: bool, stop: threading.Event
    ) -> bool:
        """Runs the search, then its control; returns whether both are done."""
        with self._evaluator(workers, address, quiet) as evaluator:
            search = store.add_arm(SEARCH, "", {"algorithm": "evolution"})
            if not self._arm(store, search, self.config.budget, evaluator, quiet, stop):
                return False
            if not self.config.controls:
                return True
            evaluated = sum(1 for result in store.evaluations(search) if result.ticket > 0)
            control = store.add_arm(CONTROL, "c", {"algorithm": "constants"})
            return self._arm(store, control, Budget(evaluations=max(evaluated, 1)), evaluator, quiet, stop)

    def _arm(
        self, store: RunStore, arm: Arm, budget: Budget, evaluator: Evaluator, quiet: bool, stop: threading.Event
    ) -> bool:
        config = self.config
        tail = config.population.size + config.look_ahead
        history = store.history(arm, tail) if store.settled(arm) or any(store.evaluations(arm)) else None
        weights = config.mutation if arm.name == SEARCH else config.mutation.constants_only()
        evolution = Evolution(
            config.warm_start_program,
            name=arm.name,
            seed=config.seed,
            population=config.population,
            look_ahead=config.look_ahead,
            mutator=Mutator(weights, config.functions, config.limits),
            budget=budget,
            history=history,
        )
        counted = ("programs", budget.programs) if budget.programs else ("evaluations", budget.evaluations or 1)
        try:
            with ProgressView(errors, arm.name, counted) as view:
                progress = run_session(
                    evolution,
                    evaluator,
                    record=lambda results, settled: store.append(arm, results, settled),
                    hurdle=config.hurdle,
                    checkpoints=self._checkpoints(),
                    batch_size=config.batch_size,
                    progress=None if quiet else view.update,
                    should_stop=stop.is_set,
                )
        except EvaluationError as error:
            store.add_failure(arm, error.ticket, error.text, error.details)
            raise RunError(f"{self.folder}: {error}") from error
        return progress.finished

    def _finals(self, store: RunStore, quiet: bool, stop: threading.Event) -> bool:
        """Chooses the best of each arm, trains these and the warm start on fresh seeds; returns whether all is done.

        Programs of a control are known by ids of their own, so that equal programs of two arms are trained twice.
        """
        trainer = make_trainer(self._setting)
        arms = store.arms()
        trials = [(arm, entry.ticket) for arm in arms for entry in finalists(store, arm)]
        seeds = finalist_seeds(store)
        if not self._train(store, trainer, trials, seeds, "Choosing among the finalists", quiet, stop):
            return False
        finals = store.finals()
        contenders = [(arm, best(store, arm, finals).ticket) for arm in arms if store.leaderboard(arm, 1)]
        contenders.append((arms[0], WARM_START))
        return self._train(
            store, trainer, contenders, self.config.fresh_seed_values, "Comparing on fresh seeds", quiet, stop
        )

    def _train(
        self,
        store: RunStore,
        trainer: Trainer,
        contenders: Sequence[tuple[Arm, int]],
        seeds: Sequence[int],
        purpose: str,
        quiet: bool,
        stop: threading.Event,
    ) -> bool:
        """Trains programs on further seeds and records each run; those that are recorded already are not run again."""
        there = {(final.contender, final.seed) for final in store.finals()}
        places = {arm.program_id(ticket): (arm, ticket) for arm, ticket in contenders}
        pending = [(name, seed) for name in places for seed in seeds if (name, seed) not in there]
        if pending and not quiet:
            errors.print(f"{purpose}: {len(places)} programs, {len(seeds)} seeds", markup=False)
        for name, seed in pending:
            if stop.is_set():
                return False
            store.add_final([self._final(store, trainer, name, *places[name], seed)])
        return True

    def _final(self, store: RunStore, trainer: Trainer, name: str, arm: Arm, ticket: int, seed: int) -> Final:
        result = trainer.run(prune(store.ticket(arm, ticket).candidate.program), seed)
        return Final(
            contender=name,
            task=self.config.task,
            seed=seed,
            outcome=result.outcome.value,
            loss=result.loss,
            test_loss=result.test_loss,
            accuracy=result.accuracy,
            steps=result.steps,
        )

    def _checkpoints(self) -> Sequence[int]:
        from proxy_tasks.registry import get_task

        return get_task(self.config.task).checkpoints

    @contextmanager
    def _evaluator(self, workers: int | None, address: str | None, quiet: bool) -> Generator[Evaluator]:
        workers = available_cores() if workers is None else workers
        if not quiet:
            where = f"the Ray cluster at {address}" if address else "local Ray" if workers else "this process"
            count = f"{workers} worker{'' if workers == 1 else 's'} on " if workers else ""
            errors.print(
                f"{self.config.name}: task {self.config.task}, seed {self.config.seed}, {count}{where}; "
                f"run folder {self.folder}",
                markup=False,
                soft_wrap=True,
            )
        if workers == 0:
            evaluator: Evaluator = InProcessEvaluator(self._setting)
        else:
            from search.workers import RayEvaluator

            evaluator = RayEvaluator(self._setting, workers=workers, address=address)
        try:
            yield evaluator
        finally:
            evaluator.close()


@contextmanager
def _interruptible(stop: threading.Event) -> Generator[None]:
    """Ctrl-C and SIGTERM ask to stop; the second one stops at once. Outside the main thread, signals are left alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        errors.print("\nStopping: results in flight are dropped, everything else is saved. Again to stop at once.")

    previous: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        previous[number] = signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
