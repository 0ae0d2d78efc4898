"""From a raw program to a few lines, with a record of every step: what was done, how exact it is, what it cost.

Prune and rewrite need no training. Ablation does; when it is asked for, the rewritten program is also trained beside
the original, since equal up to rounding and equal in training are two things.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from optsearch.dsl.program import Program
from optsearch.simplify.ablation.ablate import EvolutionBudget, ablate, tuned_rates
from optsearch.simplify.ablation.trial import NoWorse, Panel
from optsearch.simplify.prune import prune
from optsearch.simplify.rewriting.equivalence import ASSUMES
from optsearch.simplify.rewriting.recognise import Recognised, recognise
from optsearch.simplify.rewriting.rewrite import rewrite
from optsearch.simplify.rewriting.rules import Exactness

StepName = Literal["prune", "rewrite", "ablate"]
STEPS: tuple[StepName, ...] = ("prune", "rewrite", "ablate")
"""All steps, in their order."""


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of the record.

    Attributes:
        step: ``prune``, ``rewrite`` or ``ablate``.
        what: what was done.
        removed: statements that a prune took out, each with its number in the body, counted from 1.
        rules: names of the rules it rests on; empty for steps without rules.
        exact: how far the program before and after may differ.
        statements: number of statements after it.
        state: number of state variables after it.
        cost: mean loss after it minus that of the given program, as a share of that, where it was trained; negative is
            better. None where nothing was trained.
        seeds: number of seeds behind ``cost``.
        assumes: what is assumed, a phrase each; empty where nothing is.
    """

    step: StepName
    what: str
    rules: tuple[str, ...]
    exact: Exactness
    statements: int
    state: int
    cost: float | None = None
    seeds: int = 0
    removed: tuple[tuple[int, str], ...] = ()
    assumes: tuple[str, ...] = ()

    def as_values(self) -> dict[str, Any]:
        """Plain values for JSON."""
        cost = None if self.cost is None or not math.isfinite(self.cost) else self.cost
        return {
            "step": self.step,
            "what": self.what,
            "removed": [f"{number}: {text}" for number, text in self.removed],
            "rules": list(self.rules),
            "assumes": list(self.assumes),
            "exact": self.exact.words,
            "statements": self.statements,
            "state": self.state,
            "cost": cost,
            "seeds": self.seeds,
        }

    def __str__(self) -> str:
        cost = "" if self.cost is None else f"; loss {self.cost:+.2%} on {self.seeds} seeds"
        rules = f" by {', '.join(self.rules)}" if self.rules else ""
        lines = [f"{self.step}: {self.what} ({self.exact.words}{rules}{cost})"]
        lines += [f"  assumed: {assumed}" for assumed in self.assumes]
        return "\n".join([*lines, *(f"  statement {number}: {text}" for number, text in self.removed)])


@dataclass(frozen=True, slots=True)
class Distilled:
    """A program and how it came to be.

    Attributes:
        program: the result.
        recognised: what it is; None when it is nothing known.
        steps: the record.
        rates: for each task the factor on the learning rate at which changes were tested; empty without ablation.
        evaluations: number of trainings that it rests on.
    """

    program: Program
    recognised: Recognised | None
    steps: tuple[Step, ...]
    rates: Mapping[str, float] = field(default_factory=dict[str, float])
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
            "rates": dict(self.rates),
            "evaluations": self.evaluations,
        }


def distil(
    program: Program,
    steps: Sequence[StepName] = STEPS,
    *,
    panel: Panel | None = None,
    test: NoWorse | None = None,
    evolution: EvolutionBudget | None = None,
    watch: Callable[[str], None] | None = None,
) -> Distilled:
    """The shortest readable form that trains as well.

    Args:
        program: a verified program.
        steps: which steps to take; their order is always prune, rewrite, ablate. Rewriting prunes in any case.
        panel: tasks on which ablation tests changes, where to train, and trainings that are known; a change must pass
            on all tasks. None for the task ``ae`` in this process.
        test: when ablation may keep a change; None for the usual one.
        evolution: size of the evolution that ends ablation; None for the usual one.
        watch: called with a line for every test of ablation; None for nobody watches.

    Returns:
        The result with its record.

    Raises:
        ValueError: a step is unknown or there is no task.
        DoesNotTrainError: ablation is asked for and the program does not train on a task.
    """
    unknown = [step for step in steps if step not in STEPS]
    if unknown:
        raise ValueError(f"unknown step '{unknown[0]}': the steps are {', '.join(STEPS)}")
    panel, test = panel or Panel(("ae",)), test or NoWorse()
    if "ablate" in steps and not panel.tasks:
        raise ValueError("ablation needs at least one task")
    record: list[Step] = []
    current = program
    if "prune" in steps:
        current = _prune(current, record)
    pruned = current
    if "rewrite" in steps:
        current = _rewrite(current, record)
    rates: Mapping[str, float] = {}
    if "ablate" in steps:
        rates = tuned_rates(pruned, panel, test)
        current = _train_beside(pruned, current, panel, test, rates, record)
        ablated = ablate(current, panel, rates=rates, test=test, evolution=evolution, watch=watch)
        current = ablated.program
        for change in ablated.changes:
            after, verdict = change.program, change.verdict
            size = len(after.body), len(after.state)
            record.append(
                Step("ablate", change.what, (), Exactness.EMPIRICAL, *size, cost=verdict.worst, seeds=verdict.seeds)
            )
    return Distilled(current, recognise(current), tuple(record), rates, panel.evaluations)


def _prune(program: Program, record: list[Step]) -> Program:
    pruned = prune(program)
    after = pruned.program
    removed = f"removed {len(pruned.removed)} of {len(program.body)} statements"
    removed += f" and the state {', '.join(pruned.removed_state)}" if pruned.removed_state else ""
    size = len(after.body), len(after.state)
    record.append(Step("prune", removed, (), Exactness.EXACT, *size, removed=pruned.removed))
    return after


def _rewrite(program: Program, record: list[Step]) -> Program:
    rewritten = rewrite(program)
    after = rewritten.program
    what = f"{len(program.body)} statements become {len(after.body)}"
    if not rewritten.rules:
        what = "nothing to rewrite; put in order and named"
    if rewritten.rejected is not None:
        what = "a form that is equal by the rules alone gave other updates in float32 and was rejected; " + what
    assumes = (f"updates were compared {ASSUMES}", *rewritten.assumes) if rewritten.rules else ()
    size = len(after.body), len(after.state)
    record.append(Step("rewrite", what, rewritten.rules, rewritten.exact, *size, assumes=assumes))
    return after


def _train_beside(
    program: Program, after: Program, panel: Panel, test: NoWorse, rates: Mapping[str, float], record: list[Step]
) -> Program:
    """Trains a rewritten program beside the one it came from; goes back to that where training tells them apart."""
    if after == program:
        return program
    verdict = panel.compare(after, program, test, rates)
    record[-1] = replace(record[-1], cost=verdict.worst, seeds=verdict.seeds)
    if verdict.no_worse:
        return after
    size = len(program.body), len(program.state)
    what = "the rewritten form trains worse, so it is given up: rounding or the guard of a division matters here"
    record.append(Step("rewrite", what, (), Exactness.EXACT, *size))
    return program
