"""Whether one program trains as well as another: a sequential test of non-inferiority, seed by seed.

Both programs train on the same seeds, so that initial weights and batches cancel in the difference. The candidate is no
worse when the mean difference is, with confidence, below the tolerance; it is worse when it is, with confidence, above
it. The test looks after a few seeds and goes on only while neither is known, so that clear cases cost little.
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
from optsearch.proxy_tasks.registry import get_task
from optsearch.proxy_tasks.run import Trained, training_key
from optsearch.proxy_tasks.seeds import SIMPLIFY_TEST
from optsearch.search.evaluate import Naming, Trainers
from optsearch.search.fitness import Job
from optsearch.search.pool import Here, Pool, in_order

HOPELESS = 10.0
"""A first seed that is worse by this many tolerances decides."""


class DoesNotTrainError(UserError, ValueError):
    """A program does not train, so that nothing can be compared with it."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Training:
    """One training to be done.

    Attributes:
        program: what is trained.
        task: name of the task.
        seed: training seed.
    """

    program: Program
    task: str
    seed: int

    @property
    def key(self) -> str:
        """What the result depends on beside the machine; equal for programs that execute the same."""
        return training_key(get_task(self.task).version, execution_key(self.program), {"rate": 1.0}, self.seed)


def train(job: Training) -> Trained:
    """Trains as searches do, in this process."""
    trainer = _trainers()[job.task]
    began = time.perf_counter()
    with Naming([Job(0, job.program)]):
        result = trainer.run(job.program, job.seed)
    return Trained(result, time.perf_counter() - began)


@cache
def _trainers() -> Trainers:
    return Trainers(method="interpret")  # as in `optsearch.selection.contender`, whose training runs are shared


@dataclass(frozen=True, slots=True)
class NoWorse:
    """The test.

    Attributes:
        tolerance: how much larger the loss may be, as a share of the reference's.
        alpha: probability of keeping a change that is worse by the tolerance, over all looks together.
        looks: numbers of seeds after which the differences are looked at.
        first_seed: the first training seed, of those that are for this test alone.
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
        """Whether the candidate is no worse; None while nobody knows.

        Args:
            differences: loss of the candidate minus that of the reference, for each seed.
            allowed: largest mean difference that counts as none.
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
    no_worse: whether the change may be kept.
    difference: for each task the mean of candidate minus reference, as a share of the reference's loss; infinite where
        the candidate did not train.
    seeds: number of seeds that were looked at, all tasks together.
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
    """Trains programs on tasks and seeds, each once.

    What is asked for decides what comes out; where and in which order it is trained does not.

    Attributes:
        tasks: names of the tasks.
        pool: where programs are trained.
        ahead: trainings that run at a time; with more than one, those that are likely to be asked for are done early.
        results: loss, or None where training failed, for ``execution_key task seed``; grows. The key is of what is
            executed: equal meanings differ in their last digits, and which is asked for first must decide nothing.
        trained: number of trainings that the pool was asked for.
    """

    tasks: tuple[str, ...]
    pool: Pool[Training, Trained] = field(default_factory=lambda: Here(train))
    ahead: int = 1
    results: dict[str, float | None] = field(default_factory=dict[str, float | None])
    trained: int = 0
    _asked: set[str] = field(default_factory=set[str])

    @property
    def evaluations(self) -> int:
        """Number of trainings that were asked for, those that were known included."""
        return len(self._asked)

    def losses(self, program: Program, task: str, seeds: Sequence[int]) -> list[float | None]:
        """Validation loss for each seed; None where training failed."""
        name = execution_key(program)
        keys = [f"{name} {task} {seed}" for seed in seeds]
        self._asked.update(keys)
        self._train({key: (program, task, seed) for key, seed in zip(keys, seeds, strict=True)})
        return [self.results[key] for key in keys]

    def train_ahead(self, trials: Iterable[Trial]) -> None:
        """Trains at once what may be asked for soon; does nothing where trainings run one by one."""
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
        """Tests a candidate on every task; the first on which it is worse ends it.

        Args:
            candidate: what may be kept.
            reference: what it is compared with.
            test: the test.
            rates: for each task the factor on the learning rate of both; None for 1.
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
                ahead = range(seed, test.first_seed + count) if differences else (seed,)  # it may be hopeless
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
            task: where.
            rates: what is tried.
            seeds: on which the rates are compared.
            needed: seeds on which it has to train as well.

        Raises:
            DoesNotTrainError: it trains with none of them.
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
    """Half the width of Student's interval whose ends are passed with probability ``alpha`` on each side."""
    count = len(values)
    if count < 2:
        return math.inf
    mean = math.fsum(values) / count
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    return student_quantile(1.0 - alpha, count - 1) * math.sqrt(variance / count)


@cache
def student_quantile(probability: float, degrees: int) -> float:
    """Quantile of Student's distribution for a probability of 1/2 or more.

    With ``t = sqrt(n) * tan(u)`` the density becomes ``cos(u)**(n - 1)``, which is integrated numerically.
    """
    u = np.linspace(0.0, math.pi / 2, 200_001)
    density = np.cos(u) ** (degrees - 1)
    area = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
    place = float(np.interp((probability - 0.5) * 2.0 * area[-1], area, u))
    return math.sqrt(degrees) * math.tan(place)
