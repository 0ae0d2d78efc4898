"""One program as text: its forms, behaviour, evaluations and lineage."""

from __future__ import annotations

from collections.abc import Sequence

from optsearch.proxy_tasks.outcome import Outcome
from optsearch.runs.summary.program import ProgramForms, ProgramSummary
from optsearch.runs.terminal.tables import program, say, table
from optsearch.runs.text.phrasing import number


def named_program(name: str, forms: ProgramForms, behaviour: Sequence[str]) -> None:
    """Prints a standalone program.

    Args:
        name: name of the program.
        forms: the program with and without dead statements.
        behaviour: sentences about its cost and behaviour.
    """
    say(f"Program {name}", "bold")
    _forms(forms)
    _behaviour(behaviour)


def program_of_run(found: ProgramSummary, behaviour: Sequence[str]) -> None:
    """Prints a program of a run.

    Args:
        found: the program.
        behaviour: sentences about its cost and behaviour.
    """
    say(f"Program {found.id}: fitness {number(found.fitness)}, outcome {found.outcome}", "bold")
    if found.evaluated_as != found.id:
        say(f"It is equivalent to program {found.evaluated_as}, whose evaluation applies.")
    _forms(found.forms)
    _behaviour(behaviour)
    say()
    say("Evaluations:", "bold")
    table(
        ["purpose", "task", "seeds", "outcome", "loss", "steps"],
        [
            [e.purpose, ", ".join(e.tasks), ", ".join(map(str, e.seeds)), e.outcome, number(e.loss), e.steps]
            for e in found.evaluations
        ],
        right=["loss", "steps"],
    )
    by_search = found.evaluations[0]
    if by_search.losses:
        words = ", ".join(f"{task} {number(loss)}" for task, loss in by_search.losses.items())
        say(f"The fitness is the score over the tasks that were reached; their losses are {words}.")
    if by_search.rate != 1.0:
        say(
            f"The losses are those at {by_search.rate:g} times the program's own learning rate, the best rate tried; "
            "`export` writes the program with this rate."
        )
    say(evaluation_ending(by_search.outcome, by_search.steps, by_search.loss_so_far))
    say()
    origin = "the warm start" if found.lineage[-1].mutation == "warm start" else "its origin"
    say(f"Lineage, from the program back to {origin}:", "bold")
    table(
        ["program", "fitness", "by"],
        [[item.id, number(item.fitness), item.mutation] for item in found.lineage],
        right=["fitness"],
    )


def evaluation_ending(outcome: str, steps: int, loss_so_far: float | None) -> str:
    """Describes the outcome of a search evaluation in a sentence; for a stopped one also its progress.

    Args:
        outcome: name of the outcome.
        steps: number of completed optimizer steps.
        loss_so_far: mean training loss since the last checkpoint; None if it was not finite.
    """
    sentence = Outcome(outcome).sentence
    if outcome == Outcome.OK.value:
        return sentence
    if loss_so_far is None:
        so_far = "no training loss since its last checkpoint was finite"
    else:
        so_far = f"its training loss since the last checkpoint was {loss_so_far:g} on average"
    return f"{sentence} It ended after {steps:,} steps; {so_far}."


def at_rate(rate: float) -> str:
    """Describes the factor on a program's learning rate; empty for 1."""
    return "" if rate == 1.0 else f", at the learning rate of its evaluation, {rate:g} times its own"


def _forms(forms: ProgramForms) -> None:
    say()
    program(forms.recorded)
    if forms.pruned != forms.recorded:
        say()
        say(f"Dead statements pruned{at_rate(forms.rate)}:", "bold")
        program(forms.pruned)


def _behaviour(behaviour: Sequence[str]) -> None:
    say()
    say("What it does:", "bold")
    for sentence in behaviour:
        say(f"  - {sentence}")
