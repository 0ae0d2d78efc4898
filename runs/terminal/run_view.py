"""A run and a study as text: best program, controls, comparisons and leaderboard."""

from __future__ import annotations

from collections.abc import Sequence

from optsearch.runs.summary.front import FrontProgram
from optsearch.runs.summary.leaderboard import RankedProgram
from optsearch.runs.summary.meta_validation import MetaValidationSummary
from optsearch.runs.summary.replicates import StudySummary
from optsearch.runs.summary.run import ProgramEntry, RunSummary
from optsearch.runs.summary.sentences import SIGNS, study_differences, verdict
from optsearch.runs.summary.status import INCOMPLETE
from optsearch.runs.terminal.program_view import at_rate
from optsearch.runs.terminal.tables import program, say, table
from optsearch.runs.text.phrasing import control_name, interval_bounds, listed, number

META_ROWS = 12
"""Number of the latest meta-validations that are printed."""


BEST = " *"
"""Marks the best program of the leaderboard."""

FRONT_ROWS = 12
"""Number of programs of the Pareto front that are printed."""


def run_summary(run: RunSummary, ranked: Sequence[RankedProgram] = (), front: Sequence[FrontProgram] = ()) -> None:
    """Prints a run: best program, comparisons with controls, and the leaderboard and Pareto front if given."""
    say(f"{run.name} on {listed(run.tasks)}, seed {run.seed}: {run.status}", "bold")
    if run.status == "incomplete":
        say(INCOMPLETE)
    counts = run.counts
    outcomes = ", ".join(f"{name} {count:,}" for name, count in counts.outcomes.items()) or "none"
    redundant = "" if run.redundant_share is None else f"{run.redundant_share:.0%} redundant statements, "
    say(
        f"{counts.generated:,} programs generated, {counts.evaluated:,} evaluated, {counts.hit_rate:.0%} cache hits, "
        f"{redundant}{run.seconds:,.0f} s; outcomes: {outcomes}"
    )
    for stage in run.first_stage:
        words = f"{stage.name}: {stage.counts.generated:,} programs, {stage.counts.evaluated:,} evaluated"
        best = "nothing has trained"
        if stage.best is not None:
            best = f"best {stage.best.id}, fitness {number(stage.best.fitness)}"
        say(f"  {words}, {best}")
    if ranked:
        leading(ranked)
    if len(front) > 1:
        pareto(front)
    if run.best is not None:
        say()
        words = f"dead statements pruned{at_rate(run.best.forms.rate)}"
        say(f"Best program {run.best.id} (fitness {number(run.best.fitness)}), {words}:", "bold")
        program(run.best.forms.pruned)
    if run.meta_validation is not None:
        meta_validation(run.meta_validation)
    comparison(run)


def leading(ranked: Sequence[RankedProgram]) -> None:
    """Prints the leaderboard, with the means that decide among the finalists once they are trained."""
    decided = any(row.finalist is not None for row in ranked)
    say()
    table(
        ["program", "fitness", *(["finalist mean"] if decided else []), "statements", "live", "state"],
        [
            [
                row.id + BEST * row.best,
                number(row.fitness),
                *([number(row.finalist)] if decided else []),
                len(row.program.body),
                len(row.live.body),
                ", ".join(row.live.state) or "none",
            ]
            for row in ranked
        ],
        right=["fitness", "finalist mean", "statements", "live"],
    )
    if decided:
        say(
            f"{BEST.strip()} best program: it has the lowest mean over the seeds of the finalists. Programs are in "
            "order of their fitness, which few seeds decide and which flatters the first ones."
        )


def pareto(front: Sequence[FrontProgram]) -> None:
    """Prints the Pareto front: fitness, state arrays and live statements."""
    say()
    say("Programs that no other one beats in fitness, state arrays and live statements at once:", "bold")
    table(
        ["program", "fitness", "state arrays", "statements"],
        [[row.id, number(row.fitness), row.size.state, row.size.statements] for row in front[:FRONT_ROWS]],
        right=["fitness", "state arrays", "statements"],
    )
    if len(front) > FRONT_ROWS:
        say(f"{len(front) - FRONT_ROWS} more with higher fitness: --json lists them.")


