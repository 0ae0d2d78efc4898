"""A sequential, paired non-inferiority test of two programs.

Both programs train on the same seeds, so that initial weights and batches cancel in the difference. The candidate is no
worse if the upper confidence limit of the mean difference is below the tolerance, and worse if the lower limit is above
it. Interim looks after a few seeds stop the test as soon as either holds, so that clear cases are cheap.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from optsearch.dsl.dataflow import execution_key
from optsearch.dsl.errors import UserError
from optsearch.dsl.program import Program
from optsearch.dsl.rate import at_rate
from optsearch.proxy_tasks.machine import computing_device, made_on
from optsearch.proxy_tasks.registry import get_task
from optsearch.proxy_tasks.run import Trained, training_key
from optsearch.proxy_tasks.seeds import SIMPLIFY_TEST
from optsearch.search.pool import Here, Pool, in_order
from optsearch.search.scoring.evaluate import Naming, trainers_of_process
from optsearch.search.scoring.fitness import Job

HOPELESS = 10.0
"""Number of tolerances by which a worse first seed rejects the candidate at once."""


class DoesNotTrainError(UserError, ValueError):
    """The program does not train, so nothing can be compared with it."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Training:
    """A requested training run.

    Attributes:
        program: the program.
        task: name of the task.
        seed: training seed.
    """

    program: Program
    task: str
    seed: int

    @property
    def key(self) -> str:
        """Cache key of the result, apart from the machine; equal for programs that execute the same computation."""
        return training_key(get_task(self.task).version, execution_key(self.program), {"rate": 1.0}, self.seed)


def train(job: Training) -> Trained:
    """Executes a training run in this process, with the settings of searches."""
    trainer = trainers_of_process("interpret", 1)[job.task]  # as in `selection.contender`, whose runs are shared
    began = time.perf_counter()
    with Naming([Job(0, job.program)]):
        result = trainer.run(job.program, job.seed)
    seconds = time.perf_counter() - began
    return Trained(result, seconds, made_on(computing_device()), trainer.resumed_from)


@dataclass(frozen=True, slots=True)
class NoWorse:
    """Configuration of the test.

    Attributes:
        tolerance: maximum increase of the loss, relative to the reference's loss.
        alpha: probability of accepting a change that is worse by the tolerance, over all looks.
        looks: numbers of seeds at which the differences are tested.
        first_seed: first training seed, in the range reserved for this test.
    """

    tolerance: float = 0.01
    alpha: float = 0.05
    looks: tuple[int, ...] = (3, 6, 12)
    first_seed: int = SIMPLIFY_TEST.start

    def __str__(self) -> str:
        return (
            f"no worse by {self.tolerance:.2%} of the loss: paired over {self.looks[0]} to {self.looks[-1]} seeds, "
            f"one-sided alpha {self.alpha:g} over {len(self.looks)} looks"
        )

    def verdict(self, differences: Sequence[float], allowed: float, look: int) -> bool | None:
        """Returns True if the candidate is no worse, False if it is worse; None if undecided.

        Args:
            differences: loss of the candidate minus that of the reference, one per seed.
            allowed: maximum mean difference that counts as no worse.
            look: index of the look.
        """
        mean = math.fsum(differences) / len(differences)
        half = half_width(differences, self.alpha / len(self.looks))
        if mean + half <= allowed:
            return True
        if mean - half > allowed or look == len(self.looks) - 1:
            return False
        return None


@dataclass(frozen=True, slots=True)
class TrialVerdict:
    """Attributes:
    no_worse: True if the change is accepted.
    difference: for each task the mean of candidate minus reference, relative to the reference's loss; infinity if the
        candidate did not train.
    seeds: number of seeds used, over all tasks.
    """

    no_worse: bool
    difference: tuple[tuple[str, float], ...]
    seeds: int

    @property
    def worst(self) -> float:
        """The largest difference over the tasks."""
        return max((value for _, value in self.difference), default=0.0)


Trial = tuple[Program, str, int]
"""A program, a task and a seed."""


