"""Whether one program trains as well as another: a sequential test of non-inferiority, seed by seed.

Both programs train on the same seeds, so that initial weights and batches cancel in the difference. The candidate is no
worse when the mean difference is, with confidence, below the tolerance; it is worse when it is, with confidence, above
it. The test looks after a few seeds and goes on only while neither is known, so that clear cases cost little.
"""

from __future__ import annotations

import math
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from dsl.fingerprint import fingerprint
from dsl.program import Program
from search.evaluate import Evaluator, InProcessEvaluator, Job, Setting, Trainers

Results = MutableMapping[str, float | None]
"""Loss, or None where training failed, for ``fingerprint task seed``: plain values, so that they can be kept."""

MakeEvaluator = Callable[[Setting], Evaluator]
"""Gives an evaluator for one task and one seed."""

HOPELESS = 10.0
"""A first seed that is worse by this many tolerances decides."""

WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class NoWorse:
    """The test.

    Attributes:
        tolerance: how much larger the loss may be, as a share of the reference's.
        alpha: probability of keeping a change that is worse by the tolerance, over all looks together.
        looks: numbers of seeds after which the differences are looked at.
        first_seed: the first training seed; those of searches and finals lie far below.
    """

    tolerance: float = 0.01
    alpha: float = 0.05
    looks: tuple[int, ...] = (3, 6, 12)
    first_seed: int = 500_000

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
class Verdict:
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


class InProcess:
    """Evaluators in this process that share one trainer for each task."""

    def __init__(self) -> None:
        self._trainers = Trainers()
        self._evaluators: dict[Setting, Evaluator] = {}

    def __call__(self, setting: Setting) -> Evaluator:
        """The evaluator of a task and seeds."""
        if setting not in self._evaluators:
            self._evaluators[setting] = InProcessEvaluator(setting, self._trainers)
        return self._evaluators[setting]


@dataclass(slots=True)
class Panel:
    """Trains programs on tasks and seeds, each once.

    Attributes:
        tasks: names of the tasks.
        make_evaluator: where programs are trained.
        results: what is known; grows.
        evaluations: number of trainings so far, those that were known apart.
    """

    tasks: tuple[str, ...]
    make_evaluator: MakeEvaluator = field(default_factory=InProcess)
    results: Results = field(default_factory=dict[str, float | None])
    evaluations: int = 0

    def losses(self, program: Program, task: str, seeds: Sequence[int]) -> list[float | None]:
        """Validation loss for each seed; None where training failed."""
        meaning = fingerprint(program)
        keys = [f"{meaning} {task} {seed}" for seed in seeds]
        waiting: list[tuple[str, Evaluator]] = []
        for key, seed in zip(keys, seeds, strict=True):
            if key not in self.results:
                evaluator = self.make_evaluator(Setting(task, (seed,)))
                evaluator.submit([Job(0, program)])
                waiting.append((key, evaluator))
        for key, evaluator in waiting:
            arrived = evaluator.collect(WAIT_S)
            while not arrived:
                arrived = evaluator.collect(WAIT_S)
            value = arrived[0][1].value
            self.results[key] = value if value is None or math.isfinite(value) else None
            self.evaluations += 1
        return [self.results[key] for key in keys]

    def compare(self, candidate: Program, reference: Program, test: NoWorse) -> Verdict:
        """Tests a candidate on every task; the first on which it is worse ends it."""
        found: list[tuple[str, float]] = []
        used = 0
        for task in self.tasks:
            decided, share, count = self._on_task(candidate, reference, test, task)
            found.append((task, share))
            used += count
            if not decided:
                return Verdict(no_worse=False, difference=tuple(found), seeds=used)
        return Verdict(no_worse=True, difference=tuple(found), seeds=used)

    def _on_task(self, candidate: Program, reference: Program, test: NoWorse, task: str) -> tuple[bool, float, int]:
        differences: list[float] = []
        losses: list[float] = []
        for look, count in enumerate(test.looks):
            for seed in range(test.first_seed + len(differences), test.first_seed + count):
                theirs = self.losses(reference, task, [seed])[0]
                if theirs is None:
                    raise ValueError(f"the program does not train on {task} with seed {seed}: nothing can be compared")
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

    def tuned_rate(self, program: Program, rates: Sequence[float], seeds: Sequence[int]) -> float:
        """The factor on the learning rate with which a program trains best on the first task.

        Raises:
            ValueError: it trains with none of them.
        """
        best: tuple[float, float] | None = None
        for rate in rates:
            losses = self.losses(at_rate(program, rate), self.tasks[0], seeds)
            known = [loss for loss in losses if loss is not None]
            if len(known) == len(losses):
                mean = math.fsum(known) / len(known)
                best = (mean, rate) if best is None or mean < best[0] else best
        if best is None:
            raise ValueError(f"the program does not train on {self.tasks[0]} with any learning rate that was tried")
        return best[1]


def at_rate(program: Program, rate: float) -> Program:
    """The program with its learning rate multiplied, as ``Trainer.run`` does."""
    from dsl.program import Statement

    if rate == 1.0:
        return program
    return Program(program.state, (Statement("lr", "multiply", ("lr", rate)), *program.body))


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
