"""Dry run of a training script: what is wrong with it, in a few short runs; the implementation of ``--check``.

The runs have few steps, and the first program at its own settings unless a law needs others. They are kept nowhere.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from queue import Queue
from sys import stderr
from threading import Thread

from optsearch.dsl.program import Program
from optsearch.proxy_tasks.outcome import Outcome
from optsearch.runs.commands.evaluate import Entered, enter
from optsearch.runs.store.environment import available_cores
from optsearch.search.pool import Pool, in_order
from optsearch.selection.comparison.settings import EvaluationSettings
from optsearch.selection.contender import Contender, TrainingJob
from optsearch.selection.scripts.contract import Reports
from optsearch.selection.scripts.execution import Ended, ScriptRun, reports_of, tail
from optsearch.selection.scripts.script import TrainingScript
from optsearch.selection.space import RATE

CHECK_STEPS = 40
"""Largest budget of a run of the check, in steps."""

CHECK_LIMIT_S = 120.0
"""Largest time limit of a run of the check, in seconds."""

SEED, OTHER_SEED = 0, 1

RATES = (1 / 8, 8.0)
"""Factors on the first program's own rate; a script whose loss falls at none of the rates is suspected."""


@dataclass(frozen=True, slots=True)
class ScriptLaw:
    """A law that training scripts keep, and the result of its check.

    Attributes:
        name: the law in a few words.
        sentence: the law.
        fault: how the script breaks it, and what to do; empty if it keeps it.
    """

    name: str
    sentence: str
    fault: str


@dataclass(frozen=True, slots=True)
class Tried:
    """A run of the check.

    Attributes:
        about: optimizer and settings in words.
        reports: its reports.
        ended: how the process ended.
        said: the last lines of its log.
    """

    about: str
    reports: Reports
    ended: Ended
    said: str

    @property
    def fault(self) -> str:
        """Why the run is not complete; empty if it is."""
        if self.reports.outcome is Outcome.OK:
            return ""
        if self.reports.fault:
            return self.reports.fault
        if self.reports.outcome is Outcome.NON_FINITE:
            return "a reported loss is not a finite number"
        if not self.reports.count:
            return f"it made no report and {self.ended.sentence}. {self.said}".rstrip()
        return (
            f"it {self.ended.sentence} after {self.reports.count} reports, before its test loss. {self.said}".rstrip()
        )


def try_script(run: ScriptRun) -> Tried:
    """Executes a run of the check."""
    run.script.check_files()
    reports, ended = reports_of(run)
    return Tried(run.about, reports, ended, tail(run.log))


def check_script(
    programs: Sequence[str | Program],
    settings: EvaluationSettings,
    *,
    workers: int | None = None,
    address: str | None = None,
) -> Iterator[ScriptLaw]:
    """Tries the script of an evaluation with each of its contenders.

    Args:
        programs: references to programs, or programs as values.
        settings: settings of the evaluation, with a script.
        workers: as for `run_evaluation`.
        address: as for `run_evaluation`.

    Yields:
        The laws, in order; those that need a complete run only if there is one.

    Raises:
        ScriptRunError: the script cannot be started.
    """
    script = settings.script
    assert script is not None  # noqa: S101
    entered = enter(programs, settings)
    with tempfile.TemporaryDirectory(prefix="optsearch-check-") as folder:
        few = replace(
            script,
            steps=min(script.steps, CHECK_STEPS),
            time_limit_s=min(script.time_limit_s, CHECK_LIMIT_S),
            stop=(),
            logs=folder,
        )
        once, *others = _runs(few, entered)
        tried = _tried([once], few, workers, address)
        yield _reports_law(few, tried[0])
        if tried[0].fault:  # the other laws need a complete run
            return
        tried += _tried(others, few, workers, address)
    yield from _laws(few, entered.contenders, tried)


def _runs(script: TrainingScript, entered: Entered) -> list[ScriptRun]:
    """The first program twice, at other rates and with another seed; then every other contender."""
    first, *others = entered.contenders
    problem = replace(entered.problems[0], script=script)
    own = {one.name: tuple((row.name, row.reference) for row in one.space()) for one in entered.contenders}
    points = [tuple((name, value * f if name == RATE else value) for name, value in own[first.name]) for f in RATES]
    jobs = [TrainingJob(first, problem, own[first.name], SEED)] * 2
    jobs += [TrainingJob(first, problem, point, SEED) for point in points]
    jobs += [TrainingJob(first, problem, own[first.name], OTHER_SEED)]
    jobs += [TrainingJob(one, problem, own[one.name], SEED) for one in others]
    # Names of logs follow from the runs, and equal runs need logs of their own.
    return [replace(job.on_script(script), name=f"{place}-{job.contender.name}") for place, job in enumerate(jobs)]