@dataclass(slots=True)
class Panel:
    """Trains programs on tasks and seeds, each combination once.

    Results depend only on what is requested, not on where or in which order it is trained.

    Attributes:
        tasks: names of the tasks.
        pool: executor of training runs.
        ahead: number of concurrent training runs; if greater than one, runs that are likely to be needed start early.
        results: loss by ``execution_key task seed``, None if training failed; grows. The key identifies the executed
            computation: semantically equal programs differ in their last digits, and the result must not depend on
                which
            is requested first.
        trained: number of training runs submitted to the pool.
    """

    tasks: tuple[str, ...]
    pool: Pool[Training, Trained] = field(default_factory=lambda: Here(train))
    ahead: int = 1
    results: dict[str, float | None] = field(default_factory=dict[str, float | None])
    trained: int = 0
    _asked: set[str] = field(default_factory=set[str])

    @property
    def evaluations(self) -> int:
        """Number of requested training runs, including known results."""
        return len(self._asked)

    def losses(self, program: Program, task: str, seeds: Sequence[int]) -> list[float | None]:
        """Validation loss for each seed; None if training failed."""
        name = execution_key(program)
        keys = [f"{name} {task} {seed}" for seed in seeds]
        self._asked.update(keys)
        self._train({key: (program, task, seed) for key, seed in zip(keys, seeds, strict=True)})
        return [self.results[key] for key in keys]

    def train_ahead(self, trials: Iterable[Trial]) -> None:
        """Trains runs that are likely to be requested soon; no effect if runs are executed one at a time."""
        if self.ahead > 1:
            self._train({f"{execution_key(trial[0])} {trial[1]} {trial[2]}": trial for trial in trials})

    def _train(self, trials: Mapping[str, Trial]) -> None:
        missing = {key: trial for key, trial in trials.items() if key not in self.results}
        jobs = [Training(program, task, seed) for program, task, seed in missing.values()]
        for key, trained in zip(missing, in_order(self.pool, jobs), strict=True):
            self.results[key] = trained.result.loss
            self.trained += 1

    def compare(
        self, candidate: Program, reference: Program, test: NoWorse, rates: Mapping[str, float] | None = None
    ) -> TrialVerdict:
        """Tests a candidate on every task; stops at the first task on which it is worse.

        Args:
            candidate: the changed program.
            reference: the program to compare with.
            test: the non-inferiority test.
            rates: for each task the factor on the learning rate of both programs; None for 1.
        """
        found: list[tuple[str, float]] = []
        used = 0
        for task in self.tasks:
            rate = 1.0 if rates is None else rates[task]
            decided, share, count = self._on_task(at_rate(candidate, rate), at_rate(reference, rate), test, task)
            found.append((task, share))
            used += count
            if not decided:
                return TrialVerdict(no_worse=False, difference=tuple(found), seeds=used)
        return TrialVerdict(no_worse=True, difference=tuple(found), seeds=used)

    def _on_task(self, candidate: Program, reference: Program, test: NoWorse, task: str) -> tuple[bool, float, int]:
        differences: list[float] = []
        losses: list[float] = []
        for look, count in enumerate(test.looks):
            for seed in range(test.first_seed + len(differences), test.first_seed + count):
                ahead = range(seed, test.first_seed + count) if differences else (seed,)  # the first seed may reject it
                self.train_ahead((one, task, s) for s in ahead for one in (reference, candidate))
                theirs = self.losses(reference, task, [seed])[0]
                if theirs is None:
                    raise DoesNotTrainError(f"the program does not train on {task} with seed {seed}")
                mine = self.losses(candidate, task, [seed])[0]
                if mine is None:
                    return False, math.inf, len(differences) + 1
                differences.append(mine - theirs)
                losses.append(abs(theirs))
                if len(differences) == 1 and differences[0] > HOPELESS * test.tolerance * losses[0]:
                    return False, differences[0] / losses[0], 1
            scale = math.fsum(losses) / len(losses)
            decided = test.verdict(differences, test.tolerance * scale, look)
            if decided is not None:
                return decided, math.fsum(differences) / len(differences) / scale, len(differences)
        raise ValueError("the last look decides")

    def tuned_rate(
        self, program: Program, task: str, rates: Sequence[float], seeds: Sequence[int], needed: Sequence[int]
    ) -> float:
        """The factor on the learning rate with which a program trains best.

        Args:
            program: a verified program.
            task: name of the task.
            rates: candidate factors.
            seeds: seeds on which the factors are compared.
            needed: further seeds on which the program must train.

        Raises:
            DoesNotTrainError: the program trains with none of the factors.
        """
        self.train_ahead((at_rate(program, rate), task, seed) for rate in rates for seed in seeds)
        found: list[tuple[float, float]] = []
        for rate in rates:
            losses = self.losses(at_rate(program, rate), task, seeds)
            known = [loss for loss in losses if loss is not None]
            if len(known) == len(losses):
                found.append((math.fsum(known), rate))
        for _, rate in sorted(found):
            if None not in self.losses(at_rate(program, rate), task, needed):
                return rate
        raise DoesNotTrainError(
            f"the program does not train on {task} with any learning rate that was tried: choose another task, "
            "or take only the steps prune,rewrite"
        )


def half_width(values: Sequence[float], alpha: float) -> float:
    """Half width of Student's interval, with tail probability ``alpha`` on each side."""
    count = len(values)
    if count < 2:
        return math.inf
    mean = math.fsum(values) / count
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    return student_quantile(1.0 - alpha, count - 1) * math.sqrt(variance / count)


@cache
def student_quantile(probability: float, degrees: int) -> float:
    """Quantile of Student's t distribution for a probability of at least 1/2.

    With ``t = sqrt(n) * tan(u)`` the density becomes ``cos(u)**(n - 1)``, which is integrated numerically.
    """
    u = np.linspace(0.0, math.pi / 2, 200_001)
    density = np.cos(u) ** (degrees - 1)
    area = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
    place = float(np.interp((probability - 0.5) * 2.0 * area[-1], area, u))
    return math.sqrt(degrees) * math.tan(place)