def meta_validation(found: MetaValidationSummary) -> None:
    """Prints the meta-validations of successive best programs, and marks the selected one."""
    task, programs, carry_forward = found.task, found.programs, found.carry_forward
    if not programs:
        return
    say()
    say(f"Meta-validation on {task}, which is not part of the fitness:", "bold")
    table(
        ["after evaluations", "program", "fitness", task],
        [[f"{row.evaluations:,}", row.id, number(row.fitness), number(row.loss)] for row in programs[-META_ROWS:]],
        right=["after evaluations", "fitness", task],
    )
    if carry_forward is None:
        say(f"None of them trains on {task}.")
    elif carry_forward == programs[-1].id:
        say(f"Carry forward program {carry_forward}: the latest is the best on {task} too.")
    else:
        worse = "" if found.overfitting is None else f" by {found.overfitting:.5f}"
        say(
            f"Carry forward program {carry_forward}: the latest is worse on {task}{worse}, so the search has begun to "
            "overfit its proxy."
        )


def study(found: StudySummary) -> None:
    """Prints the statistics over the runs of a study."""
    say()
    say(f"Study of {len(found.seeds)} seeds (mean over runs, 95 % interval):", "bold")
    means = [
        ("best fitness", found.best_fitness),
        ("best fresh score" if found.tasks else "best fresh loss", found.best_fresh),
        ("cache hit rate", found.cache_hit_rate),
        ("redundant share", found.redundant_share),
        *((f"best fresh loss on {on.task}", on.best_fresh) for on in found.tasks),
    ]
    rows = [[name, number(mean.mean), interval_bounds(mean), mean.count] for name, mean in means if mean is not None]
    table(["", "mean", "interval", "runs"], rows, right=["mean", "runs"])
    for sentence in study_differences(found):
        say(sentence)


def comparison(run: RunSummary) -> None:
    """Prints the comparisons of the best program with its controls on fresh seeds."""
    warm, entries = run.warm_start_name, list[tuple[str, ProgramEntry]]()
    if run.best is not None:
        entries.append((f"best program {run.best.id}", run.best))
    for control in run.controls:
        if control.best is not None:
            entries.append((f"{control_name(control.name, warm)} ({control.best.id})", control.best))
    if run.warm_start is not None:
        entries.append((f"{warm} as given", run.warm_start))
    measured = [(name, entry.fitness, entry.fresh) for name, entry in entries if entry.fresh is not None]
    if not measured:
        return
    seeds = f"{len(measured[0][2].seeds)} fresh seeds that the search never used"
    several = len(run.tasks) > 1
    say()
    if several:
        over = f"Mean score over {listed(run.tasks)} on {seeds}"
        say(
            f"{over} (mean, 95 % interval; lower is better, 0 is the warm start in the search at its own rate):", "bold"
        )
    else:
        say(f"Validation loss on {seeds} (mean, 95 % interval):", "bold")
    table(
        ["", "search fitness", "mean", "interval", "outcomes"],
        [
            [
                name,
                number(fitness),
                number(fresh.mean),
                interval_bounds(fresh.interval),
                ", ".join(f"{outcome} {count}" for outcome, count in fresh.outcomes.items()),
            ]
            for name, fitness, fresh in measured
        ],
        right=["search fitness", "mean"],
    )
    if several:
        say()
        say("Validation loss on each task, on the same seeds:", "bold")
        rows = [
            [task, name, number(fresh.on(task).mean), interval_bounds(fresh.on(task).interval)]
            for task in run.tasks
            for name, _, fresh in measured
        ]
        table(["task", "", "mean", "interval"], rows, right=["mean"])
        say()
    if run.comparison:
        say(SIGNS)
    for row in run.comparison:
        say(verdict(row, warm))
