"""From a raw program to a few lines, with a record of every step: what was done, how exact it is, what it cost.

Prune and rewrite need no training. Ablation does; when it is asked for, the rewritten program is also trained beside
the original, since equal up to rounding and equal in training are two things.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dsl.program import Program
from simplify.ablate import EvolutionBudget, ablate
from simplify.prune import prune
from simplify.recognise import Recognised, recognise
from simplify.rewrite import rewrite
from simplify.rules import Exactness
from simplify.trial import MakeEvaluator, NoWorse, Panel, Results

StepName = Literal["prune", "rewrite", "ablate"]
STEPS: tuple[StepName, ...] = ("prune", "rewrite", "ablate")
"""All steps, in their order."""

COMPARED_SEEDS = 3
"""Seeds on which a rewritten program is trained beside the original."""


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of the record.

    Attributes:
        step: ``prune``, ``rewrite`` or ``ablate``.
        what: what was done.
        rules: names of the rules it rests on; empty for steps without rules.
        exact: how far the program before and after may differ.
        statements: number of statements after it.
        state: number of state variables after it.
        cost: mean loss after it minus that of the given program, as a share of that, where it was trained; negative is
            better. None where nothing was trained.
        seeds: number of seeds behind ``cost``.
    """

    step: StepName
    what: str
    rules: tuple[str, ...]
    exact: Exactness
    statements: int
    state: int
    cost: float | None = None
    seeds: int = 0

    def as_values(self) -> dict[str, Any]:
        """Plain values for JSON."""
        cost = None if self.cost is None or not math.isfinite(self.cost) else self.cost
        return {
            "step": self.step,
            "what": self.what,
            "rules": list(self.rules),
            "exact": self.exact.words,
            "statements": self.statements,
            "state": self.state,
            "cost": cost,
            "seeds": self.seeds,
        }

    def __str__(self) -> str:
        cost = "" if self.cost is None else f"; loss {self.cost:+.2%} on {self.seeds} seeds"
        return f"{self.step}: {self.what} ({self.exact.words}{cost})"


@dataclass(frozen=True, slots=True)
class Distilled:
    """A program and how it came to be.

    Attributes:
        program: the result.
        recognised: what it is; None when it is nothing known.
        steps: the record.
        rate: the factor on the learning rate at which changes were tested; None without ablation.
        evaluations: number of trainings.
    """

    program: Program
    recognised: Recognised | None
    steps: tuple[Step, ...]
    rate: float | None = None
    evaluations: int = 0

    @property
    def statements(self) -> int:
        """Number of statements."""
        return len(self.program.body)

    @property
    def state(self) -> tuple[str, ...]:
        """Names of the state variables."""
        return self.program.state

    def as_values(self) -> dict[str, Any]:
        """Plain values for JSON."""
        found = self.recognised
        return {
            "text": str(self.program),
            "statements": self.statements,
            "state": list(self.state),
            "recognised": None
            if found is None
            else {
                "name": found.name,
                "constants": dict(found.constants),
                "gradient": found.gradient,
                "sentence": str(found),
            },
            "steps": [step.as_values() for step in self.steps],
            "rate": self.rate,
            "evaluations": self.evaluations,
        }


def distil(
    program: Program,
    steps: Sequence[StepName] = STEPS,
    *,
    tasks: Sequence[str] = ("ae",),
    make_evaluator: MakeEvaluator | None = None,
    results: Results | None = None,
    test: NoWorse | None = None,
    evolution: EvolutionBudget | None = None,
    watch: Callable[[str], None] | None = None,
) -> Distilled:
    """The shortest readable form that trains as well.

    Args:
        program: a verified program.
        steps: which steps to take; their order is always prune, rewrite, ablate. Rewriting prunes in any case.
        tasks: proxy tasks on which ablation tests changes; a change must pass on all.
        make_evaluator: gives an evaluator for a task and seed; None to train in this process.
        results: trainings that are known, and where new ones are put; pass the same again to go on. None for none.
        test: when ablation may keep a change; None for the usual one.
        evolution: size of the evolution that ends ablation; None for the usual one.
        watch: called with a line for every test of ablation; None for nobody watches.

    Returns:
        The result with its record.

    Raises:
        ValueError: a step is unknown or given with no task, or the program does not train on a task.
    """
    unknown = [step for step in steps if step not in STEPS]
    if unknown:
        raise ValueError(f"unknown step '{unknown[0]}': the steps are {', '.join(STEPS)}")
    if "ablate" in steps and not tasks:
        raise ValueError("ablation needs at least one task")
    record: list[Step] = []
    current = program
    if "prune" in steps:
        current = _prune(current, record)
    if "rewrite" in steps:
        current = _rewrite(current, record)
    rate, evaluations = None, 0
    if "ablate" in steps:
        panel = Panel(tuple(tasks))
        if make_evaluator is not None:
            panel.make_evaluator = make_evaluator
        if results is not None:
            panel.results = results
        if current != program:
            _train_beside(program, current, panel, test or NoWorse(), record)
        ablated = ablate(current, panel, test=test, evolution=evolution, watch=watch)
        current, rate, evaluations = ablated.program, ablated.rate, panel.evaluations
        for change in ablated.changes:
            after, verdict = change.program, change.verdict
            size = len(after.body), len(after.state)
            record.append(
                Step("ablate", change.what, (), Exactness.EMPIRICAL, *size, cost=verdict.worst, seeds=verdict.seeds)
            )
    return Distilled(current, recognise(current), tuple(record), rate, evaluations)


def _prune(program: Program, record: list[Step]) -> Program:
    pruned = prune(program)
    after = pruned.program
    removed = f"removed {len(pruned.removed)} of {len(program.body)} statements"
    removed += f" and the state {', '.join(pruned.removed_state)}" if pruned.removed_state else ""
    record.append(Step("prune", removed, (), Exactness.EXACT, len(after.body), len(after.state)))
    return after


def _rewrite(program: Program, record: list[Step]) -> Program:
    rewritten = rewrite(program)
    after = rewritten.program
    what = f"{len(program.body)} statements become {len(after.body)}"
    if not rewritten.rules:
        what = "nothing to rewrite; put in order and named"
    if rewritten.rejected is not None:
        what = "a rewritten form did not give the same updates and was rejected, which is a bug; " + what
    record.append(Step("rewrite", what, rewritten.rules, rewritten.exact, len(after.body), len(after.state)))
    return after


def _train_beside(program: Program, after: Program, panel: Panel, test: NoWorse, record: list[Step]) -> None:
    """Puts what training says of pruning and rewriting into the last entry of the record."""
    differences: list[float] = []
    for task in panel.tasks:
        seeds = range(test.first_seed, test.first_seed + COMPARED_SEEDS)
        before, now = panel.losses(program, task, seeds), panel.losses(after, task, seeds)
        differences += [(y - x) / abs(x) for x, y in zip(before, now, strict=True) if x is not None and y is not None]
    if differences and record:
        last = record[-1]
        cost = math.fsum(differences) / len(differences)
        record[-1] = Step(
            last.step, last.what, last.rules, last.exact, last.statements, last.state, cost, len(differences)
        )
