"""Settings of an evaluation: what defines a comparison, besides the compared programs.

The same settings describe an evaluation to the command that executes it and to the run file that records it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optsearch.dsl.errors import UserError
from optsearch.proxy_tasks.task import TaskError
from optsearch.selection.comparison.evaluation import REPLICATES
from optsearch.selection.contender import Contender, baseline_contenders, jax_contenders, torch_contenders
from optsearch.selection.problem import Problem, problems
from optsearch.selection.scripts.script import TrainingScript
from optsearch.selection.space import parse_ranges
from optsearch.selection.tuning.tuner import TRIALS, TuningBudget, fresh_seeds

SCRIPT_BASELINES = {"torch": ("adamw", "sgd"), "jax": ("adamw", "lion")}
"""Default baselines of a training script, by framework."""


class ScriptSettingsError(UserError, ValueError):
    """A setting does not fit a comparison on a training script."""


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """Settings of an evaluation.

    Attributes:
        tasks: names of tasks.
        seeds: number of fresh seeds of each replicate.
        baselines: names of baselines.
        skipped: number of fresh seeds of each replicate to skip, because an earlier evaluation has used them.
        batches: batch sizes for each task; None for the task's default.
        horizons: multiples of each task's number of steps, or of the script's; None for its own number.
        trials: number of tuning trials for each contender, task and replicate; 0 compares the contenders' own settings
            in a single replicate.
        replicates: number of independent tunings of each contender on each task.
        constants: if True, tunes constants too.
        spaces: declared ranges such as ``beta=0:0.999``, which replace the defaults.
        shared: if True, each tuning selects one setting for all tasks.
        sensitivity: if True, also trains each tuned point at multiples of its rate, all else fixed.
        timed: if True, also measures the wall-clock time of compiled steps.
        script: a training script, which is then the only problem; None for tasks.
        joined: names of further tasks, of which the results of earlier evaluations are judged together with these.

    Raises:
        ScriptSettingsError: a setting is for tasks alone, and there is a script.
    """

    tasks: tuple[str, ...]
    seeds: int
    baselines: tuple[str, ...]
    skipped: int = 0
    batches: tuple[int, ...] | None = None
    horizons: tuple[float, ...] | None = None
    trials: int = TRIALS
    replicates: int = REPLICATES
    constants: bool = True
    spaces: tuple[str, ...] = ()
    shared: bool = False
    sensitivity: bool = False
    timed: bool = False
    script: TrainingScript | None = None
    joined: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.script is None:
            return
        for option, is_given, why in (
            ("--task", bool(self.tasks), "a script is compared on by itself"),
            ("--batch", self.batches is not None, "the script decides on its batch size, such as by an argument"),
            ("--shared", self.shared, "a script is a single problem"),
            ("--time", self.timed, "steps of a script are not compiled here"),
            ("--join", bool(self.joined), "its baselines are others than those of tasks"),
        ):
            if is_given:
                raise ScriptSettingsError(f"{option} cannot be combined with --script: {why}; leave it out")

    @property
    def tunings(self) -> int:
        """Number of replicates: one without trials."""
        return self.replicates if self.trials else 1

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The tasks to train on, with their batch sizes and horizons, or the script with its budgets.

        Raises:
            TaskError: as in `problems`.
        """
        script = self.script
        if script is None:
            return problems(self.tasks, self.batches, self.horizons)
        if self.horizons is None:
            return (Problem(script.name, script=script),)
        return tuple(Problem(script.name, script=script.longer(times), horizon=times) for times in self.horizons)

    @property
    def judged(self) -> tuple[Problem, ...]:
        """The joined tasks, then those to train on.

        Raises:
            TaskError: as in `problems`, or a task is duplicated.
        """
        every = (*(Problem.named(name) for name in self.joined), *self.problems)
        names = [problem.name for problem in every]
        if len(set(names)) < len(names):
            raise TaskError(f"duplicate task in {', '.join(names)}")
        return every

    @property
    def opponents(self) -> tuple[Contender, ...]:
        """The baselines: of optax, or of torch for a script that uses it.

        Raises:
            BaselineError: a baseline does not exist, or cannot be used with a script.
        """
        if self.script is not None:
            of_torch = self.script.framework == "torch"
            return tuple(torch_contenders(self.script, self.baselines) if of_torch else jax_contenders(self.baselines))
        return tuple(baseline_contenders(self.baselines))

    @property
    def budget(self) -> TuningBudget:
        """The tuning budget of each contender, in each replicate.

        Raises:
            SpaceError: a declared range is invalid.
        """
        return TuningBudget(self.trials, constants=self.constants, ranges=parse_ranges(self.spaces))

    @property
    def fresh_seeds(self) -> tuple[tuple[int, ...], ...]:
        """The fresh seeds of each replicate.

        Raises:
            SeedError: too few seeds are available.
        """
        return tuple(fresh_seeds(self.seeds, replicate=n, skipped=self.skipped) for n in range(self.tunings))

    @property
    def seed_places(self) -> range:
        """Places of the seeds among the fresh seeds of each replicate."""
        return range(self.skipped, self.skipped + self.seeds)

    @property
    def digest(self) -> str:
        """Identifies the use of the fresh seeds; it does not depend on measurements without fresh seeds."""
        asked = self._of_fresh_seeds(self.problems)
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]

    def recorded(self) -> dict[str, Any]:
        """The settings as JSON values, with the version of each task."""
        further = ({"sensitivity": True} if self.sensitivity else {}) | ({"timed": True} if self.timed else {})
        script = {"script": self.script.recorded()} if self.script else {}
        return self._of_fresh_seeds(self.judged) | further | script

    def _of_fresh_seeds(self, found: Sequence[Problem]) -> dict[str, Any]:
        """The settings on which the results on fresh seeds of some tasks depend, as JSON values."""
        return (
            {
                "tasks": {problem.name: problem.target.version for problem in found},
                "seeds": self.seeds,
                "skipped_seeds": self.skipped,
                "baselines": [contender.reference or contender.name for contender in self.opponents],
                "trials": self.trials,
                "replicates": self.tunings,
                "constants": self.constants,
                "spaces": list(self.spaces),
            }
            | ({"shared": True} if self.shared else {})
            | ({"stop": list(self.script.stop)} if self.script and self.script.stop else {})
        )
