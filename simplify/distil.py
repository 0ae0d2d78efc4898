"""Distillation: simplifies a raw program in several steps, with a record of each step, its exactness and its cost.

Pruning and rewriting need no training. Ablation does; the rewritten program is then also trained beside the original,
because equality up to rounding does not imply equal training.
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
"""All steps, in order."""


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of the record.

    Attributes:
        step: ``prune``, ``rewrite`` or ``ablate``.
        what: description of the change.
        removed: pruned statements, each with its index in the body, from 1.
        rules: names of the rewrite rules used; empty for steps without rules.
        exact: exactness of the step.
        statements: number of statements after it.
        state: number of state variables after it.
        cost: relative change of the mean loss against the given program; negative is better. None if nothing was
            trained.
        seeds: number of seeds behind ``cost``.
        assumes: assumptions, one phrase each; empty if there are none.
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
        rules = f", {len(self.rules)} rewrite rule{'s' * (len(self.rules) > 1)}" if self.rules else ""
        lines = [f"{self.step}: {self.what} ({self.exact.words}{rules}{cost})"]
        lines += [f"  rule: {rule}" for rule in self.rules]
        lines += [f"  assumed: {assumed}" for assumed in self.assumes]
        return "\n".join([*lines, *(f"  statement {number}: {text}" for number, text in self.removed)])


@dataclass(frozen=True, slots=True)
class Distilled:
    """Result of a distillation.

    Attributes:
        program: the distilled program.
        recognised: the known optimizer that it equals; None if there is none.
        steps: the record.
        rates: for each task the factor on the learning rate in the tests; empty without ablation.
        evaluations: number of training runs used.
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

    def __str__(self) -> str:
        return str(self.program)

    def __repr__(self) -> str:
        state = f"state {', '.join(self.state)}" if self.state else "no state"
        is_known = "" if self.recognised is None else f"; {self.recognised}"
        return f"<Distilled: {self.statements} statements, {state}{is_known}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Notebooks display the text below the summary."""
        printer.text(f"{self!r}\n{self}")

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
    """Finds the shortest readable program that trains equally well.

    Args:
        program: a verified program.
        steps: steps to run, always in the order prune, rewrite, ablate. Rewriting includes pruning.
        panel: tasks on which ablation tests changes, executor of training runs, and known results; a change must pass
            on all tasks. None for the task ``ae`` in this process.
        test: non-inferiority test of ablation. Defaults to `NoWorse()`.
        evolution: budget of the evolution that ends ablation. Defaults to `EvolutionBudget()`.
        watch: called with a line of text after every test of ablation. Defaults to no callback.

    Returns:
        The result with its record.

    Raises:
        ValueError: a step is unknown or there is no task.
        DoesNotTrainError: ablation is requested and the program does not train on a task.
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
    """Trains the rewritten program beside the original; reverts to the original if training distinguishes them."""
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
