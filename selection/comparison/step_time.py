"""Wall-clock time of a compiled training step, of all contenders in turns.

Operations and state per parameter describe an optimizer on paper. A processor also pays for memory traffic and for many
small operations, and a step consists of the gradient too, so that a costly update may hardly matter on a large model.

Every contender has its own compiled training loop, programs and baselines alike, which is the loop that trains. A timed
run ends at a checkpoint, at which a hurdle stops it before the final evaluation. The contenders take turns, every other
round in reverse order, so that a drift of the machine's speed meets all of them; ratios are formed within a round.

Source: Dahl et al. 2023 (arXiv:2306.07179), AlgoPerf, which compares wall-clock times.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from optsearch.proxy_tasks.hurdle import Hurdle
from optsearch.proxy_tasks.task import Task
from optsearch.selection.contender import Contender, TrainingJob, train_with
from optsearch.selection.problem import Problem
from optsearch.selection.space import Values

ROUNDS = 7
"""Default number of rounds."""

FEWEST = 5
"""Minimum number of rounds, for a median that a single disturbance does not move."""

LEAST_S = 0.25
"""Time in seconds that a timed run should take, so that the start of a run does not count; short tasks take less."""

Run = Callable[[int], int]
"""Trains up to a checkpoint, given as a step, and returns the number of steps run."""

Clock = Callable[[], float]
"""Returns the time in seconds."""


@dataclass(frozen=True, slots=True)
class StepTime:
    """Wall-clock time of a contender's training step on a task, gradient included.

    Attributes:
        task: name of the task, with the batch size unless it is the task's default.
        contender: name of the contender.
        milliseconds: median over rounds of the time of a step; None if the contender diverged within the timed steps.
        ratio: median over rounds of the time divided by the reference's in the same round; None if either diverged.
        low: smallest ratio of a round; None if there is no ratio.
        high: largest ratio of a round; None if there is no ratio.
        steps: number of steps of a timed run.
        rounds: number of timed runs.
    """

    task: str
    contender: str
    milliseconds: float | None
    ratio: float | None
    low: float | None
    high: float | None
    steps: int
    rounds: int


def step_times(
    contenders: Sequence[Contender],
    problems: Sequence[Problem],
    values: Mapping[tuple[str, str], Values],
    reference: str,
    seed: int,
    *,
    rounds: int = ROUNDS,
    clock: Clock = time.perf_counter,
) -> tuple[StepTime, ...]:
    """Measures the training step of every contender on every task, in this process and on one CPU thread.

    JAX must not have computed before in this process, unless it is already restricted to one CPU thread.

    Args:
        contenders: programs and baselines with distinct names.
        problems: the tasks.
        values: hyperparameter values of each contender by names of task and contender.
        reference: name of the contender that ratios refer to.
        seed: training seed of the timed runs.
        rounds: number of rounds, at least `FEWEST`.
        clock: the clock.

    Returns:
        One entry per task and contender, in their order.

    Raises:
        ValueError: there are too few rounds, or the reference is not a contender.
    """
    if rounds < FEWEST:
        raise ValueError(f"{rounds} rounds are too few for a median: use at least {FEWEST}")
    if reference not in {contender.name for contender in contenders}:
        raise ValueError(f"the reference '{reference}' is not a contender")
    from optsearch.search.scoring.evaluate import use_one_cpu_thread

    use_one_cpu_thread()
    found: list[StepTime] = []
    for problem in problems:
        task = problem.load()
        jobs = [TrainingJob(one, problem, values[problem.name, one.name], seed) for one in contenders]
        runs = {job.contender.name: compiled_run(task, job) for job in jobs}
        found += timed(problem.name, runs, task.checkpoints, reference, rounds, clock)
    return tuple(found)


def compiled_run(task: Task, job: TrainingJob) -> Run:
    """A contender's own compiled training loop, which its first run compiles."""
    from optsearch.proxy_tasks.trainer import Trainer

    trainer = Trainer(task, method="compile", resumable_from=math.inf)  # snapshots would be timed too

    def run(step: int) -> int:
        return train_with(trainer, job, Hurdle(((step, -math.inf),))).steps

    return run


def timed(
    task: str, runs: Mapping[str, Run], checkpoints: Sequence[int], reference: str, rounds: int, clock: Clock
) -> list[StepTime]:
    """Times the runs of all contenders on a task.

    Args:
        task: name of the task.
        runs: for each contender its run; the first call, which may compile, is not timed.
        checkpoints: steps at which runs can end.
        reference: contender that ratios refer to.
        rounds: number of rounds.
        clock: the clock.
    """
    for run in runs.values():
        run(checkpoints[0])
    once = in_turns({name: _to(run, checkpoints[0]) for name, run in runs.items()}, 1, clock)
    shortest = min(seconds[0] for seconds in once.values())
    wanted = LEAST_S * checkpoints[0] / max(shortest, 1e-9)
    steps = next((step for step in checkpoints if step >= wanted), checkpoints[-1])
    sides = {name: _to(run, steps) for name, run in runs.items() if run(steps) == steps}
    seconds = in_turns(sides, rounds, clock)
    found: list[StepTime] = []
    for name in runs:
        milliseconds = ratio = low = high = None
        if name in seconds:
            milliseconds = 1000.0 * median(seconds[name]) / steps
            if reference in seconds:
                ratios = [mine / other for mine, other in zip(seconds[name], seconds[reference], strict=True)]
                ratio, low, high = median(ratios), min(ratios), max(ratios)
        found.append(StepTime(task, name, milliseconds, ratio, low, high, steps, rounds))
    return found


def _to(run: Run, step: int) -> Callable[[], object]:
    return lambda: run(step)


def in_turns(sides: Mapping[str, Callable[[], object]], rounds: int, clock: Clock) -> dict[str, list[float]]:
    """Seconds of each side in every round; the sides take turns, every other round in reverse order."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in list(sides)[:: -1 if number % 2 else 1]:
            began = clock()
            sides[name]()
            seconds[name].append(clock() - began)
    return seconds