def _tried(runs: Sequence[ScriptRun], script: TrainingScript, workers: int | None, address: str | None) -> list[Tried]:
    count = max(available_cores() // script.cpus, 1) if workers is None and address is None else workers
    if count == 0 or (address is None and not script.gpus):
        return _with_threads(runs, max(count or 1, 1))
    from optsearch.search.workers.ray_pool import RayPool

    with redirect_stdout(stderr):
        pool: Pool[ScriptRun, Tried] = RayPool(try_script, count, address=address, cpus=script.cpus, gpus=script.gpus)
        try:
            return list(in_order(pool, runs))
        finally:
            pool.close()


def _with_threads(runs: Sequence[ScriptRun], count: int) -> list[Tried]:
    """The runs on this machine without Ray, whose start would take longer than they do.

    The threads are daemons, so that an interruption ends this process, and with it the scripts, at once.
    """
    waiting, done = deque(enumerate(runs)), Queue[tuple[int, Tried | Exception]]()

    def work() -> None:
        while True:
            try:
                place, run = waiting.popleft()
            except IndexError:
                return
            try:
                done.put((place, try_script(run)))
            except Exception as error:  # noqa: BLE001 - raised again by the thread that waits for the result
                done.put((place, error))

    for _ in range(count):
        Thread(target=work, daemon=True).start()
    found: dict[int, Tried] = {}
    while len(found) < len(runs):
        place, result = done.get()
        if isinstance(result, Exception):
            raise result
        found[place] = result
    return [found[place] for place in range(len(runs))]


def _reports_law(script: TrainingScript, once: Tried) -> ScriptLaw:
    return ScriptLaw(
        "reports",
        f"It reports its losses as JSON lines until step {script.steps}, and the test loss at last.",
        once.fault and f"with {once.about}: {once.fault}",
    )


def _laws(script: TrainingScript, contenders: Sequence[Contender], tried: Sequence[Tried]) -> Iterator[ScriptLaw]:
    once, again, *at_rates = tried[: 2 + len(RATES)]
    other_seed, *others = tried[2 + len(RATES) :]
    failed = [f"with {one.about}: {one.fault}" for one in others if one.fault]
    yield ScriptLaw("optimizers", f"It trains with each of {len(contenders)} contenders.", "; ".join(failed))
    yield ScriptLaw(
        "deterministic",
        "Two runs with equal seeds report equal losses.",
        _differ(once, again)
        and f"two runs with seed {SEED} differ, {_differ(once, again)}: draw initial weights, batches and dropout from "
        "OPTSEARCH_SEED, and use deterministic kernels; otherwise results cannot be repeated",
    )
    yield from _decisions(script, once, at_rates, other_seed)


def _decisions(
    script: TrainingScript, once: Tried, at_rates: Sequence[Tried], other_seed: Tried
) -> Iterator[ScriptLaw]:
    """Laws about what decides the losses."""
    same = [one.about for one in at_rates if not one.fault and not _differ(once, one)]
    yield ScriptLaw(
        "learning rate",
        "Another learning rate gives other losses.",
        "; ".join(f"the losses with {about} are those with {once.about}" for about in same)
        and f"the losses at {len(same) + 1} learning rates are equal: train with the optimizer that "
        "make_optimizer of the module OPTSEARCH_OPTIMIZER returns, and leave its learning rate to it (a schedule "
        "multiplies it)",
    )
    yield ScriptLaw(
        "seed",
        "Another seed gives other losses.",
        ""
        if other_seed.fault or _differ(once, other_seed)
        else "the losses with two seeds are equal: draw initial weights and batches from OPTSEARCH_SEED",
    )
    falls = [_falls(one.reports) for one in (once, *at_rates)]
    yield ScriptLaw(
        "training",
        f"The loss falls within {script.steps} steps at some learning rate.",
        ""
        if any(falls)
        else "the last reported loss is not below the first at any of three learning rates: report a first time early, "
        "such as at step 0 (before training), and check that the weights are updated",
    )


def _differ(one: Tried, other: Tried) -> str:
    """Where the losses of two runs differ, in words; empty if they do not."""
    for mine, theirs in zip(one.reports.losses, other.reports.losses, strict=False):
        if mine != theirs:
            return f"at step {mine[0]}: {mine[1]:g} and {theirs[1]:g} (training), {mine[2]:g} and {theirs[2]:g}"
    return "in the number of reports" if one.reports.count != other.reports.count else ""


def _falls(reports: Reports) -> bool:
    """True if the training or the validation loss is lower at the end; unknown, hence True, with one report."""
    losses = reports.losses
    return len(losses) == 1 or any(losses[-1][place] < losses[0][place] for place in (1, 2) if losses)
